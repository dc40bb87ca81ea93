"""Sphinx extension: the map of a benchmark's functions, `:::{atlas} fashion_cnn`."""

from pathlib import Path

import numpy as np
from docutils import nodes
from docutils.parsers.rst import Directive

from keras_actfn.expressions import parse
from keras_actfn.plotting.formula import Formulas
from keras_actfn.plotting.interactive import function_card, map_html
from keras_actfn.plotting.search import SearchMap
from keras_actfn.search import ActBench, bench_names
from keras_actfn.search import bench as read_bench

#: The benchmarks that have a map.
BENCHES = bench_names()

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>body {{ background: #fff; color: #222; font: 15px/1.5 system-ui, sans-serif; margin: .5rem }}
</style></head><body>{content}</body></html>
"""


def setup(app):
    """Add the directive, and write the maps with the site."""
    app.add_directive("atlas", Atlas)
    app.connect("build-finished", write_maps)
    return {"parallel_read_safe": True}


class Atlas(Directive):
    """Shows the map of the benchmark that is its argument, a page in a frame."""

    required_arguments = 1

    def run(self):
        """The frame, and a link to the page itself."""
        (name,) = self.arguments
        if name not in BENCHES:
            raise self.error(f"The benchmarks with a map are {', '.join(BENCHES)}.")
        page = f"_static/atlas_{name}.html"
        frame = f'<iframe class="atlas" src="{page}" title="Map of {name}" loading="lazy"></iframe>'
        link = f'<p><a href="{page}">The map by itself</a>, one file that needs no other.</p>'
        return [nodes.raw("", frame + link, format="html")]


def write_maps(app, exception):
    """Write the page of each map into the built site."""
    if exception is None and app.builder.format == "html":
        for name in BENCHES:
            path = Path(app.outdir) / "_static" / f"atlas_{name}.html"
            path.write_text(_page(name, _cache(app) / f"{name}.npy"), encoding="utf-8")


def _cache(app):
    folder = Path(app.doctreedir)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _page(name, kept):
    found = read_bench(name)
    formulas = Formulas()
    rows = np.flatnonzero(found.valid)
    score = found.score[rows]
    # Functions that learn nothing have the lowest colour, and do not stretch the others' colours.
    low = np.quantile(score[score > np.nanmin(score) + 0.1 * np.ptp(score)], 0.1)
    content = map_html(
        placed(found, rows, kept),
        f"validation {found.metric}",
        [card(found, row, formulas) for row in rows],
        mode=found.mode,
        low=low if found.mode == "max" else -low,
        beside=True,
    )
    title = f"Atlas of activation functions: {name}"
    return _PAGE.format(title=title, content=formulas.letters() + content)


def placed(bench: ActBench, rows: np.ndarray, kept: Path | None = None) -> SearchMap:
    """The functions where the search's embedding of outputs and spectra puts them.

    Args:
        bench: The benchmark.
        rows: The functions, by number.
        kept: Where the coordinates of an earlier build are; computed and written if missing.
    """
    if kept is not None and kept.exists():
        coordinates = np.load(kept)
    else:
        coordinates = bench.features(rows).places()
        if kept is not None:
            np.save(kept, coordinates)
    values = getattr(bench, f"validation_{bench.metric}")[rows]
    diverged = bench.diverged[rows].any(axis=1)
    return SearchMap(
        coordinates,
        np.arange(len(rows)),
        np.where(diverged, np.nan, values),
        tuple(bench.functions[row] for row in rows),
    )


def card(bench: ActBench, row: int, formulas: Formulas) -> str:
    """What the map says of a function."""
    text = bench.functions[row]
    latex = parse(text).latex()
    runs, test = (bench.runs[f"{part}_{bench.metric}"][row] for part in ("validation", "test"))
    seeds = int(np.isfinite(runs).sum())
    spread = "" if np.isnan(bench.noise) else f" ± {1.96 * bench.noise / np.sqrt(seeds):.4f}"
    figures = {
        "validation": f"{np.nanmean(runs):.4f}{spread}",
        "test": f"{np.nanmean(test):.4f}",
        "rank": f"{1 + int(np.sum(bench.score > bench.score[row])):,} of {len(bench):,}",
        "seeds": str(seeds),
    }
    if bench.diverged[row].any():
        figures = {"training": "diverged"}
    return function_card(formulas.svg(latex, text), text, figures)
