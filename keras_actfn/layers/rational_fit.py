r"""Rational functions on NumPy arrays, and the one that is nearest to a function.

$$R(x) = \frac{a_0 + a_1 x + \dots + a_m x^m}{1 + |b_1 x + \dots + b_n x^n|}$$
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: A start agrees with its function f where they differ by no more than this times (1 + |f|).
TOLERANCE = 0.1

#: Points that the two are compared at.
_POINTS = 601

#: Coefficients of less than this part of the largest term are rounding errors.
_DUST = 1e-9

#: Linearised fits, and steps of refinement.
_ROUNDS, _STEPS = 20, 60


@dataclass(frozen=True)
class RationalFit:
    """A rational function and how well it fits.

    Attributes:
        numerator: a₀ … a_m, float64.
        denominator: b₁ … b_n, float64.
        error: Largest |R − f| / (1 + |f|) on the interval.
        difference: |R − f| there.
        at: Where that is.
    """

    numerator: np.ndarray
    denominator: np.ndarray
    error: float
    difference: float
    at: float

    @property
    def fits(self) -> bool:
        """Whether the error is at most `TOLERANCE`."""
        return self.error <= TOLERANCE


def rational_values(x: np.ndarray, numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Values of a rational function, in float64."""
    x = np.asarray(x, "float64")
    above = np.polynomial.polynomial.polyval(x, numerator)
    return above / (1 + np.abs(x * np.polynomial.polynomial.polyval(x, denominator)))


@functools.lru_cache(maxsize=64)
def fit_rational(
    function: Callable, degrees: tuple[int, int] = (5, 4), low: float = -3.0, high: float = 3.0
) -> RationalFit:
    """The rational function nearest to a function by least squares, at 601 points of an interval.

    First the problem is made linear: with Q the denominator of the round before, the coefficients
    minimise Σ ((P − f Q̃) / Q)² (Sanathanan & Koerner, 1963), from several starts. Then the
    Levenberg-Marquardt method refines the best.

    Args:
        function: Elementwise function of float64 arrays, such as `expressions.resolve` returns.
        degrees: m and n.
        low: Start of the interval.
        high: End of the interval.

    Returns:
        The `RationalFit`.

    Raises:
        ValueError: If the function is not finite on the interval.

    Example:
    ```python
    from keras_actfn.expressions import resolve
    from keras_actfn.layers.rational_fit import fit_rational

    fit_rational(resolve("tanh")).error  # 0.00016
    ```
    """
    x = np.linspace(low, high, _POINTS)
    with np.errstate(all="ignore"):
        wanted = np.broadcast_to(np.asarray(function(x), "float64"), x.shape)
    if not np.isfinite(wanted).all():
        at = x[~np.isfinite(wanted)][0]
        raise ValueError(
            "A rational start needs a function that is finite on its interval "
            f"[{low:g}, {high:g}]. Received a function with the value "
            f"{float(np.asarray(function(at))):g} at x = {at:g}. Choose other ends."
        )
    reach = max(abs(low), abs(high))
    m, n = degrees
    powers = (x[:, None] / reach) ** np.arange(max(m, n) + 1)
    size = max(np.abs(wanted).max(), 1e-30)
    problem = _Problem(powers[:, : m + 1], powers[:, 1 : n + 1], wanted / size)
    best = min((problem.refined(start) for start in problem.starts()), key=problem.loss)
    above, below = best[: m + 1] * size, best[m + 1 :]
    above = _without_dust(above, np.abs(above).max())
    below = _without_dust(below, max(1.0, np.abs(below).max()))
    above = above / reach ** np.arange(m + 1)
    below = below / reach ** np.arange(1, n + 1)
    difference = np.abs(rational_values(x, above, below) - wanted)
    error = difference / (1 + np.abs(wanted))
    worst = int(np.argmax(error))
    return RationalFit(above, below, float(error[worst]), float(difference[worst]), float(x[worst]))


class _Problem:
    """Least squares with the powers of the numerator and of the denominator at each point."""

    def __init__(self, above, below, wanted):
        self.above, self.below, self.wanted = above, below, wanted

    def starts(self):
        """Linearised fits with all and with even powers below, and two given denominators."""
        n = self.below.shape[1]
        for used in (np.arange(n), np.arange(n)[1::2]):
            yield self._linearised(used)
        for weight in (0.0, 0.1, 1.0):
            yield self._with_numerator(weight * (np.arange(n) % 2 if n > 1 else np.ones(1)))

    def loss(self, coefficients):
        """The mean square of what is left."""
        return float(np.mean(self._residual(coefficients)[0] ** 2))

    def refined(self, coefficients):
        """Coefficients improved by the Levenberg-Marquardt method."""
        damping, loss = 1e-3, self.loss(coefficients)
        for _ in range(_STEPS):
            residual, slopes = self._residual(coefficients)
            normal = slopes.T @ slopes
            scale = np.diag(normal).max() * np.eye(len(normal))
            moved = coefficients - np.linalg.solve(
                normal + (damping + 1e-15) * scale, slopes.T @ residual
            )
            better = self.loss(moved)
            if better < loss:
                gained = loss - better
                coefficients, loss, damping = moved, better, damping / 5
                if gained < 1e-10 * loss:
                    break
            else:
                damping = damping * 5
                if damping > 1e6:
                    break
        return coefficients

    def _with_numerator(self, below):
        """The best numerator above a denominator, and both."""
        quotient = 1 + np.abs(self.below @ below)
        above = np.linalg.lstsq(self.above / quotient[:, None], self.wanted, rcond=None)[0]
        return np.r_[above, below]

    def _linearised(self, used):
        m = self.above.shape[1]
        best = self._with_numerator(np.zeros(self.below.shape[1]))
        sign, quotient = np.ones_like(self.wanted), np.ones_like(self.wanted)
        for _ in range(_ROUNDS):
            below = -self.below[:, used] * (sign * self.wanted)[:, None]
            matrix = np.hstack([self.above, below]) / quotient[:, None]
            found = np.linalg.lstsq(matrix, self.wanted / quotient, rcond=1e-12)[0]
            below = np.zeros(self.below.shape[1])
            below[used] = found[m:]
            coefficients = self._with_numerator(below)
            if self.loss(coefficients) < self.loss(best):
                best = coefficients
            inner = self.below @ coefficients[m:]
            sign = np.where(inner < 0, -1.0, 1.0)
            quotient = 1 + np.abs(inner)
        return best

    def _residual(self, coefficients):
        """What is left, and its derivatives by the coefficients."""
        m = self.above.shape[1]
        inner = self.below @ coefficients[m:]
        quotient = 1 + np.abs(inner)
        value = (self.above @ coefficients[:m]) / quotient
        sign = np.where(inner < 0, -1.0, 1.0)
        by_below = -(value * sign / quotient)[:, None] * self.below
        return value - self.wanted, np.hstack([self.above / quotient[:, None], by_below])


def _without_dust(coefficients, size):
    """Coefficients without those that are rounding errors, which would count far out."""
    return np.where(np.abs(coefficients) > _DUST * size, coefficients, 0.0)
