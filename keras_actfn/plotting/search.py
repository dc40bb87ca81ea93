"""Figures of an activation search: its progress, the map of candidates, the best functions."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .._optional import require
from ..search.tandem import functions_of
from .functions import FunctionCurve, function_curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..search import ActivationSearch
    from ..search.results import SearchRow


@dataclasses.dataclass(frozen=True, eq=False)
class SearchProgress:
    """Values in the order of evaluation.

    Attributes:
        values: Value of each evaluation, `(evaluations,)`; NaN for those that failed.
        best: The best so far of those that ended, `(evaluations,)`; NaN before the first.
        baseline: Whether each is one of the functions that the search began with.
    """

    values: np.ndarray
    best: np.ndarray
    baseline: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class SearchMap:
    """Where candidates lie in the embedding.

    Attributes:
        coordinates: All candidates, `(candidates, 2)`.
        evaluated: Rows of those evaluated.
        values: Their values; NaN for those that failed.
        labels: Their expressions.
        mode: `"max"` or `"min"`: whether more or less is better.
    """

    coordinates: np.ndarray
    evaluated: np.ndarray
    values: np.ndarray
    labels: tuple[str, ...]
    mode: str = "max"


def search_progress(rows: "Sequence[SearchRow]", mode: str = "max") -> SearchProgress:
    """A `SearchProgress` of the rows of `ActivationSearch.table()`, by number of the trial.

    Args:
        rows: The rows.
        mode: `"max"` or `"min"`: whether more or less is better.
    """
    rows = sorted(rows, key=lambda row: row.number)
    values = np.array([row.value for row in rows], float)
    ended = np.where([row.pruned for row in rows], np.nan, values) if rows else values
    best = (np.fmin if mode == "min" else np.fmax).accumulate(ended)
    return SearchProgress(values, best, np.array([row.baseline for row in rows], bool))


def search_map(search: "ActivationSearch") -> SearchMap:
    """A `SearchMap` of an `ActivationSearch`; evaluated functions without a place are left out."""
    ids = {int(number): row for row, number in enumerate(search.chooser.ids)}
    rows = [row for row in search.table() if row.candidate in ids]
    return SearchMap(
        search.chooser.features.places(),
        np.array([ids[row.candidate] for row in rows], int),
        np.array([row.value for row in rows], float),
        tuple(row.expression for row in rows),
        search.objective.criterion.mode,
    )


def search_figures(search: "ActivationSearch", top: int = 9) -> dict[str, "Figure"]:
    """The figures of a search by name: `progress`, `map` and `functions`.

    Args:
        search: An `ActivationSearch` with one evaluation or more.
        top: How many of the best functions are drawn.

    Raises:
        ValueError: If nothing was evaluated yet.
    """
    rows = search.table()
    if not rows:
        raise ValueError("There is nothing to draw: no function was evaluated yet.")
    measure, mode = search.objective.measure, search.objective.criterion.mode
    return {
        "progress": draw_search_progress(search_progress(rows, mode), measure),
        "map": draw_search_map(search_map(search), measure),
        "functions": draw_functions(
            [
                (function_curve(function), row.value)
                for row in rows[:top]
                if row.value is not None
                for function in functions_of(row.expression)
            ]
        ),
    }


def draw_search_progress(progress: SearchProgress, measure: str = "validation metric") -> "Figure":
    """Draw the value of each evaluation and the best so far.

    Args:
        progress: From `search_progress`.
        measure: What the values are.
    """
    figure = _figure(5.0, 3.4)
    axes = figure.subplots()
    number = np.arange(1, len(progress.values) + 1)
    for flag, marker, label in ((True, "s", "baselines"), (False, "o", "suggested")):
        chosen = progress.baseline == flag
        axes.plot(number[chosen], progress.values[chosen], marker, markersize=4, label=label)
    failed = np.isnan(progress.values)
    if failed.any():
        bottom = np.full(failed.sum(), 0.02)
        axes.plot(
            number[failed],
            bottom,
            "x",
            color="0.5",
            markersize=4,
            label="failed",
            transform=axes.get_xaxis_transform(),
        )
    axes.step(number, progress.best, where="post", color="0.3", linewidth=1, label="best so far")
    axes.set_xlabel("evaluation")
    axes.set_ylabel(measure)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, fontsize=8)
    return figure


def draw_search_map(
    placed: SearchMap, measure: str = "validation metric", labelled: int = 3
) -> "Figure":
    """Draw the candidates where the embedding puts them, the evaluated ones bright if good.

    Args:
        placed: From `search_map`.
        measure: What the values are.
        labelled: How many of the best are named.
    """
    figure = _figure(5.4, 4.2)
    axes = figure.subplots()
    axes.scatter(*placed.coordinates.T, s=5, color="0.8", linewidths=0)
    if len(placed.evaluated):
        x, y = placed.coordinates[placed.evaluated].T
        failed = np.isnan(placed.values)
        axes.scatter(x[failed], y[failed], s=20, marker="x", color="0.4", lw=0.8)
        colours = "viridis_r" if placed.mode == "min" else "viridis"
        drawn = axes.scatter(x, y, c=placed.values, s=28, cmap=colours, edgecolors="0.3", lw=0.4)
        figure.colorbar(drawn, ax=axes, label=measure)
        sign = 1 if placed.mode == "min" else -1
        best = np.argsort(sign * placed.values, kind="stable")[: min(labelled, np.sum(~failed))]
        for rank, i in enumerate(best, start=1):
            # The best often lie together: a number beside each, their formulas below.
            axes.annotate(str(rank), (x[i], y[i]), xytext=(4, 4), textcoords="offset points")
            axes.plot([], [], " ", marker=f"${rank}$", color="0.2", label=placed.labels[i])
        if len(best):
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), frameon=False, fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])
    return figure


def draw_functions(curves: Sequence[tuple[FunctionCurve, float]], extent: float = 6.0) -> "Figure":
    """Draw functions side by side, with their values in the titles.

    Args:
        curves: Pairs of a `FunctionCurve` and a value.
        extent: The frame ends at function values of ± this; a curve that goes beyond leaves it.
    """
    columns = max(1, min(3, len(curves)))
    rows = max(1, -(-len(curves) // columns))
    figure = _figure(2.3 * columns, 2.0 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, (curve, value) in zip(grid.flat, curves, strict=False):
        axes.axhline(0, color="0.85", linewidth=0.8, zorder=0)
        axes.axvline(0, color="0.85", linewidth=0.8, zorder=0)
        axes.plot(curve.x, curve.values, linewidth=1.4)
        axes.set_ylim(*frame_of(curve.values, extent))
        axes.set_title(f"{curve.label}\n{value:.4f}", fontsize=7)
        axes.tick_params(labelsize=6)
    for axes in list(grid.flat)[len(curves) :]:
        axes.set_visible(False)
    return figure


def frame_of(values: np.ndarray, extent: float) -> tuple[float, float]:
    """The least and the greatest value that a frame shows: those of the curve, ± extent at most."""
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (-1.0, 1.0)
    margin = 0.05 * (min(high, extent) - max(low, -extent)) or 0.5
    low, high = max(low - margin, -extent), min(high + margin, extent)
    return (low, high) if low < high else (-extent, extent)


def _figure(width, height):
    return require("matplotlib.figure", extra="plot").Figure(
        figsize=(width, height), layout="constrained"
    )
