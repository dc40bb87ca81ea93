r"""The best continuous piecewise-linear function with few segments, for weighted points.

Given points $(x_m, y_m)$ with weights $w_m$, and K segments between breakpoints
$t_1 < \dots < t_{K-1}$ chosen from a grid, `fit_segments` minimises

$$\sum_m w_m\,\bigl(y_m - p(x_m)\bigr)^2$$

over the breakpoints and over p's values there, p being continuous. The search is exact: dynamic
programming over the breakpoints, where the state is the value v of p at the last one. Along one
choice of breakpoints the smallest cost so far is a quadratic in v, and the next segment maps
quadratics to quadratics. Those that cannot be a part of the best function are dropped by a bound:
the best cost of the remaining segments if they need not be continuous, less than what a first
guess costs in all.

Source: the recursion is that of continuous piecewise-linear changepoint detection (Fearnhead,
Maidstone and Letchford, "Detecting Changes in Slope With an L0 Penalty", 2019, section 3), for a
fixed number of segments.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from .segment_search import Points, Problem, solve

#: Most of Lawson's iterations towards the smallest largest error.
_LAWSON = 12

SYMMETRIES = (None, "odd", "even")
ENDS = ("free", "flat")


@dataclasses.dataclass(frozen=True, eq=False)
class Segments:
    """A continuous piecewise-linear function of K segments.

    Attributes:
        breakpoints: The K − 1 positions where one segment ends and the next begins, rising.
        slopes: Slope of each segment, (K,).
        intercepts: Value of each segment's line at zero, (K,).
        low: Lower end of the range it was fitted on.
        high: Upper end of that range.
        optimal: Whether the search proved that no function on its grid of breakpoints costs
            less, to one part in 10⁴. It gives up where too many functions are almost equal.

    Example:
    ```python
    relu = Segments(np.array([0.0]), np.array([0.0, 1.0]), np.array([0.0, 0.0]), -3.0, 3.0)
    relu(np.array([-1.0, 2.0]))  # [0.0, 2.0]
    ```
    """

    breakpoints: np.ndarray
    slopes: np.ndarray
    intercepts: np.ndarray
    low: float
    high: float
    optimal: bool = True

    def __len__(self) -> int:
        return len(self.slopes)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the function's values; the end segments go on outside the range."""
        x = np.asarray(x, dtype=np.float64)
        index = np.searchsorted(self.breakpoints, x, side="right")
        return self.slopes[index] * x + self.intercepts[index]

    def to_dict(self) -> dict:
        """Return the numbers for JSON."""
        return {
            "breakpoints": self.breakpoints.tolist(),
            "slopes": self.slopes.tolist(),
            "intercepts": self.intercepts.tolist(),
            "low": self.low,
            "high": self.high,
            "optimal": self.optimal,
        }


def fit_segments(
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray | None = None,
    segments: int = 16,
    *,
    candidates: int | np.ndarray = 128,
    left: str = "free",
    right: str = "free",
    symmetry: str | None = None,
    slopes: Sequence[float] | None = None,
    max_error: float | None = None,
) -> Segments:
    """Fit the best continuous piecewise-linear function; see the module for the objective.

    Args:
        x: Positions, (M,), finite, of any order; equal ones are allowed.
        y: Values there, finite.
        weights: Non-negative weights, not all zero; all one if `None`. Points of no weight get
            1e-9 of the mean, so that the function is determined where no data is.
        segments: Largest number K of segments.
        candidates: The grid of breakpoints: the positions themselves, or how many of them. These
            are quantiles of the points by weight, evenly spaced positions, and those where the
            points' slope changes most, in equal parts.
        left: `"flat"` for a slope of zero in the first segment.
        right: The same for the last.
        symmetry: `"odd"` for p(−x) = −p(x), `"even"` for p(−x) = p(x).
        slopes: The slopes that a segment may have; any if `None`. See `powers_of_two`.
        max_error: Bound on max |y − p(x)|. The weights are moved towards equal ones as far as
            needed.

    Returns:
        `Segments`. It has fewer segments than asked for where more do not help.

    Raises:
        ValueError: If an argument is not as above, there are fewer distinct positions than
            segments need, or `max_error` cannot be met.

    Example:
    ```python
    x = np.linspace(-6, 6, 1000)
    swish = fit_segments(x, x / (1 + np.exp(-x)), np.exp(-x * x / 2), segments=8)
    ```
    """
    points = Points.of(x, y, weights)
    _check_options(segments, left, right, symmetry, max_error)
    _check_candidates(candidates)
    allowed = _slopes_argument(slopes)
    if symmetry is not None:
        points = points.folded(symmetry == "odd")
        segments = (segments + 1) // 2 if symmetry == "odd" else max(1, segments // 2)
        if left == "flat":
            right = "flat"
    if segments > len(np.unique(points.x)):
        raise ValueError(
            "A function needs at least as many distinct inputs as segments. Received: "
            f"{len(np.unique(points.x))} distinct inputs for {segments} segments. Ask for fewer "
            "segments or give more data."
        )
    grid = _grid(points, candidates, start=0.0 if symmetry else None)
    problem = Problem(
        segments,
        flat_left=left == "flat" and symmetry is None,
        flat_right=right == "flat",
        from_zero=symmetry == "odd",
        slopes=allowed,
    )
    solved = _bounded(points, grid, problem, max_error)
    found = _segments_of(*solved)
    return found if symmetry is None else _unfolded(found, symmetry == "odd")


def powers_of_two(smallest: int = -6, largest: int = 1) -> list[float]:
    """Return zero and ±2^e for e from `smallest` to `largest`: slopes that are bit shifts."""
    steps = [2.0**e for e in range(smallest, largest + 1)]
    return sorted([0.0, *steps, *(-s for s in steps)])


def _check_options(segments: Any, left: Any, right: Any, symmetry: Any, max_error: Any) -> None:
    if isinstance(segments, bool) or not isinstance(segments, int | np.integer) or segments < 1:
        raise ValueError(f"segments is a positive integer. Received: {segments!r}.")
    if segments > 1024:
        raise ValueError(f"segments is at most 1024. Received: {segments}.")
    for name, end in (("left", left), ("right", right)):
        if end not in ENDS:
            raise ValueError(f"{name} is one of {ENDS}. Received: {end!r}.")
    if symmetry not in SYMMETRIES:
        raise ValueError(f"symmetry is one of {SYMMETRIES}. Received: {symmetry!r}.")
    if max_error is not None and not max_error > 0:
        raise ValueError(f"max_error is a positive number. Received: {max_error!r}.")


def _check_candidates(candidates: Any) -> None:
    few = isinstance(candidates, int | np.integer) and candidates < 1
    if isinstance(candidates, bool) or few:
        raise ValueError(
            "candidates is a positive integer, or the positions themselves. Received: "
            f"{candidates!r}."
        )


def _slopes_argument(slopes: Any) -> np.ndarray | None:
    """Different slopes in rising order."""
    if slopes is None:
        return None
    try:
        found = np.unique(np.asarray(slopes, dtype=np.float64))
    except (TypeError, ValueError):
        found = np.array(np.nan)
    if not found.size or not np.isfinite(found).all():
        raise ValueError(
            f"slopes is a list of finite numbers. Received: {slopes!r}. powers_of_two() gives one."
        )
    return found


def _grid(points: Points, candidates: Any, start: float | None) -> np.ndarray:
    """Positions of possible breakpoints, both ends of the range included."""
    low = points.x[0] if start is None else start
    high = points.x[-1]
    if not low < high:
        raise ValueError(
            f"The inputs cover a range. Received: all of them are {high:g}. A constant input "
            "needs no activation; leave the site out."
        )
    if isinstance(candidates, int | np.integer) and not isinstance(candidates, bool):
        distinct = np.unique(points.x)
        cumulative = np.cumsum(points.w)
        third = max(2, int(candidates) // 3)
        by_weight = np.interp(np.linspace(0, cumulative[-1], third), cumulative, points.x)
        even = np.linspace(low, high, third)
        inner = distinct
        if len(distinct) > candidates:
            inner = np.concatenate([by_weight, even, _kinks(points, third)])
    else:
        inner = np.asarray(candidates, dtype=np.float64).reshape(-1)
    inner = inner[(inner > low) & (inner < high)]
    grid = np.unique(np.concatenate([[low], inner, [high]]))
    # Positions closer than rounding allows to tell slopes apart are one position.
    keep = np.concatenate([[True], np.diff(grid) > 1e-9 * (high - low)])
    keep[-1] = True
    return grid[keep]


def _kinks(points: Points, count: int) -> np.ndarray:
    """Where the lines through neighbouring points meet, for the largest changes of slope."""
    x, first = np.unique(points.x, return_index=True)
    y = points.y[first]
    slopes = np.diff(y) / np.diff(x)
    change = np.abs(slopes[2:] - slopes[:-2])
    largest = np.argsort(-change, kind="stable")[:count]
    largest = largest[change[largest] > 1e-9 * np.abs(slopes).max(initial=0.0)]
    before, after = slopes[largest], slopes[largest + 2]
    left, right = largest + 1, largest + 2
    meet = (y[right] - y[left] + before * x[left] - after * x[right]) / (before - after)
    return np.clip(meet, x[left], x[right])


def _bounded(points, grid, problem, max_error):
    """Grid positions and values of the best function, within `max_error` if there is one."""

    def fit(weighted):
        positions, values, optimal = solve(weighted, grid, problem)
        errors = np.abs(np.interp(points.x, positions, values) - points.y)
        return errors, (positions, values, optimal)

    errors, found = fit(points)
    if max_error is None or errors.max() <= max_error:
        return found
    equal = points.with_equal_weights()
    errors, found = fit(equal)
    smallest = errors.max()
    for _ in range(_LAWSON):
        if errors.max() <= max_error:
            break
        # Lawson's iteration: more weight where the error is large brings the largest one down.
        weights = equal.w * (errors / errors.max() + 1e-3)
        equal = dataclasses.replace(equal, w=weights / weights.sum())
        errors, found = fit(equal)
        smallest = min(smallest, errors.max())
    else:
        raise ValueError(
            f"A function of {problem.segments} segments on this grid keeps max_error. Received: "
            f"max_error={max_error:g}, and the smallest error found is {smallest:g}. Allow more "
            "segments or a larger error."
        )
    low, high = 0.0, 1.0
    for _ in range(8):
        share = (low + high) / 2
        mixed = dataclasses.replace(points, w=(1 - share) * points.w + share * equal.w)
        errors, tried = fit(mixed)
        if errors.max() <= max_error:
            found, high = tried, share
        else:
            low = share
    return found


def _segments_of(positions: np.ndarray, values: np.ndarray, optimal: bool) -> Segments:
    slopes = np.diff(values) / np.diff(positions)
    intercepts = values[:-1] - slopes * positions[:-1]
    ends = float(positions[0]), float(positions[-1])
    return Segments(positions[1:-1], slopes, intercepts, *ends, optimal)


def _unfolded(half: Segments, odd: bool) -> Segments:
    """The function on both sides of zero from the one on x ≥ 0."""
    sign = 1.0 if odd else -1.0
    breaks = np.concatenate([-half.breakpoints[::-1], half.breakpoints])
    slopes = np.concatenate([sign * half.slopes[:0:-1], half.slopes])
    intercepts = np.concatenate([-sign * half.intercepts[:0:-1], half.intercepts])
    if not odd:
        zero = len(half.breakpoints)
        breaks = np.insert(breaks, zero, 0.0)
        slopes = np.insert(slopes, zero, -half.slopes[0])
        intercepts = np.insert(intercepts, zero, half.intercepts[0])
    return Segments(breaks, slopes, intercepts, -half.high, half.high, half.optimal)
