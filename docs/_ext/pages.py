"""Generated pages: written where Sphinx reads them, and only where they changed."""

from collections.abc import Mapping
from pathlib import Path


def write_pages(folder: Path, pages: Mapping[str, str], suffix: str = ".md") -> None:
    """Make a folder hold exactly these pages; one with the same text keeps its date.

    Args:
        folder: The folder.
        pages: Text of each page by its name.
        suffix: Of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {folder / f"{name}{suffix}": text for name, text in pages.items()}
    for path in set(folder.glob(f"*{suffix}")) - set(wanted):
        path.unlink()
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
