"""What the gallery computes of a function: its curve, range, kinks and gain."""

import dataclasses
from collections.abc import Callable

import numpy as np

from keras_actfn.initialization.signal_moments import Signal

Function = Callable[[np.ndarray], np.ndarray]

_FAR = np.array([1e2, 1e3, 1e4, 1e6, 1e8, 1e30])
_STEP = 0.01  # of the grid on which kinks are looked for


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """A function with two derivatives, by central differences in float64.

    Attributes:
        x: Inputs, (points,).
        derivatives: f, f′ and f″, (3, points); NaN where not finite and beside a kink.
    """

    x: np.ndarray
    derivatives: np.ndarray


@dataclasses.dataclass(frozen=True)
class Facts:
    """Figures of one function.

    Attributes:
        low: Infimum of its values.
        high: Supremum of its values.
        kinks: Places where the slope jumps, on [-10, 10].
        jumps: Places where the value jumps or is infinite.
        monotone: "rising", "falling", "constant" or "no".
        gain: 1 / sqrt(E[f(z)²]) for z ~ N(0, 1), by which AutoInit scales the next weights; None
            where that is not finite.
        mean: E[f(z)].
    """

    low: float
    high: float
    kinks: tuple[float, ...]
    jumps: tuple[float, ...]
    monotone: str
    gain: float | None
    mean: float | None


def curve_of(function: Function, low: float = -6.0, high: float = 6.0, points: int = 481) -> Curve:
    """The `Curve` of a function of float64 arrays."""
    x = np.linspace(low, high, points)
    slope, bend = 1e-5, 1e-3
    with np.errstate(all="ignore"):
        f = _values(function, x)
        first = (_values(function, x + slope) - _values(function, x - slope)) / (2 * slope)
        outer = _values(function, x + bend) + _values(function, x - bend)
        second = (outer - 2 * f) / bend**2
    kinks, jumps = breaks_of(function)
    for place in kinks:
        near = np.abs(x - place) < 1.5 * bend
        first[near] = second[near] = np.nan
    for place in jumps:
        near = np.abs(x - place) < 0.6 * (x[1] - x[0])
        f[near] = first[near] = second[near] = np.nan
    derivatives = np.array([f, first, second])
    return Curve(x, np.where(np.isfinite(derivatives), derivatives, np.nan))


def facts_of(function: Function) -> Facts:
    """The `Facts` of a function of float64 arrays."""
    kinks, jumps = breaks_of(function)
    dense = np.linspace(-40, 40, 80001)
    x = np.concatenate([-_FAR[::-1], dense, _FAR])
    with np.errstate(all="ignore"):
        values = _values(function, x)
        signal = Signal.gaussian().map(function)
    known = values[~np.isnan(values)]
    inner = _values(function, np.linspace(-8, 8, 16001))
    change = np.diff(inner[np.isfinite(inner)])
    size = 1e-12 * max(1.0, np.abs(inner[np.isfinite(inner)]).max())
    monotone = "no"
    if (np.abs(change) <= size).all():
        monotone = "constant"
    elif not jumps and (change >= -size).all():
        monotone = "rising"
    elif not jumps and (change <= size).all():
        monotone = "falling"
    second = signal.variance + signal.mean**2 if signal.finite else np.nan
    return Facts(
        _end(known.min()),
        _end(known.max()),
        kinks,
        jumps,
        monotone,
        float(second**-0.5) if np.isfinite(second) and second > 0 and not jumps else None,
        signal.mean if signal.finite and not jumps else None,
    )


def breaks_of(function: Function) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Where the slope jumps, and where the value does, on [-10, 10].

    A cell of a grid is suspect where its second difference is much greater than its neighbours';
    halving finds the place, and a break stays when the cell is tiny.
    """
    x = np.arange(-10, 10 + _STEP / 2, _STEP) + 0.37 * _STEP  # no kink lies on a point
    with np.errstate(all="ignore"):
        values = _values(function, x)
        bend = np.abs(np.diff(values, 2))
        around = np.minimum(np.roll(bend, 3), np.roll(bend, -3))
        suspect = ~np.isfinite(bend) | (bend > 3 * around + 1e-9 * (1 + np.abs(values[1:-1])))
        kinks, jumps = [], []
        for i in np.flatnonzero(suspect):
            place, kind = _localised(function, x[i], x[i + 2])
            found = {"kink": kinks, "jump": jumps}.get(kind)
            if found is not None and all(abs(place - other) > 1e-3 for other in found):
                found.append(place)
    return tuple(map(_rounded, kinks)), tuple(map(_rounded, jumps))


def _localised(function, low, high):
    """(place, "kink", "jump" or ""): halve the interval in which the function bends most."""
    while high - low > 2e-7:
        points = np.linspace(low, high, 9)
        values = _values(function, points)
        if not np.isfinite(values).all():
            return float(points[~np.isfinite(values)][0]), "jump"
        most = int(np.argmax(np.abs(np.diff(values, 2))))
        low, high = points[most], points[most + 2]
    middle = (low + high) / 2
    wide, narrow = (_differences(function, middle, reach) for reach in (1e-4, 1e-5))
    if not np.isfinite([*wide, *narrow]).all() or narrow[0] > max(0.5 * wide[0], 1e-3):
        return middle, "jump"
    return middle, "kink" if narrow[1] > max(0.5 * wide[1], 2e-3 * (1 + narrow[2])) else ""


def _differences(function, middle, reach):
    """Of the values on both sides, of the slopes, and the slope on the left, all as sizes."""
    values = _values(function, middle + reach * np.array([-2, -1, 1, 2]))
    left, right = (values[1] - values[0]) / reach, (values[3] - values[2]) / reach
    return abs(values[2] - values[1]), abs(right - left), abs(left)


def _values(function, x):
    with np.errstate(all="ignore"):
        return np.broadcast_to(np.asarray(function(x), "float64"), x.shape).copy()


def _end(value):
    """An end of the range: infinite where no bound is in sight."""
    if abs(value) > 15:
        return float(np.copysign(np.inf, value))
    return float(value)


def _rounded(place):
    return float(round(place, 4)) + 0.0
