"""How the tutorials run for the site: in a folder of their own, their figures taken from files."""

import shutil
from pathlib import Path

from sphinx_gallery.scrapers import figure_rst

_ROOT = Path(__file__).parents[2]


def copied() -> Path:
    """A copy of `tutorials/` in `build/`, where they may write; unchanged ones keep their date."""
    folder = _ROOT / "build" / "tutorials"
    folder.mkdir(parents=True, exist_ok=True)
    sources = {path.name: path for path in (_ROOT / "tutorials").glob("*.*")}
    for path in folder.glob("*.*"):
        if path.is_file() and path.name not in sources:
            path.unlink()
    for name, source in sources.items():
        shutil.copy2(source, folder / name)
    return folder


def forget_pictures(gallery_conf, name):
    """Remove what an earlier tutorial or build has drawn, before the next one starts."""
    shutil.rmtree(_ROOT / "build" / "tutorials" / "runs", ignore_errors=True)


def pictures(block, block_vars, gallery_conf):
    """Sphinx-gallery's scraper: the PNG files that a block has written."""
    seen = block_vars["example_globals"].setdefault("__pictures__", {})
    folder = Path(block_vars["src_file"]).parent / "runs"
    found = []
    for path in sorted(folder.rglob("*.png")):
        written = path.stat().st_mtime_ns
        if written > seen.get(path, 0):
            target = next(block_vars["image_path_iterator"])
            shutil.copy2(path, target)
            found.append(target)
        seen[path] = written
    return figure_rst(found, gallery_conf["src_dir"])
