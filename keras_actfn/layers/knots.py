r"""Piecewise-linear functions on NumPy arrays, and the range of knots that fits a function.

$$f(x) = v_s + \frac{x - x_s}{x_{s+1} - x_s}\,(v_{s+1} - v_s)
\quad\text{for } x_s \le x < x_{s+1}$$

Outside the knots the end segments go on (`"linear"`) or f is constant (`"clamp"`).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

EXTRAPOLATIONS = ("linear", "clamp")

#: The range that a start is compared with its function on, unless inputs are given.
REACH = (-20.0, 20.0)

#: A start agrees with its function f where they differ by no more than this times (1 + |f|).
TOLERANCE = 0.02

#: Where the outer knots lie by default, as in the paper, and where they may go instead.
DEFAULT = 3.0
_ENDS = (DEFAULT, 4.0, 5.0, 6.0, 8.0, 9.0, 10.0, 12.0)


def pwl_values(
    x: Any, knots: np.ndarray, values: np.ndarray, extrapolation: str = "linear"
) -> np.ndarray:
    """Values of a piecewise-linear function, in float64.

    Args:
        x: Numbers of any shape.
        knots: Positions in rising order, (K,).
        values: Values at the knots, (K,).
        extrapolation: `"linear"` or `"clamp"`.
    """
    x = np.asarray(x, dtype="float64")
    result = np.interp(x, knots, values)
    if extrapolation == "linear":
        slopes = np.diff(values) / np.diff(knots)
        result = result + slopes[0] * np.minimum(x - knots[0], 0)
        result = result + slopes[-1] * np.maximum(x - knots[-1], 0)
    return result


def pwl_slopes(
    x: Any, knots: np.ndarray, values: np.ndarray, extrapolation: str = "linear"
) -> np.ndarray:
    """Slopes of a piecewise-linear function, at a knot that to its right; see `pwl_values`."""
    slopes = np.diff(values) / np.diff(knots)
    index = np.searchsorted(knots, x, side="right") - 1
    inside = np.clip(index, 0, slopes.size - 1)
    if extrapolation == "linear":
        return slopes[inside]
    return np.where((index >= 0) & (index < slopes.size), slopes[inside], 0.0)


@dataclass(frozen=True)
class KnotRange:
    """A range of evenly spaced knots, and how well a piecewise-linear function on it fits.

    Attributes:
        low: Position of the first knot.
        high: Position of the last knot.
        error: Largest |start − f| / (1 + |f|) where the two were compared.
        outside: The same outside the knots; 0 where nothing was compared there.
        difference: |start − f| there.
        at: Where that is.
        agrees: The longest interval on which the error is at most `TOLERANCE`; of length 0
            where there is none.
    """

    low: float
    high: float
    error: float
    outside: float
    difference: float
    at: float
    agrees: tuple[float, float]

    @property
    def fits(self) -> bool:
        """Whether the error is at most `TOLERANCE`."""
        return self.error <= TOLERANCE


def knot_range(
    function: Callable,
    knots: int = 33,
    low: float | None = None,
    high: float | None = None,
    *,
    inputs: Any = None,
    extrapolation: str = "linear",
    interpolant: Callable[..., np.ndarray] = pwl_values,
) -> KnotRange:
    """Choose the outer knots so that interpolation of a function agrees with it.

    With linear extrapolation the function and its start are compared on [−20, 20], or on the
    range of `inputs`. [−3, 3] stays where the function goes on in straight lines outside. Else,
    of −3, −4, … −12 and 3, 4, … 12 (and the ends of the inputs), the narrowest range is taken
    with |start − f| ≤ 0.02 (1 + |f|) throughout. Where there is none, the best range is taken
    if it comes within 0.1 (1 + |f|), and else [−3, 3]. With `"clamp"` the start is constant
    outside the knots by request: [−3, 3] stays, and is compared between the knots only.

    Args:
        function: Elementwise function of float64 arrays, such as `expressions.resolve` returns.
        knots: Number of knots.
        low: Position of the first knot; `None` chooses it.
        high: Position of the last knot; `None` chooses it.
        inputs: Samples of what the function is applied to, any shape.
        extrapolation: `"linear"` or `"clamp"`.
        interpolant: The function through values at knots, as `pwl_values`.

    Returns:
        The `KnotRange`.

    Raises:
        ValueError: If no candidate for a missing end leaves `low` below `high`.

    Example:
    ```python
    from keras_actfn.expressions import resolve
    from keras_actfn.layers.knots import knot_range

    knot_range(resolve("relu6")).high  # 9.0
    ```
    """
    clamp = extrapolation == "clamp"
    ends, reach = _candidates(inputs, clamp)
    lows = [-end for end in ends] if low is None else [low]
    highs = ends if high is None else [high]
    if inputs is not None:
        lows = [*lows, reach[0]] if low is None else lows
        highs = [*highs, reach[1]] if high is None else highs
    pairs = [(a, b) for a in lows for b in highs if a < b]
    if not pairs:
        raise ValueError(
            f"The first knot lies below the last. Received: low={low}, high={high}. Give both ends."
        )
    compared = functools.partial(
        _compared,
        function,
        knots,
        reach=reach,
        extrapolation=extrapolation,
        interpolant=interpolant,
    )
    first = compared(*pairs[0])
    if first.fits or first.outside <= TOLERANCE or len(pairs) == 1:
        return first
    found = [first, *(compared(*pair) for pair in pairs[1:])]
    fitting = [each for each in found if each.fits]
    if fitting:
        return min(fitting, key=lambda each: (each.high - each.low, each.error))
    best = min(found, key=lambda each: each.error)
    return best if best.error <= 5 * TOLERANCE else first


def _candidates(inputs, clamp):
    """Distances of the outer knots from zero, and the range of the comparison."""
    if inputs is None:
        return (_ENDS[:1], None) if clamp else (_ENDS, REACH)
    inputs = np.asarray(inputs, dtype="float64")
    inputs = inputs[np.isfinite(inputs)]
    if not inputs.size or inputs.min() == inputs.max():
        raise ValueError(
            "The inputs of an activation, from which the range of its knots is chosen, hold two "
            f"different finite numbers or more. Received: {inputs[:1]} only."
        )
    return _ENDS, (float(inputs.min()), float(inputs.max()))


def _compared(function, knots, low, high, *, reach, extrapolation, interpolant):
    positions = np.linspace(low, high, knots)
    start, end = (low, high) if reach is None else reach
    # Between the knots, where the interpolation errs most, as well. The length is the same for
    # all ranges, because JAX compiles a function for each.
    middles = np.clip((positions[1:] + positions[:-1]) / 2, start, end)
    x = np.sort(np.concatenate([np.linspace(start, end, 2001), middles]))
    with np.errstate(all="ignore"):
        values = np.asarray(function(positions), dtype="float64")
        expected = np.asarray(function(x), dtype="float64")
        difference = np.abs(interpolant(x, positions, values, extrapolation) - expected)
        error = difference / (1 + np.abs(expected))
    known = np.isfinite(expected)
    if not known.any() or not np.isfinite(values).all():
        return KnotRange(low, high, np.inf, np.inf, np.inf, low, (low, low))
    error = np.where(known, error, 0.0)
    worst = int(np.argmax(error))
    return KnotRange(
        low=low,
        high=high,
        error=float(error[worst]),
        outside=float(error[(x < low) | (x > high)].max(initial=0)),
        difference=float(difference[worst]),
        at=float(x[worst]),
        agrees=_longest_run(x, error <= TOLERANCE),
    )


def _longest_run(x, good):
    """The longest interval of positions that are all good."""
    edges = np.flatnonzero(np.diff(np.r_[False, good, False]))
    runs = [(x[a], x[b - 1]) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    low, high = max(runs, key=lambda run: run[1] - run[0], default=(x[0], x[0]))
    return float(low), float(high)
