"""A map of functions that answers to the pointer, in HTML that needs no other file."""

import html
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from .._optional import require

if TYPE_CHECKING:
    from .search import SearchMap

#: Of the functions without a value, this many are drawn: they are the ground of the map.
MOST_UNEVALUATED = 3000


def asset(name: str) -> str:
    """The text of a file of this package for pages: `tables.js`, `map.js` or `map.css`."""
    return resources.files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


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
    figure = require("plotly.graph_objects", extra="plot").Figure(
        [_ground(placed), *_evaluated(placed, measure, mode, low)]
    )
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": "#888", "size": 13},
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
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
            "modeBarButtonsToRemove": ["lasso2d", "select2d", "zoom2d", "toImage", "autoScale2d"],
        },
    )
    content = json.dumps(list(cards), ensure_ascii=False).replace("</", "<\\/")
    return (
        f"<style>{asset('map.css')}</style>"
        f'<script type="application/json" id="{name}-cards">{content}</script>'
        f'<div class="map{" beside" if beside else ""}"><div class="map-plot">{plot}</div>'
        f'<div class="map-card" id="{name}-card" aria-live="polite">'
        "Point at a function, or tap it.</div></div>"
    )


def _ground(placed):
    rest = np.setdiff1d(np.arange(len(placed.coordinates)), placed.evaluated)
    rest = rest[:: max(1, -(-len(rest) // MOST_UNEVALUATED))]
    x, y = placed.coordinates[rest].T if len(rest) else ([], [])
    marker = {"size": 4, "color": "#9996"}
    return {"type": "scatter", "mode": "markers", "x": _rounded(x), "y": _rounded(y)} | {
        "marker": marker,
        "hoverinfo": "skip",
    }


def _evaluated(placed, measure, mode, low):
    """The failures as crosses, then the others, the best on top."""
    failed = np.flatnonzero(np.isnan(placed.values))
    ended = np.flatnonzero(~np.isnan(placed.values))
    sign = -1 if mode == "min" else 1
    ended = ended[np.argsort(sign * placed.values[ended], kind="stable")]
    traces = []
    for chosen, marker in (
        (failed, {"symbol": "x-thin", "size": 7, "line": {"width": 1.2, "color": "#888"}}),
        (ended, _colours(placed.values[ended], measure, mode, low)),
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
                "customdata": [int(i) for i in chosen],
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
