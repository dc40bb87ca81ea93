"""Sphinx extension: the map of the atlas's functions, `:::{atlas}`, a page in a frame."""

import zlib
from collections import defaultdict
from pathlib import Path

import numpy as np
from atlas_results import MEASURES, TaskResult, benches, results_at
from docutils import nodes
from docutils.parsers.rst import Directive

from keras_actfn.expressions import parse
from keras_actfn.plotting.formula import Formulas
from keras_actfn.plotting.interactive import MapView, function_card, views_html
from keras_actfn.plotting.search import SearchMap

#: Of the map, in the site.
PAGE = "_static/atlas_map.html"

#: The task that all functions are trained on: it gives the places.
_WHOLE = "fashion_cnn"

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Atlas of activation functions</title>
<style>body {{ background: #fff; color: #222; font: 15px/1.5 system-ui, sans-serif; margin: .5rem }}
</style></head><body>{content}</body></html>
"""


def setup(app):
    """Add the directive, and write the map with the site."""
    app.add_directive("atlas", Atlas)
    app.connect("build-finished", write_map)
    return {"parallel_read_safe": True}


class Atlas(Directive):
    """Shows the map, and links to its page for each task."""

    def run(self):
        """The frame, and the links."""
        frame = (
            f'<iframe class="atlas" src="{PAGE}" title="Map of activation functions" '
            'loading="lazy"></iframe>'
        )
        links = ", ".join(f'<a href="{PAGE}#{name}">{name}</a>' for name in benches())
        link = f"<p>The map by itself, one file that needs no other: {links}.</p>"
        return [nodes.raw("", frame + link, format="html")]


def write_map(app, exception):
    """Write the page of the map into the built site."""
    if exception is None and app.builder.format == "html":
        cache = Path(app.doctreedir)
        cache.mkdir(parents=True, exist_ok=True)
        (Path(app.outdir) / PAGE).write_text(map_page(cache), encoding="utf-8")


def map_page(cache: Path) -> str:
    """The page.

    Args:
        cache: A folder where the places are kept between builds.
    """
    functions = benches()[_WHOLE].functions
    places = places_of_functions(cache)
    number = {text: row for row, text in enumerate(functions)}
    results: dict[int, list[TaskResult]] = defaultdict(list)
    views = {}
    for task, found in benches().items():
        rows = [row for row in np.flatnonzero(np.isfinite(found.score))]
        cards = [number[found.functions[row]] for row in rows]
        of_task = [results_at(task, row) for row in rows]
        for place, result in zip(cards, of_task, strict=True):
            results[place].append(result)
        views[task] = MapView(
            SearchMap(
                places,
                np.array(cards),
                np.array([result.value for result in of_task]),
                tuple(found.functions[row] for row in rows),
            ),
            f"validation {MEASURES[found.metric]}",
            found.mode,
            worst_colour(found.score[rows]) * (1 if found.mode == "max" else -1),
            cards,
        )
    formulas = Formulas()
    texts = [card(text, results[row], formulas) for row, text in enumerate(functions)]
    content = views_html(views, texts, beside=True, choose="Colour by the results on")
    return _PAGE.format(content=formulas.letters() + content)


def worst_colour(score: np.ndarray) -> float:
    """Where colours begin: functions that learn nothing do not stretch the others' colours."""
    return float(np.quantile(score[score > score.min() + 0.1 * np.ptp(score)], 0.1))


def places_of_functions(cache: Path) -> np.ndarray:
    """Where the functions lie, (functions, 2), by the search's embedding of their outputs.

    The outputs are the same for all tasks, so that the map is one. It is kept in the folder and
    computed again for other functions.
    """
    found = benches()[_WHOLE]
    kept = cache / f"atlas_{zlib.crc32(' '.join(found.functions).encode()):x}.npy"
    if not kept.exists():
        np.save(kept, found.features(method="outputs").places())
    return np.load(kept)


def card(text: str, results: list[TaskResult], formulas: Formulas) -> str:
    """What the map says of a function: formula, and result and rank on every task."""
    figures = {
        each.task: each.text()
        if each.diverged
        else f"{each.text()} {each.measure}, rank {each.rank:,} of {each.functions:,}"
        for each in results
    }
    return function_card(formulas.svg(parse(text).latex(), text), text, figures)
