"""Figures of a benchmark and of the searches on it. Numbers come from `keras_actfn.search`."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from .._optional import require
from ..search.benchmarks.left_out import ATLAS
from ..search.benchmarks.results import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Names of the sets of features in titles, in the order of the panels.
_TITLES = {
    "both": "outputs and Fisher spectra",
    "outputs": "outputs",
    "spectra": "Fisher spectra",
}
_PANEL = 3.6  # inches


@dataclasses.dataclass(frozen=True, eq=False)
class Accuracies:
    """How the functions of a benchmark are distributed over validation accuracy.

    Attributes:
        edges: Edges of the bins, (bins + 1,).
        valid: Functions with a valid Fisher spectrum in each bin, (bins,).
        invalid: The others, (bins,).
    """

    edges: np.ndarray
    valid: np.ndarray
    invalid: np.ndarray


def accuracies(bench: Any, bins: int = 40) -> Accuracies:
    """The `Accuracies` of an `ActBench`: of another metric than accuracy, its values.

    From 0 to 1 for accuracies, else from the worst to the best; see `results`.
    """
    value = results(bench)
    known = np.isfinite(value)
    low, high = 0.0, 1.0
    if bench.metric != "accuracy":
        low, high = float(value[known].min()), float(value[known].max())
    edges = np.linspace(low, high, bins + 1)
    valid, _ = np.histogram(value[bench.valid & known], edges)
    invalid, _ = np.histogram(value[~bench.valid & known], edges)
    return Accuracies(edges, valid, invalid)


def results(bench: Any) -> np.ndarray:
    """The metric of each function on validation data, as `bench.score` cuts and orders it."""
    return bench.score if bench.mode == "max" else -bench.score


def draw_bench(bench: Any, coordinates: np.ndarray | None = None) -> "Figure":
    """Histogram of validation accuracies, and the map of the functions coloured by them.

    Args:
        bench: An `ActBench`.
        coordinates: Places of the functions with a valid spectrum, in their order, (valid, 2);
            None draws the histogram alone.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    figure, panels = _panels(1 if coordinates is None else 2)
    found = accuracies(bench)
    width = np.diff(found.edges)
    label = "valid spectrum" if bench.cdfs.shape[1] else "finite outputs"  # without spectra
    panels[0].bar(found.edges[:-1], found.valid, width, align="edge", label=label)
    panels[0].bar(
        found.edges[:-1],
        found.invalid,
        width,
        bottom=found.valid,
        align="edge",
        color="0.7",
        label=f"no {label}",
    )
    panels[0].set(xlabel=f"validation {bench.metric}", ylabel="functions", title=bench.name)
    panels[0].set_yscale("symlog", linthresh=10)
    panels[0].legend(frameon=False)
    if coordinates is not None:
        value, least = results(bench)[bench.valid], bench.mode == "min"
        order = np.argsort(bench.score[bench.valid])  # the best on top
        points = panels[1].scatter(
            *coordinates[order].T,
            c=value[order],
            s=6,
            cmap="viridis_r" if least else "viridis",
            **{"vmax" if least else "vmin": np.nanquantile(value, 0.9 if least else 0.1)},
        )
        extend = "max" if least else "min"
        figure.colorbar(points, ax=panels[1], label=f"validation {bench.metric}", extend=extend)
        title = "outputs and Fisher spectra" if bench.cdfs.shape[1] else "outputs"
        panels[1].set(xticks=[], yticks=[], title=title)
    return figure


def draw_bench_run(run: Any) -> "Figure":
    """Best accuracy so far, one panel for each set of features, 95 % intervals shaded.

    Args:
        run: A `keras_actfn.search.benchmarks.results.BenchRun`.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    curves = run.curves()
    shown = [kind for kind in _TITLES if kind in {curve.features for curve in curves}] or [""]
    figure, panels = _panels(len(shown))
    sign = ", negated" if run.bench.mode == "min" else ""
    names = sorted({curve.regressor for curve in curves})
    value = run.bench.score
    for kind, axes in zip(shown, panels, strict=True):
        for curve in curves:
            if curve.features not in (kind, ""):
                continue
            random = curve.regressor == "random"
            colour = "0.5" if random else f"C{names.index(curve.regressor) % 10}"
            axes.plot(curve.evaluations, curve.mean, color=colour, label=curve.regressor)
            axes.fill_between(
                curve.evaluations, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0
            )
        axes.axhline(value[run.relu], color="0.3", linestyle=":", linewidth=0.8, label="ReLU")
        axes.axhline(np.nanmax(value), color="0.3", linestyle="--", linewidth=0.8, label="best")
        axes.set(xlabel="evaluations", title=_TITLES.get(kind, ""))
        axes.sharey(panels[0])
    panels[0].set_ylabel(f"best validation {run.bench.metric} so far{sign}")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def draw_left_out(found: Any) -> "Figure":
    """Share of the gap closed by evaluations, a panel for each task, 95 % intervals shaded.

    The gap is that between the best usual function, 0, and the best function, 1.

    Args:
        found: A `keras_actfn.search.benchmarks.left_out.LeftOut`.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    tasks = found.tasks
    columns = min(len(tasks), 4)
    figure, panels = _panels(columns, -(-len(tasks) // columns))
    colours = {kind: f"C{i % 10}" for i, kind in enumerate(found.kinds())}
    steps = np.arange(1, found.budget + 1)
    for axes, task in zip(panels, tasks, strict=False):
        for (regressor, begins), colour in colours.items():
            features = next(f for name, f in found.runs[task, begins].trials if name == regressor)
            mean, low, high = mean_interval(found.gain_curve(task, begins, regressor, features))
            style = "-" if begins == ATLAS else "--"
            label = f"{regressor}, {'atlas' if begins == ATLAS else 'from scratch'}"
            axes.plot(steps, mean, style, color=colour, label=label)
            axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.axhline(0, color="0.3", linestyle=":", linewidth=0.8)
        axes.axhline(1, color="0.3", linestyle=":", linewidth=0.8)
        axes.set(xlabel="evaluations", title=task)
        axes.sharey(panels[0])
    for axes in panels[len(tasks) :]:
        axes.set_visible(False)
    panels[0].set_ylabel("share of the gap closed")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _panels(count, rows=1):
    figure = require("matplotlib.figure", extra="plot").Figure(
        figsize=(_PANEL * max(count, 1) + 1, _PANEL * rows + 0.6), layout="constrained"
    )
    return figure, list(figure.subplots(rows, count, squeeze=False).flat)
