r"""Which functions of a space come close to a curve, for all of them at once.

The outputs of a space are stored as rows of values $f(u_i)$. To compare a curve with
$f(b x + c)$, f is not evaluated again: a point $(x_j, y_j)$ of weight $w_j$ counts at the
position $b x_j + c$, shared by the two stored inputs beside it. That gives weights $\omega_i$ and
targets $t_i$ at the stored inputs, and for all rows together, by matrix products,

$$\sum_i \omega_i f(u_i),\quad \sum_i \omega_i f(u_i)^2,\quad \sum_i \omega_i t_i f(u_i),$$

from which the best scale and offset and their error follow.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .store import UniqueFunctions

#: Smallest distance of the stored inputs that are used, as a part of their range.
_SPACING = 1 / 300

#: Rows of a block.
_ROWS = 4096

#: Least share of the weight at inputs that are stored.
LEAST_COVERED = 0.6


@dataclass(frozen=True, eq=False)
class Screened:
    """How close each unique function of a space comes; inf if it is constant or not finite.

    Attributes:
        error: Mean squared error of a · f(b x + c) + d as a part of the curve's variance, for
            the best pair (b, c), (functions,).
        pair: Index of that pair, (functions,).
        unshifted: The same for a · f(x) + d.
        plain: The same for f(x).
    """

    error: np.ndarray
    pair: np.ndarray
    unshifted: np.ndarray
    plain: np.ndarray


def covered_share(unique: UniqueFunctions, x: np.ndarray, w: np.ndarray) -> float:
    """Return the share of the weight at positions that the stored inputs enclose."""
    return float(w[(x >= unique.inputs.min()) & (x <= unique.inputs.max())].sum() / w.sum())


def screen(
    unique: UniqueFunctions,
    pairs: Sequence[tuple[float, float]],
    x: np.ndarray,
    y: np.ndarray,
    w: np.ndarray,
) -> Screened:
    """Compare all unique functions with a curve.

    Args:
        unique: The functions.
        pairs: Pairs (b, c); the first is (1, 0).
        x: Positions, (points,).
        y: Values of the curve, not all equal.
        w: Weights that sum to one.
    """
    nodes, columns = _nodes(unique.inputs)
    omega, target = (
        np.stack(parts)
        for parts in zip(*(_shared(nodes, b * x + c, y, w) for b, c in pairs), strict=True)
    )
    covered = np.maximum(omega.sum(axis=1), 1e-30)
    safe = np.where(omega > 0, omega, 1.0)
    means = target.sum(axis=1) / covered
    powers = (target**2 / safe).sum(axis=1) / covered - means**2
    variance = w @ (y - w @ y) ** 2
    both = np.concatenate([omega, target]).T.astype(np.float32)
    squares = omega.T.astype(np.float32)
    middle = int(np.argmin(np.abs(nodes)))
    # Pairs under which few of the points are seen count as worse than they look; of b and -b,
    # which may do the same, the positive one is taken.
    penalty = np.where(covered < LEAST_COVERED, np.inf, powers / variance / covered)
    penalty *= np.where([b < 0 for b, _ in pairs], 1.001, 1.0)

    def block(start):
        stop = min(start + _ROWS, len(unique))
        raw = np.asarray(unique.outputs[start:stop])[:, columns]
        shift = raw[:, middle].astype(np.float64)
        with np.errstate(all="ignore"):
            rows = raw - raw[:, middle : middle + 1]
            scale = np.abs(rows).max(axis=1)
            rows /= scale[:, None]
            first = (rows @ both).astype(np.float64)
            second = (rows * rows) @ squares / covered
            f, tf = np.split(first, 2, axis=1)
            f, tf = f / covered, tf / covered
            spread = second - f**2
            left = 1 - (tf - f * means) ** 2 / (spread * powers)
            left = np.where(spread > 1e-6 * second, np.maximum(left, 0.0), 1.0) * penalty
            # f itself: (shift + scale · row - y)², row by row in float64.
            scale = scale.astype(np.float64)
            offset = shift - means[0]
            plain = scale**2 * spread[:, 0] + (scale * f[:, 0] + offset) ** 2 + powers[0]
            plain -= 2 * scale * (tf[:, 0] - f[:, 0] * means[0])
        left[~np.isfinite(left)] = np.inf
        usable = unique.valid[start:stop] & (scale > 0)
        left[~usable] = np.inf
        plain = np.where(np.isfinite(plain) & usable, plain / variance, np.inf)
        pair = left.argmin(axis=1)
        best = np.take_along_axis(left, pair[:, None], axis=1)[:, 0]
        return best, pair.astype(np.int16), left[:, 0], np.maximum(plain, 0.0) / covered[0]

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(block, range(0, len(unique), _ROWS)))
    return Screened(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _nodes(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Stored inputs in rising order, those that nearly repeat left out, and their columns."""
    order = np.argsort(inputs, kind="stable")
    sorted_ = inputs[order]
    spacing = _SPACING * max(sorted_[-1] - sorted_[0], 1e-30)
    kept = [0]
    for i, (before, after) in enumerate(pairwise(sorted_)):
        if after - sorted_[kept[-1]] >= spacing and after > before:
            kept.append(i + 1)
    return sorted_[kept], order[kept]


def _shared(nodes, positions, y, w):
    """Weights and weighted targets at the nodes, each point shared by the two beside it."""
    inside = (positions >= nodes[0]) & (positions <= nodes[-1])
    u, y, w = positions[inside], y[inside], w[inside]
    index = np.clip(np.searchsorted(nodes, u, side="right") - 1, 0, max(len(nodes) - 2, 0))
    share = (u - nodes[index]) / (nodes[index + 1] - nodes[index])
    count = len(nodes)
    omega = np.bincount(index, w * (1 - share), count) + np.bincount(index + 1, w * share, count)
    w = w * y
    target = np.bincount(index, w * (1 - share), count) + np.bincount(index + 1, w * share, count)
    return omega, target
