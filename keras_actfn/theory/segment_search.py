"""The search for the best continuous piecewise-linear function; see `segments`."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

#: A function is called optimal if no other costs less by more than this part of its cost.
_TOLERANCE = 1e-4

#: Weight of the ends of a segment, where all points together weigh one.
_END_WEIGHT = 1e-9

#: Partial functions that are followed at most, of all numbers of segments together: about a second.
_MOST_PATHS = 10_000


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """Points in rising order of x, weights that sum to one."""

    x: np.ndarray
    y: np.ndarray
    w: np.ndarray

    @classmethod
    def of(cls, x: ArrayLike, y: ArrayLike, weights: Any) -> "Points":
        """Check `fit_segments`' arguments of these names, sort and scale."""
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

    def folded(self, odd: bool) -> "Points":
        """The points on x ≥ 0 that a symmetric function has to fit."""
        y = np.where(self.x < 0, -self.y, self.y) if odd else self.y
        return Points.of(np.abs(self.x), y, self.w)

    def with_equal_weights(self) -> "Points":
        """The points with one weight for all."""
        return dataclasses.replace(self, w=np.full_like(self.w, 1 / len(self.w)))


@dataclasses.dataclass(frozen=True)
class Problem:
    """What a function may be: its number of segments, and what holds at its ends.

    Attributes:
        segments: Largest number of segments.
        flat_left: Whether the first slope is zero.
        flat_right: Whether the last slope is zero.
        from_zero: Whether the value at the first position is zero.
        slopes: The slopes to choose from; any if `None`.
    """

    segments: int
    flat_left: bool
    flat_right: bool
    from_zero: bool
    slopes: np.ndarray | None


class _Costs:
    """Cost of the segment from grid position i to j as a quadratic of its end values u and v.

    A u² + B u v + C v² + D u + E v + F, each a matrix over i and j, meant for i < j. `alone` is
    the smallest cost of each segment with ends of its own, or less.
    """

    def __init__(self, points: Points, grid: np.ndarray, slopes: np.ndarray | None):
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

    def of_rest(self, segments, flat_right):
        """`of_rest[r, j]`: smallest cost from j to the end of at most r segments, or less."""
        ahead = np.triu(np.ones_like(self.alone, dtype=bool), 1)
        allowed = np.where(ahead, self.alone, np.inf)
        last = allowed[:, -1]
        if flat_right:
            square, linear, constant = (matrix[:, -1] for matrix in self.tied(0.0))
            last = np.where(ahead[:, -1], constant - linear**2 / (4 * square), np.inf)
        rest = np.stack([np.full_like(last, np.inf)] + segments * [np.maximum(last, 0.0)])
        for r in range(2, segments + 1):
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

    def take(self, index: Any) -> "_Paths":
        return _Paths(*(getattr(self, f.name)[index] for f in dataclasses.fields(self)))


def solve(
    points: Points, grid: np.ndarray, problem: Problem
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Find the best function whose breakpoints are on a grid.

    Returns:
        The positions of the breakpoints with both ends, the values there, and whether the
        search proved that no other function is better.
    """
    costs = _Costs(points, grid, problem.slopes)
    rest = costs.of_rest(problem.segments, problem.flat_right)
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
    a, b, c = np.zeros((3, 1))
    levels = [_Paths(np.array([0]), a, b, c, none, np.zeros(1))]
    best = (np.inf, None, None)
    choices = 1 if problem.slopes is None else len(problem.slopes)
    left = _MOST_PATHS
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
        if beam is None and len(found.end) * choices > 3 * left:
            return None
        found = _undominated(found)
        left -= len(found.end) * choices
        if beam is None and left < 0:
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
    a, b, c, slopes = (np.concatenate([part[k][ahead] for part in parts]) for k in range(4))
    count = len(parts)
    return _Paths(np.tile(ending, count), a, b, c, np.tile(parents, count), slopes)


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
