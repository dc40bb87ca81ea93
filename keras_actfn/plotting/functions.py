"""Curves of single functions and their slopes, such as one function of a search space."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from .._optional import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True, eq=False)
class FunctionCurve:
    """A function and its slope.

    Attributes:
        label: Name of the function.
        x: Inputs, `(points,)`.
        values: Values, `(points,)`; NaN where not finite.
        slopes: Derivatives by central differences, `(points,)`; NaN where not finite.
    """

    label: str
    x: np.ndarray
    values: np.ndarray
    slopes: np.ndarray


def function_curve(
    function: Any,
    label: str | None = None,
    low: float = -5.0,
    high: float = 5.0,
    points: int = 1001,
) -> FunctionCurve:
    """Sample a function of NumPy arrays, such as an expression, in float64.

    Args:
        function: Callable from an array to an array of the same shape.
        label: Name in the figure; the function's text if None.
        low: Least input.
        high: Greatest input.
        points: Number of inputs.

    Returns:
        A `FunctionCurve`.

    Raises:
        ValueError: If `low` is not below `high`, or there are fewer than three points.
    """
    if not low < high or points < 3:
        raise ValueError(
            f"A curve needs low < high and three points or more; got low={low}, high={high}, "
            f"points={points}."
        )
    x = np.linspace(low, high, points)
    with np.errstate(all="ignore"):
        values = np.asarray(function(x), "float64")
        values = np.where(np.isfinite(values), values, np.nan)
        slopes = np.gradient(values, x)
    slopes = np.where(np.isfinite(slopes), slopes, np.nan)
    return FunctionCurve(str(function) if label is None else label, x, values, slopes)


def draw_function(curve: "FunctionCurve", extent: float = 6.0) -> "Figure":
    """Draw a function and, dashed, its slope.

    Args:
        curve: A `FunctionCurve`.
        extent: Values beyond ± this are cut off, so that a pole does not flatten the rest.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    figure = require("matplotlib.figure", extra="plot").Figure(
        figsize=(5.0, 3.6), layout="constrained"
    )
    axes = figure.subplots()
    axes.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    axes.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    axes.plot(curve.x, curve.values, color="C0", label="f(x)")
    axes.plot(curve.x, curve.slopes, color="C1", linestyle="--", linewidth=1, label="f′(x)")
    drawn = np.concatenate([curve.values, curve.slopes])
    drawn = drawn[np.isfinite(drawn)]
    if drawn.size:
        low, high = np.clip([drawn.min(), drawn.max()], -extent, extent)
        margin = 0.05 * max(high - low, 1e-3)
        axes.set_ylim(low - margin, high + margin)
    axes.set_xlabel("x")
    axes.set_title(curve.label, fontsize=9)
    axes.legend(frameon=False)
    return figure
