"""Figures of the theory tools and of recorded training: typed data first, drawing second."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._optional import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..theory.eafo import EafoStep

_PANEL = 3.2  # inches


@dataclasses.dataclass(frozen=True, eq=False)
class DerivedCurve:
    """A function derived on knots, with what it is compared to.

    Attributes:
        title: What was derived.
        knots: Knot positions, `(knots,)`.
        values: Its values there, `(knots,)`.
        x: Positions of the rival curves, `(points,)`.
        rivals: Label to values at `x`, scaled to lie over the derived function.
        density: Density of the input at `x`, `(points,)`.
    """

    title: str
    knots: np.ndarray
    values: np.ndarray
    x: np.ndarray
    rivals: dict
    density: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class LayerEvolution:
    """A layer's curve at the recorded epochs.

    Attributes:
        layer: Name of the layer.
        epochs: Epochs, `(snapshots,)`; 0 is before training.
        x: Positions, `(points,)`.
        curves: Values, `(snapshots, points)`: the mean over units.
        low: Least over the units, `(snapshots, points)`.
        high: Greatest over the units.
    """

    layer: str
    epochs: np.ndarray
    x: np.ndarray
    curves: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class GaussianityPanel:
    """Class histograms of a layer's inputs beside the normal laws that fit them.

    Attributes:
        layer: Name of the layer.
        centres: Bin centres, `(bins,)`.
        densities: Observed density per class, `(classes, bins)`; zero for an empty class.
        normals: Normal density with each class's mean and std, `(classes, bins)`.
        distances: Kolmogorov distance per class, NaN where there are too few data.
    """

    layer: str
    centres: np.ndarray
    densities: np.ndarray
    normals: np.ndarray
    distances: np.ndarray


def derived_correlation(
    objective: Any, values: ArrayLike, shapes: Any = None, unrestricted: Any = None
) -> DerivedCurve:
    """The curve of a correlation optimum.

    Args:
        objective: A `keras_actfn.theory.CorrelationObjective` of a mixture.
        values: Knot values.
        shapes: A `ShapeComparison` whose best fit, Swish and ReLU are drawn as rivals.
        unrestricted: An `UnrestrictedOptimum`, drawn with the mean and std of the curve.
    """
    knots = objective.knots
    x = np.linspace(knots[0], knots[-1], 241)
    rivals = {}
    if shapes is not None:
        for name in dict.fromkeys((shapes.best.family, "swish", "relu")):
            fit = shapes[name]
            rivals[f"{name}, R² {fit.r2:.4f}"] = fit(x)
    if unrestricted is not None:
        statistics = objective.statistics
        mean = statistics.priors @ statistics.means @ values
        rivals["best of all functions"] = mean + unrestricted(x) * np.sqrt(
            statistics.variance(values)
        )
    title = f"correlation optimum, L = {objective.value(values):.4f}"
    correlations = objective.correlations(values)
    if len(correlations) == 2:  # then L is zero for every function
        title = f"optimum for two classes, ρ₂ = {correlations[1]:.4f}"
    return DerivedCurve(
        title=title,
        knots=knots,
        values=np.asarray(values),
        x=x,
        rivals=rivals,
        density=objective.mixture.pdf(x),
    )


def derived_entropy_step(
    step: "EafoStep", activation: Any, density: Any, knots: ArrayLike, label: str = "before"
) -> DerivedCurve:
    """The curve of an entropy step.

    Args:
        step: A `keras_actfn.theory.EafoStep`.
        activation: The function before, on NumPy arrays.
        density: p(x) on NumPy arrays.
        knots: Positions of the table.
        label: Name of the function before.
    """
    knots = np.asarray(knots, dtype=np.float64)
    x = np.linspace(knots[0], knots[-1], 241)
    change = step.entropy_after - step.entropy_before
    return DerivedCurve(
        title=f"entropy step {step.step:.3g}, change of H {change:+.4f}",
        knots=knots,
        values=step.table(knots),
        x=x,
        rivals={label: np.asarray(activation(x))},
        density=np.asarray(density(x)),
    )


def evolution(snapshots: Any) -> list[LayerEvolution]:
    """Curves over training, one entry a layer, from `keras_actfn.callbacks.Snapshots`."""
    return [
        LayerEvolution(
            layer=name,
            epochs=snapshots.epochs,
            x=snapshots.x,
            curves=values.mean(axis=-1),
            low=values.min(axis=-1),
            high=values.max(axis=-1),
        )
        for name, values in snapshots.curves.items()
    ]


def gaussianity_panels(snapshots: Any, snapshot: int = -1) -> list[GaussianityPanel]:
    """Histograms and fitted normal laws, one entry a layer with histograms."""
    edges = snapshots.edges
    centres, width = 0.5 * (edges[:-1] + edges[1:]), np.diff(edges)
    panels = []
    for name, counts in snapshots.histograms.items():
        counts = counts[snapshot].astype(np.float64)
        totals = np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
        normals, distances = np.zeros_like(counts), np.full(len(counts), np.nan)
        for k, found in enumerate(snapshots.gaussianity(name, snapshot)):
            if found is not None:
                z = (centres - found.mean) / found.std
                normals[k] = np.exp(-0.5 * z * z) / (found.std * np.sqrt(2 * np.pi))
                distances[k] = found.distance
        panels.append(GaussianityPanel(name, centres, counts / totals / width, normals, distances))
    return panels


def draw_derived(curve: DerivedCurve) -> "Figure":
    """Draw a derived function over its rivals, the input density in the background.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    figure, (axes,) = _figure(1, width=1.5)
    behind = axes.twinx()
    behind.fill_between(curve.x, curve.density, color="0.92", linewidth=0)
    behind.set_ylim(0, None)
    behind.set_yticks([])
    axes.set_zorder(behind.get_zorder() + 1)
    axes.patch.set_visible(False)
    for label, values in curve.rivals.items():
        axes.plot(curve.x, values, linewidth=1, label=label)
    axes.plot(curve.knots, curve.values, color="black", marker=".", markersize=4, label="derived")
    axes.set_title(curve.title, fontsize=9)
    axes.set_xlabel("input (shaded: its density)")
    axes.legend(fontsize=7, frameon=False)
    return figure


def draw_evolution(snapshots: Any) -> "Figure":
    """One panel a layer, one line a recorded epoch, dark for late ones (the paper's Fig. 3).

    The last epoch's range over channels is shaded where a layer has several functions.
    """
    layers = evolution(snapshots)
    figure, panels = _figure(len(layers))
    for axes, layer in zip(panels, layers, strict=True):
        for i, curve in enumerate(layer.curves):
            shade = 0.85 * (1 - i / max(len(layer.curves) - 1, 1))
            ends = i in (0, len(layer.curves) - 1)
            label = f"epoch {layer.epochs[i]}" if ends else None
            axes.plot(layer.x, curve, color=str(shade), linewidth=1, label=label)
        axes.fill_between(layer.x, layer.low[-1], layer.high[-1], color="C0", alpha=0.2)
        axes.set_title(layer.layer, fontsize=9)
        axes.set_xlabel("input")
    panels[0].legend(fontsize=7, frameon=False)
    return figure


def draw_gaussianity(snapshots: Any, snapshot: int = -1) -> "Figure":
    """One panel a layer: class histograms and, dashed, the normal laws that fit them."""
    layers = gaussianity_panels(snapshots, snapshot)
    if not layers:
        raise ValueError("These snapshots hold no histograms; pass x and y to ActivationSnapshots.")
    figure, panels = _figure(len(layers))
    for axes, layer in zip(panels, layers, strict=True):
        for k, (observed, normal) in enumerate(zip(layer.densities, layer.normals, strict=True)):
            axes.plot(layer.centres, observed, color=f"C{k % 10}", linewidth=0.8)
            axes.plot(layer.centres, normal, color=f"C{k % 10}", linewidth=0.8, linestyle="--")
        worst = np.nanmax(layer.distances) if np.isfinite(layer.distances).any() else np.nan
        axes.set_title(f"{layer.layer}, largest distance {worst:.3f}", fontsize=9)
        axes.set_xlabel("pre-activation")
        axes.set_yticks([])
    return figure


def _figure(count, width=1.0):
    figure_module = require("matplotlib.figure", extra="plot")
    columns = min(count, 4)
    rows = -(-count // columns)
    figure = figure_module.Figure(
        figsize=(width * _PANEL * columns, _PANEL * rows), layout="constrained"
    )
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, list(panels[:count])
