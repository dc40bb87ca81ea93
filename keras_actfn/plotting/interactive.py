"""A map of functions that answers to the pointer, in HTML that needs no other file."""

import dataclasses
import html
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from .._optional import require

if TYPE_CHECKING:
    from .search import SearchMap

_CROSS = {"symbol": "x-thin", "line": {"width": 1.2, "color": "#888"}}

#: Of the functions without a value, this many are drawn: they are the ground of the map.
MOST_UNEVALUATED = 3000


def asset(name: str) -> str:
    """The text of a file of this package for pages: `tables.js`, `map.js` or `map.css`."""
    return resources.files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


@dataclasses.dataclass(frozen=True, eq=False)
class MapView:
    """One colouring of a map.

    Attributes:
        placed: Where the candidates are, and the values of the evaluated ones.
        measure: What the values are.
        mode: `"max"` or `"min"`: whether more or less is better; the best are bright and on top.
        low: Values from here on to the worse have one colour; the worst value if None.
        cards: Which card each evaluated function has; the first has the first, if None.
    """

    placed: "SearchMap"
    measure: str
    mode: str = "max"
    low: float | None = None
    cards: Sequence[int] | None = None


def function_card(formula: str | None, text: str, figures: Mapping[str, str]) -> str:
    """What the map shows of one function, in HTML.

    Args:
        formula: The formula as an SVG element; None where there is none.
        text: What `keras_actfn.activation` takes.
        figures: Figures by their names.
    """
    rows = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(figure)}</dd>"
        for name, figure in figures.items()
    )
    drawn = f"<p>{formula}</p>" if formula else ""
    return f"{drawn}<code>{html.escape(text)}</code><dl>{rows}</dl>"


def map_html(
    placed: "SearchMap",
    measure: str,
    cards: Sequence[str],
    *,
    mode: str = "max",
    low: float | None = None,
    name: str = "map",
    beside: bool = False,
) -> str:
    """The map of candidates as HTML, with Plotly's script inside.

    Args:
        placed: Where the candidates are, from `search_map`; more than 3,000 without a value are
            thinned out evenly.
        measure: What the values are.
        cards: What is shown of each evaluated function when the pointer is at it, in HTML.
        mode: `"max"` or `"min"`: whether more or less is better; the best are bright and on top.
        low: Values from here on to the worse have one colour; the worst value if None.
        name: Id of the element, for a page with several.
        beside: Whether the card stands beside the map on wide screens, else below.

    Raises:
        ImportError: If Plotly is missing.
        ValueError: If there is not one card for each evaluated function.
    """
    if len(cards) != len(placed.evaluated):
        raise ValueError(
            f"There is one card for each evaluated function. Received: {len(cards)} cards for "
            f"{len(placed.evaluated)}."
        )
    return views_html(
        {measure: MapView(placed, measure, mode, low)}, cards, name=name, beside=beside
    )


def views_html(
    views: Mapping[str, MapView],
    cards: Sequence[str],
    *,
    name: str = "map",
    beside: bool = False,
    choose: str = "Colour",
) -> str:
    """A map with several colourings, one shown at a time, as HTML with Plotly's script inside.

    The reader chooses one by its name, and a link does by its fragment, as in `map.html#accuracy`.

    Args:
        views: The colourings by name; the first is shown first.
        cards: What is shown of the functions when the pointer is at them, in HTML.
        name: Id of the element, for a page with several.
        beside: Whether the card stands beside the map on wide screens, else below.
        choose: What stands beside the names to choose from.

    Raises:
        ImportError: If Plotly is missing.
    """
    traces = [
        trace | {"meta": number, "visible": number == 0}
        for number, view in enumerate(views.values())
        for trace in [_ground(view.placed), *_evaluated(view)]
    ]
    figure = require("plotly.graph_objects", extra="plot").Figure(traces)
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": "#888", "size": 13},
        margin={"l": 8, "r": 8, "t": 32, "b": 8},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": "#888", "activecolor": "#444"},
        showlegend=False,
        hovermode="closest",
        dragmode=False,
        xaxis={"visible": False},
        yaxis={"visible": False},
    )
    plot = figure.to_html(
        full_html=False,
        include_plotlyjs=True,
        div_id=name,
        default_height="100%",
        post_script=asset("map.js"),
        config={
            "displaylogo": False,
            "responsive": True,
            "modeBarButtonsToRemove": [
                *("lasso2d", "select2d", "zoom2d", "autoScale2d"),
                *("toImage", "downloadJson", "sendChartToCloud"),
            ],
        },
    )
    content = json.dumps(list(cards), ensure_ascii=False).replace("</", "<\\/")
    return (
        f"<style>{asset('map.css')}</style>"
        f'<script type="application/json" id="{name}-cards">{content}</script>'
        f"{_choice(views, name, choose)}"
        f'<div class="map{" beside" if beside else ""}"><div class="map-plot">{plot}</div>'
        f'<div class="map-card" id="{name}-card" aria-live="polite">'
        "Point at a function, or tap it.</div></div>"
    )


def _choice(views, name, choose):
    """A list of the views' names, if there are several."""
    if len(views) == 1:
        return ""
    options = "".join(f"<option>{html.escape(view)}</option>" for view in views)
    return f'<label class="map-view">{choose} <select id="{name}-view">{options}</select></label>'


def _ground(placed):
    rest = np.setdiff1d(np.arange(len(placed.coordinates)), placed.evaluated)
    rest = rest[:: max(1, -(-len(rest) // MOST_UNEVALUATED))]
    x, y = placed.coordinates[rest].T if len(rest) else ([], [])
    marker = {"size": 4, "color": "#9996"}
    return {"type": "scatter", "mode": "markers", "x": _rounded(x), "y": _rounded(y)} | {
        "marker": marker,
        "hoverinfo": "skip",
    }


def _evaluated(view):
    """The failures as crosses, then the others, the best on top."""
    placed = view.placed
    cards = range(len(placed.evaluated)) if view.cards is None else view.cards
    failed = np.flatnonzero(np.isnan(placed.values))
    ended = np.flatnonzero(~np.isnan(placed.values))
    sign = -1 if view.mode == "min" else 1
    ended = ended[np.argsort(sign * placed.values[ended], kind="stable")]
    traces = []
    for chosen, marker in (
        (failed, _CROSS | {"size": 7 if len(failed) < 200 else 4}),
        (ended, _colours(placed.values[ended], view.measure, view.mode, view.low)),
    ):
        if not len(chosen):
            continue
        x, y = placed.coordinates[placed.evaluated[chosen]].T
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": _rounded(x),
                "y": _rounded(y),
                "text": [_shown(placed, i) for i in chosen],
                "customdata": [int(cards[i]) for i in chosen],
                "hovertemplate": "%{text}<extra></extra>",
                "marker": marker,
            }
        )
    return traces


def _colours(values, measure, mode, low):
    bar = {"title": {"text": measure, "side": "right"}, "thickness": 12, "outlinewidth": 0}
    marker: dict[str, Any] = {
        "size": 9 if len(values) < 200 else 6,
        "color": [float(value) for value in values],
        "colorscale": "Viridis",
        "reversescale": mode == "min",
        "colorbar": bar,
        "line": {"width": 0.5, "color": "#0006"},
    }
    if low is not None and len(values):
        ends = (low, values.max()) if mode == "max" else (values.min(), low)
        marker |= {"cmin": float(ends[0]), "cmax": float(ends[1])}
    return marker


def _shown(placed, i):
    value = placed.values[i]
    return f"{html.escape(placed.labels[i])}<br>{'failed' if np.isnan(value) else f'{value:.4f}'}"


def _rounded(values):
    return [round(float(value), 3) for value in values]
