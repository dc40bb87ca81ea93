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

import numpy as np

#: A function is called optimal if no other costs less by more than this part of its cost.
_TOLERANCE = 1e-4

#: Weight of the ends of a segment, where all points together weigh one.
_END_WEIGHT = 1e-9

#: Most of Lawson's iterations towards the smallest largest error.
_LAWSON = 12

#: Partial functions of one number of segments that are followed at most.
_MOST_PATHS = 10_000

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
    points = _Points.of(x, y, weights)
    _check_options(segments, left, right, symmetry, max_error)
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
    problem = _Problem(
        segments,
        flat_left=left == "flat" and symmetry is None,
        flat_right=right == "flat",
        from_zero=symmetry == "odd",
        slopes=None if slopes is None else np.unique(np.asarray(slopes, dtype=np.float64)),
    )
    solved = _bounded(points, grid, problem, max_error)
    found = _segments_of(*solved)
    return found if symmetry is None else _unfolded(found, symmetry == "odd")


def powers_of_two(smallest: int = -6, largest: int = 1) -> list[float]:
    """Return zero and ±2^e for e from `smallest` to `largest`: slopes that are bit shifts."""
    steps = [2.0**e for e in range(smallest, largest + 1)]
    return sorted([0.0, *steps, *(-s for s in steps)])


@dataclasses.dataclass(frozen=True, eq=False)
class _Points:
    """Points in rising order of x, weights that sum to one."""

    x: np.ndarray
    y: np.ndarray
    w: np.ndarray

    @classmethod
    def of(cls, x, y, weights) -> "_Points":
        x = np.asarray(x, dtype=np.float64).reshape(-1)
        y = np.asarray(y, dtype=np.float64).reshape(-1)
        w = np.ones_like(x) if weights is None else np.asarray(weights, np.float64).reshape(-1)
        if not len(x) == len(y) == len(w) or not len(x):
            raise ValueError(
                "x, y and weights have one entry for each point, and there is at least one. "
                f"Received: {len(x)}, {len(y)} and {len(w)} entries."
            )
        for name, array in (("x", x), ("y", y), ("weights", w)):
            if not np.isfinite(array).all():
                bad = array[~np.isfinite(array)][0]
                raise ValueError(
                    f"{name} holds finite numbers. Received: {bad} among them. Leave these "
                    "points out."
                )
        if (w < 0).any() or not w.sum() > 0:
            raise ValueError(
                "weights are not negative and not all zero. Received: the smallest is "
                f"{w.min():g}, their sum {w.sum():g}."
            )
        order = np.argsort(x, kind="stable")
        w = w[order] / w.sum()
        return cls(x[order], y[order], np.maximum(w, 1e-9 / len(w)))

    def folded(self, odd: bool) -> "_Points":
        """The points on x ≥ 0 that a symmetric function has to fit."""
        y = np.where(self.x < 0, -self.y, self.y) if odd else self.y
        return _Points.of(np.abs(self.x), y, self.w)

    def with_equal_weights(self) -> "_Points":
        return dataclasses.replace(self, w=np.full_like(self.w, 1 / len(self.w)))


@dataclasses.dataclass(frozen=True)
class _Problem:
    segments: int
    flat_left: bool
    flat_right: bool
    from_zero: bool
    slopes: np.ndarray | None


def _check_options(segments, left, right, symmetry, max_error) -> None:
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


def _grid(points: _Points, candidates, start: float | None) -> np.ndarray:
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


def _kinks(points: _Points, count: int) -> np.ndarray:
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

    def solve(weighted):
        positions, values, optimal = _solve(weighted, grid, problem)
        errors = np.abs(np.interp(points.x, positions, values) - points.y)
        return errors, (positions, values, optimal)

    errors, found = solve(points)
    if max_error is None or errors.max() <= max_error:
        return found
    equal = points.with_equal_weights()
    errors, found = solve(equal)
    smallest = errors.max()
    for _ in range(_LAWSON):
        if errors.max() <= max_error:
            break
        # Lawson's iteration: more weight where the error is large brings the largest one down.
        weights = equal.w * (errors / errors.max() + 1e-3)
        equal = dataclasses.replace(equal, w=weights / weights.sum())
        errors, found = solve(equal)
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
        errors, tried = solve(mixed)
        if errors.max() <= max_error:
            found, high = tried, share
        else:
            low = share
    return found


class _Costs:
    """Cost of the segment from grid position i to j as a quadratic of its end values u and v.

    A u² + B u v + C v² + D u + E v + F, each a matrix over i and j, meant for i < j. `alone` is
    the smallest cost of each segment with ends of its own, or less.
    """

    def __init__(self, points: _Points, grid: np.ndarray, slopes: np.ndarray | None):
        # Positions in units of the range, which keeps the sums of squares accurate.
        scale = grid[-1] - grid[0]
        t, x = (grid - grid[0]) / scale, (points.x - grid[0]) / scale
        edges = np.searchsorted(points.x, grid, side="left")
        edges[0], edges[-1] = 0, len(x)

        def between(terms):
            total = np.concatenate([[0.0], np.cumsum(terms)])[edges]
            return total[None, :] - total[:, None]

        w, y = points.w, points.y
        s0, s1, s2 = between(w), between(w * x), between(w * x * x)
        sy, sxy, syy = between(w * y), between(w * x * y), between(w * y * y)
        start = t[:, None]
        h = np.where(t[None, :] > start, t[None, :] - start, 1.0)
        p1 = (s1 - start * s0) / h
        p2 = (s2 - 2 * start * s1 + start**2 * s0) / h**2
        py = (sxy - start * sy) / h
        self.h = h * scale
        # Both ends of a segment count as points of a small weight, so that their values are
        # determined in segments of few points or none.
        at = np.interp(grid, points.x, points.y)
        left, right = at[:, None], at[None, :]
        self.a, self.b, self.c = s0 - 2 * p1 + p2 + _END_WEIGHT, 2 * (p1 - p2), p2 + _END_WEIGHT
        self.d, self.e = -2 * (sy - py + _END_WEIGHT * left), -2 * (py + _END_WEIGHT * right)
        self.f = syy + _END_WEIGHT * (left**2 + right**2)
        if slopes is None:
            filled = np.where(s0 > 0, s0, 1.0)
            xx, xy, yy = s2 - s1**2 / filled, sxy - s1 * sy / filled, syy - sy**2 / filled
            spread = xx > 1e-13 * filled
            self.alone = np.where(spread, yy - xy**2 / np.where(spread, xx, 1.0), 0.0)
        else:
            tied = (self.tied(s) for s in slopes)
            self.alone = np.min([f - e**2 / (4 * c) for c, e, f in tied], axis=0)
        self.alone = np.maximum(0.0, self.alone)

    def tied(self, slope):
        """The cost with u = v − slope · h: the coefficients of v², v and 1."""
        rise = slope * self.h
        return (
            self.a + self.b + self.c,
            self.d + self.e - rise * (2 * self.a + self.b),
            self.f + self.a * rise**2 - self.d * rise,
        )

    def of_rest(self, segments):
        """`of_rest[r, j]`: smallest cost from j to the end of at most r segments, or less."""
        count = len(self.alone)
        rest = np.full((segments + 1, count), np.inf)
        rest[:, -1] = 0.0
        allowed = np.where(np.triu(np.ones_like(self.alone, dtype=bool), 1), self.alone, np.inf)
        for r in range(1, segments + 1):
            rest[r] = np.minimum(rest[r - 1], (allowed + rest[r - 1][None, :]).min(axis=1))
        return rest


@dataclasses.dataclass(frozen=True, eq=False)
class _Paths:
    """Partial functions of one number of segments: the last breakpoint, and cost by its value.

    The cost of the best continuation backwards is a v² + b v + c; `parent` and `slope` tell
    where it came from.
    """

    end: np.ndarray
    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    parent: np.ndarray
    slope: np.ndarray

    @property
    def smallest(self):
        return self.c - self.b**2 / (4 * self.a)

    def take(self, index) -> "_Paths":
        return _Paths(*(getattr(self, f.name)[index] for f in dataclasses.fields(self)))


def _solve(points: _Points, grid: np.ndarray, problem: _Problem):
    """Positions of the breakpoints with both ends, and the values there."""
    costs = _Costs(points, grid, problem.slopes)
    rest = costs.of_rest(problem.segments)
    zero = 1e-12 * (points.w @ (points.y - points.w @ points.y / points.w.sum()) ** 2)
    beam = 8 if problem.slopes is None else 3
    best = _search(costs, rest, problem, np.inf, zero, beam)
    optimal = bool(best[0] <= zero)  # otherwise ties, which are endless, would be followed
    if not optimal:
        optimal, found = True, _search(costs, rest, problem, best[0], zero)
        if found is None:
            optimal = False
        else:
            best = min(best, found, key=lambda each: each[0])
    _, path, slopes = best
    return grid[path], _values(costs, path, slopes, problem), optimal


def _search(costs, rest, problem, limit, zero, beam=None):
    """Cost, path and slopes of the best function that costs less than `limit`.

    A further segment is used where it saves more than `zero`, which costs count as nothing.

    With `beam`, only that many partial functions are followed for each last breakpoint. Without,
    the result is None where there are more of them in all than `_MOST_PATHS`.
    """
    last = len(costs.alone) - 1
    slack = limit * (1 - _TOLERANCE)
    none = np.array([-1])
    levels = [_Paths(np.array([0]), *np.zeros((3, 1)), none, np.zeros(1))]
    best = (np.inf, None, None)
    for level in range(1, problem.segments + 1):
        ended = _extended(levels[-1], costs, problem, level == 1, np.array([last]), True)
        if len(ended.end):
            chosen = int(np.argmin(ended.smallest))
            if ended.smallest[chosen] < best[0] * (1 - _TOLERANCE) - zero:
                best = (ended.smallest[chosen], *_traced(levels, ended.take([chosen])))
        if level == problem.segments:
            break
        found = _extended(levels[-1], costs, problem, level == 1, np.arange(1, last), False)
        promise = found.smallest + rest[problem.segments - level][found.end]
        found = found.take(promise <= slack)
        if beam is not None:
            found = _best_of_each_end(found, beam)
        if not len(found.end):
            break
        found = _undominated(found)
        choices = 1 if problem.slopes is None else len(problem.slopes)
        if beam is None and len(found.end) * choices > _MOST_PATHS:
            return None
        levels.append(found)
    return best


def _extended(paths, costs, problem, first, ends, final):
    """Every path made longer by a segment to every one of `ends` behind its own end."""
    i, j = paths.end[:, None], ends[None, :]
    flat = (first and problem.flat_left) or (final and problem.flat_right)
    slopes = [0.0] if flat else [None] if problem.slopes is None else problem.slopes
    parts = []
    for slope in slopes:
        a, b, c = paths.a[:, None], paths.b[:, None], paths.c[:, None]
        if slope is not None:
            square, linear, constant = (matrix[i, j] for matrix in costs.tied(slope))
            rise = slope * costs.h[i, j]
            square, linear = square + a, linear + b - 2 * a * rise
            constant = constant + c + a * rise**2 - b * rise
        elif first and problem.from_zero:
            square, linear, constant = costs.c[i, j], costs.e[i, j], costs.f[i, j]
        else:
            u2, uv, u1 = costs.a[i, j] + a, costs.b[i, j], costs.d[i, j] + b
            square = costs.c[i, j] - uv**2 / (4 * u2)
            linear = costs.e[i, j] - uv * u1 / (2 * u2)
            constant = costs.f[i, j] + c - u1**2 / (4 * u2)
        if slope is not None and first and problem.from_zero:
            # The value at zero is given, and so is the one at the end of the segment.
            value = rise
            constant = square * value**2 + linear * value + constant
            weight = 1e6
            square = np.full_like(constant, weight)
            linear, constant = -2 * weight * value, constant + weight * value**2
        parts.append((square, linear, constant, np.full(square.shape, slope or 0.0)))
    ahead = np.broadcast_to(j > i, parts[0][0].shape)
    parents = np.broadcast_to(np.arange(len(paths.end))[:, None], ahead.shape)[ahead]
    ending = np.broadcast_to(j, ahead.shape)[ahead]
    joined = [np.concatenate([part[k][ahead] for part in parts]) for k in range(4)]
    count = len(parts)
    return _Paths(np.tile(ending, count), *joined[:3], np.tile(parents, count), joined[3])


def _best_of_each_end(paths: _Paths, count: int) -> _Paths:
    """The paths of smallest cost, at most `count` for each end."""
    order = np.lexsort((paths.smallest, paths.end))
    ends = paths.end[order]
    first = np.searchsorted(ends, ends, side="left")
    return paths.take(order[np.arange(len(ends)) - first < count])


def _undominated(paths: _Paths) -> _Paths:
    """The paths without those that another one of the same end undercuts at every value."""
    keep = np.ones(len(paths.end), dtype=bool)
    order = np.argsort(paths.end, kind="stable")
    bounds = np.flatnonzero(np.diff(paths.end[order])) + 1
    for group in np.split(order, bounds):
        if len(group) < 2:
            continue
        group = group[np.argsort(paths.smallest[group], kind="stable")]
        a, b, c = paths.a[group], paths.b[group], paths.c[group]
        da, db, dc = (q[:, None] - q[None, :] for q in (a, b, c))  # row less column
        below = (dc >= 0) & (da >= 0) & (db**2 <= 4 * da * dc)  # column undercuts row
        keep[group[np.tril(below, -1).any(axis=1)]] = False
    return paths.take(keep)


def _traced(levels, ended):
    """Indices of the breakpoints with both ends, and the slopes between them."""
    path, slopes, index = [int(ended.end[0])], [float(ended.slope[0])], int(ended.parent[0])
    for level in reversed(levels):
        path.append(int(level.end[index]))
        slopes.append(float(level.slope[index]))
        index = int(level.parent[index])
    return np.array(path[::-1]), np.array(slopes[::-1][1:])


def _values(costs, path, slopes, problem):
    """The best values at the breakpoints of a path, by the normal equations."""
    i, j = path[:-1], path[1:]
    count = len(path)
    basis, shift = np.eye(count), np.zeros(count)
    if problem.slopes is not None:
        basis = np.zeros((count, 0)) if problem.from_zero else np.ones((count, 1))
        shift = np.concatenate([[0.0], np.cumsum(slopes * costs.h[i, j])])
    else:
        if problem.flat_left:
            basis[1] = 0.0
            basis[1, 0] = 1.0
        if problem.flat_right:
            basis[-1] = basis[-2]
        if problem.from_zero:
            basis[0] = 0.0
        basis = basis[:, np.abs(basis).sum(axis=0) > 0]
    hessian, gradient = np.zeros((count, count)), np.zeros(count)
    for k, (p, q) in enumerate(zip(i, j, strict=True)):
        hessian[k, k] += 2 * costs.a[p, q]
        hessian[k + 1, k + 1] += 2 * costs.c[p, q]
        hessian[k, k + 1] += costs.b[p, q]
        hessian[k + 1, k] += costs.b[p, q]
        gradient[k] += costs.d[p, q]
        gradient[k + 1] += costs.e[p, q]
    right = -basis.T @ (gradient + hessian @ shift)
    return basis @ np.linalg.solve(basis.T @ hessian @ basis, right) + shift


def _segments_of(positions, values, optimal) -> Segments:
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
