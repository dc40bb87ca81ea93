"""The best a, b, c, d of a · f(b x + c) + d for one formula f and a curve."""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._optional import require
from .complexity import count_nodes, latency_class
from .expression import Expression
from .parse import parse

#: Significant digits of a, b, c and d.
DIGITS = 6


@dataclass(frozen=True, eq=False)
class Curve:
    """Points of a function and their weights, which sum to one."""

    x: np.ndarray
    y: np.ndarray
    w: np.ndarray

    @property
    def mean(self) -> float:
        """Weighted mean of the values."""
        return float(self.w @ self.y)

    @property
    def variance(self) -> float:
        """Weighted variance of the values."""
        return float(self.w @ (self.y - self.mean) ** 2)

    def thinned(self, most: int) -> "Curve":
        """At most `most` of the points, evenly spread over their order."""
        if len(self.x) <= most:
            return self
        kept = np.argsort(self.x, kind="stable")[np.linspace(0, len(self.x) - 1, most).astype(int)]
        return Curve(self.x[kept], self.y[kept], self.w[kept] / self.w[kept].sum())


@dataclass(frozen=True, eq=False)
class NearestFormula:
    """A formula a · f(b x + c) + d near a curve.

    Attributes:
        expression: f.
        a: Factor of f.
        b: Factor of x.
        c: Number added to b x.
        d: Number added at the end.
        rms: Root of the weighted mean squared error.
        r2: Share of the curve's weighted variance that is explained.
    """

    expression: Expression
    a: float
    b: float
    c: float
    d: float
    rms: float
    r2: float

    @property
    def spec(self) -> str:
        """The whole formula as a text that `keras_actfn.activation` takes."""
        inner = "x" if self.b == 1 else "-x" if self.b == -1 else f"{_text(self.b)}*x"
        inner += _signed(self.c)
        simple = inner == "x"
        text = str(self.expression)
        if text == "x":
            text = "x" if simple else f"({inner})"
        elif not simple:
            text = re.sub(r"\bx\b", inner, text)
        if self.a != 1:
            text = f"-{text}" if self.a == -1 else f"{_text(self.a)}*{text}"
        return text + _signed(self.d)

    @functools.cached_property
    def whole(self) -> Expression:
        """The whole formula as an expression."""
        return parse(self.spec)

    @property
    def nodes(self) -> int:
        """Operators of f, and one for each of a, b, c, d that is not neutral."""
        constants = (self.a != 1) + (self.b != 1) + (self.c != 0) + (self.d != 0)
        return count_nodes(self.expression) + constants

    @property
    def latency(self) -> str:
        """One of `LATENCY_CLASSES`."""
        return latency_class(self.expression)

    def __call__(self, x: Any) -> Any:
        """The values of the whole formula, of an array or a tensor as an `Expression` takes it."""
        return self.whole(x)

    def to_dict(self) -> dict:
        """Return everything for JSON."""
        return {
            "spec": self.spec,
            "expression": str(self.expression),
            **{name: getattr(self, name) for name in ("a", "b", "c", "d", "rms", "r2")},
            "nodes": self.nodes,
            "latency": self.latency,
        }


def _text(number: float) -> str:
    return f"{number:.{DIGITS}g}"


def _signed(number: float) -> str:
    if number == 0:
        return ""
    return ("-" if number < 0 else "+") + _text(abs(number))


def with_constants(
    expression: Expression, curve: Curve, a: float, b: float, c: float, d: float
) -> NearestFormula | None:
    """The formula with rounded constants and its error; None if it is not finite somewhere."""
    a, b, c, d = (float(_text(number)) + 0.0 for number in (a, b, c, d))
    with np.errstate(all="ignore"):
        values = a * expression(b * curve.x + c) + d
        square = float(curve.w @ (values - curve.y) ** 2)
    if not np.isfinite(square):
        return None
    r2 = 1 - square / curve.variance
    return NearestFormula(expression, a, b, c, d, square**0.5, float(r2))


def project(values: np.ndarray, curve: Curve) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best a and d of a · values + d, and the mean squared error.

    Args:
        values: Values of one function or more at the points, (..., points).
        curve: The points.

    Returns:
        a, d and the error, each (...,); the error is inf where the values are not finite or equal.
    """
    with np.errstate(all="ignore"):
        middle = values @ curve.w
        centred = values - middle[..., None]
        power = centred**2 @ curve.w
        target = curve.y - curve.mean
        a = centred @ (curve.w * target) / power
        error = (a[..., None] * centred - target) ** 2 @ curve.w
        flat = ~(power > 1e-24 * middle**2) | ~np.isfinite(error)
    return a, curve.mean - a * middle, np.where(flat, np.inf, error)


def best_of(
    expression: Expression, curve: Curve, pairs: np.ndarray
) -> tuple[tuple[float, float], float]:
    """The best pair (b, c) of some, (pairs, 2), and the mean squared error."""
    with np.errstate(all="ignore"):
        values = expression(pairs[:, :1] * curve.x + pairs[:, 1:])
    errors = project(values, curve)[2]
    best = int(np.argmin(errors))
    return (float(pairs[best, 0]), float(pairs[best, 1])), float(errors[best])


def best_inner(
    expression: Expression, curve: Curve, b: float, c: float, free: tuple[bool, bool]
) -> tuple[float, float, float]:
    """Improve (b, c), those of `free` are varied; return them and the mean squared error."""
    optimize = require("scipy.optimize", extra="expressions")
    start, chosen = np.array([b, c]), np.array(free)
    root = np.sqrt(curve.w)
    far = np.full(len(root), 1e3 * curve.variance**0.5 / len(root) ** 0.5)

    def full(point):
        both = start.copy()
        both[chosen] = point
        return both

    def residuals(point):
        slope, shift = full(point)
        values = expression(slope * curve.x + shift)
        a, d, error = project(values, curve)
        return far if not np.isfinite(error) else root * (a * values + d - curve.y)

    # MINPACK itself: `least_squares` takes longer to call it than it takes.
    found = optimize.leastsq(
        residuals, start[chosen], ftol=1e-12, xtol=1e-12, maxfev=60, full_output=True
    )[0]
    slope, shift = (float(number) for number in full(found))
    return slope, shift, float(np.sum(residuals(found) ** 2))


def forms(
    expression: Expression, curve: Curve, b: float, c: float, affine: bool
) -> Iterator[NearestFormula]:
    """The formula with all of a, b, c, d, and with fewer of them."""
    yield from _outer(expression, curve, 1.0, 0.0, affine)
    if not affine:
        return
    starts = [((True, True), b, c), ((True, False), b, 0.0), ((False, True), 1.0, c)]
    for free, slope, shift in starts:
        slope, shift, error = best_inner(expression, curve, slope, shift, free)
        if np.isfinite(error) and slope != 0:
            yield from _outer(expression, curve, slope, shift, True)


def _outer(expression, curve, b, c, affine):
    """The forms with the given b and c."""
    with np.errstate(all="ignore"):
        values = expression(b * curve.x + c)
    choices = [(1.0, 0.0)]
    if affine:
        best_a, best_d, error = project(values, curve)
        if not np.isfinite(error):
            return
        with np.errstate(all="ignore"):
            alone = float((curve.w * values) @ curve.y / (curve.w @ values**2))
            choices += [(float(best_a), float(best_d)), (alone, 0.0), (-1.0, 0.0)]
            choices += [(sign, float(curve.w @ (curve.y - sign * values))) for sign in (1.0, -1.0)]
    for a, d in choices:
        if np.isfinite([a, d]).all() and a != 0:
            found = with_constants(expression, curve, a, b, c, d)
            if found is not None:
                yield found
