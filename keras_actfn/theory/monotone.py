"""Activations as monotone functions: slopes, monotone regions, smoothing.

The entropy of f(X) needs log |f′|. It is taken in closed form for the names in
`LOG_SLOPES`, from `derivative` when the caller gives it, and numerically otherwise.
"""

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from .._optional import require
from ..expressions import resolve


def _softplus(x):
    return np.logaddexp(0.0, x)


# log f′ in closed form: exact far into the tails, where differences of f round to zero.
LOG_SLOPES = {
    "identity": lambda u: np.zeros_like(u),
    "linear": lambda u: np.zeros_like(u),
    "tanh": lambda u: -2.0 * (np.abs(u) + np.log1p(np.exp(-2.0 * np.abs(u))) - np.log(2.0)),
    "sigmoid": lambda u: -_softplus(u) - _softplus(-u),
    "softplus": lambda u: -_softplus(-u),
    "arcsinh": lambda u: -0.5 * np.log1p(u * u),
    "arctan": lambda u: -np.log1p(u * u),
}


# Names that Keras evaluates in float32, and the same function in float64. An entropy step
# differentiates three times and needs the latter.
IN_FLOAT64 = {"silu": "swish", "exponential": "exp"}


class Monotone:
    """An activation with the logarithm of the size of its slope.

    Args:
        activation: A name, an expression in `x`, or a function on NumPy arrays.
        derivative: f′ as a function on NumPy arrays, when known.
    """

    def __init__(self, activation: Any, derivative: Callable | None = None):
        self.name = activation if isinstance(activation, str) else None
        if not (isinstance(activation, str) or callable(activation)):
            raise TypeError(
                "`activation` must be a name, an expression in x, or a function on NumPy "
                f"arrays. Received: {activation!r}"
            )
        if isinstance(activation, str):
            self._function = resolve(IN_FLOAT64.get(activation, activation))
        else:
            self._function = activation
        self._log_slope: Callable[[np.ndarray], np.ndarray] | None
        if derivative is not None:
            self._log_slope = lambda u: np.log(np.abs(derivative(u)))
        elif hasattr(activation, "derivative"):
            self._log_slope = lambda u: np.log(np.abs(activation.derivative(u)))
        else:
            self._log_slope = LOG_SLOPES.get(self.name or "")

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """f(x) in float64."""
        x = np.asarray(x, dtype=np.float64)
        return np.asarray(self._function(x), dtype=np.float64).reshape(x.shape)

    @property
    def exact(self) -> bool:
        """Whether log |f′| is known in closed form."""
        return self._log_slope is not None

    def log_slope(self, u: np.ndarray) -> np.ndarray:
        """Return log |f′(u)| in closed form; −inf where the slope is zero."""
        if self._log_slope is None:
            raise ValueError(f"The slope of {self.name!r} is not known in closed form.")
        with np.errstate(divide="ignore"):
            return self._log_slope(np.asarray(u, dtype=np.float64))


def monotone_regions(activation: Any, low: float, high: float, points: int = 4001) -> list:
    """Maximal intervals of [low, high] on which f strictly rises or strictly falls.

    Args:
        activation: A name, an expression in `x`, or a function.
        low: Left end.
        high: Right end.
        points: Resolution.

    Returns:
        List of `(low, high, sign)`, sign +1 where f rises.
    """
    x = np.linspace(low, high, points)
    f = activation if isinstance(activation, Monotone) else Monotone(activation)
    values = f(x)
    rise = np.diff(values)
    noise = 1e-15 * np.abs(values).max()
    sign = np.where(rise > noise, 1, np.where(rise < -noise, -1, 0))
    breaks = np.flatnonzero(np.diff(sign)) + 1
    starts, ends = np.r_[0, breaks], np.r_[breaks, sign.size]
    return [
        (float(x[a]), float(x[b]), int(sign[a]))
        for a, b in zip(starts, ends, strict=True)
        if sign[a] != 0
    ]


def refuse_flat(f: Monotone, u: np.ndarray, flat: np.ndarray, mass: np.ndarray) -> None:
    """Raise if the activation is flat where inputs have probability."""
    if mass[flat].sum() > 1e-9:
        where = u[flat]
        raise ValueError(
            f"The activation is constant near x = {where[0]:.3g} (to float64), where inputs "
            "fall: its output has an atom and its differential entropy is minus infinity. "
            f"Pass region=(low, high), one of its monotone regions: {describe_regions(f, u)}."
        )


def describe_regions(f: Monotone, u: np.ndarray) -> str:
    """The monotone regions of f on the range of `u`, as text."""
    regions = monotone_regions(f, float(u.min()), float(u.max()))
    return ", ".join(f"({a:.4g}, {b:.4g})" for a, b, _ in regions[:6]) or "none"


def raise_not_monotone(f: Monotone, u: np.ndarray) -> NoReturn:
    """Raise the error for a function that both rises and falls."""
    raise ValueError(
        "The activation must be strictly monotone where inputs fall. Pass region=(low, high), "
        f"one of its monotone regions: {describe_regions(f, u)}."
    )


class SmoothedPWL:
    """A piecewise-linear function averaged over a Gaussian window, in closed form.

    With slope changes Δ_i at the knots x_i, z = (x − x_i)/b:

        f_b(x) = f_0 + m_0 (x − x_0) + Σ Δ_i [(x − x_i) Φ(z) + b φ(z)]
        f_b′(x) = m_0 + Σ Δ_i Φ(z)

    Averaging keeps the function monotone wherever it was, and makes it smooth, which the
    entropy step needs.

    Args:
        knots: Positions, shape (S,).
        values: Function values, shape (S,).
        bandwidth: b, in the units of x.
        extrapolation: `"linear"` or `"clamp"`.
    """

    def __init__(
        self, knots: ArrayLike, values: ArrayLike, bandwidth: float, extrapolation: str = "linear"
    ):
        self._knots = np.asarray(knots, dtype=np.float64)
        values = np.asarray(values, dtype=np.float64)
        slopes = np.diff(values) / np.diff(self._knots)
        outer = (slopes[0], slopes[-1]) if extrapolation == "linear" else (0.0, 0.0)
        # Segment slopes including both outer ones. Each slope's share of the window is a
        # difference of Φ, so f′ is a weighted mean of slopes and cannot change sign.
        self._slopes = np.r_[outer[0], slopes, outer[1]]
        self._start, self._bandwidth = values[0], float(bandwidth)
        self._ndtr = require("scipy.special", extra="theory").ndtr

    def _z(self, x):
        return (np.asarray(x, dtype=np.float64)[..., None] - self._knots) / self._bandwidth

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """f_b(x)."""
        z = self._z(x)
        hinge = z * self._ndtr(z) + np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
        changes = np.diff(self._slopes)
        line = self._slopes[0] * (np.asarray(x, dtype=np.float64) - self._knots[0])
        return self._start + line + self._bandwidth * (hinge @ changes)

    def derivative(self, x: ArrayLike) -> np.ndarray:
        """f_b′(x)."""
        z = self._z(x)
        below, above = self._ndtr(z), self._ndtr(-z)
        inner = np.where(
            z[..., :-1] > 0, above[..., 1:] - above[..., :-1], below[..., :-1] - below[..., 1:]
        )
        weights = np.concatenate([above[..., :1], inner, below[..., -1:]], axis=-1)
        return np.maximum(weights, 0.0) @ self._slopes


def smooth_activation(activation: Any, bandwidth: float, low: float, high: float) -> SmoothedPWL:
    """Average f over a Gaussian window, from a table eight times finer than the window.

    Args:
        activation: A name, an expression in `x`, or a function.
        bandwidth: Standard deviation of the window.
        low: Left end of the range that matters.
        high: Right end.
    """
    reach = 9.0 * bandwidth
    x = np.arange(low - reach, high + reach, bandwidth / 8)
    return SmoothedPWL(x, Monotone(activation)(x), bandwidth)
