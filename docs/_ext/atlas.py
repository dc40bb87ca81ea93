"""Sphinx extension: the map of a benchmark's functions, `:::{atlas} fashion_cnn`."""

from pathlib import Path

import numpy as np
from docutils import nodes
from docutils.parsers.rst import Directive
from function_facts import seed_deviation

from keras_actfn.expressions import parse
from keras_actfn.plotting.formula import Formulas
from keras_actfn.plotting.interactive import function_card, map_html
from keras_actfn.plotting.search import SearchMap
from keras_actfn.search import ActBench, bench_names
from keras_actfn.search import bench as read_bench

#: The benchmarks that have a map.
BENCHES = bench_names()

#: Functions below this did not learn ten classes; colours do not begin with them.
CHANCE = 0.2

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
    accuracy = found.validation_accuracy[rows]
    content = map_html(
        placed(found, rows, kept),
        "validation accuracy",
        [card(found, row, formulas) for row in rows],
        low=np.quantile(accuracy[accuracy > CHANCE], 0.1),
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
    values = bench.validation_accuracy[rows]
    diverged = (bench.diverged[rows]).any(axis=1)
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
    accuracy = bench.validation_accuracy
    seeds = int(np.isfinite(bench.runs["validation_accuracy"][row]).sum())
    half = 1.96 * seed_deviation() / np.sqrt(seeds)
    middle = float(np.nanmean(bench.runs["validation_accuracy"][row]))
    figures = {
        "validation": f"{middle:.4f} ± {half:.4f}",
        "test": f"{np.nanmean(bench.runs['test_accuracy'][row]):.4f}",
        "rank": f"{1 + int(np.sum(accuracy > accuracy[row])):,} of {len(bench):,}",
        "seeds": str(seeds),
    }
    if (bench.diverged[row]).any():
        figures = {"training": "diverged"}
    return function_card(formulas.svg(latex, text), text, figures)
