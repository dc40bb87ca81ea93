"""The operators on NumPy arrays: the definition of each, as exact as float64 allows.

These functions say what an operator *is*; `tensor_functions` computes the same on
tensors. They keep the dtype of floating-point arrays. Callers silence NumPy's
warnings: an overflow to infinity or 0/0 is a value here, not an accident.
"""

import math

import numpy as np

from .._optional import require

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805
LEAKY_SLOPE = 0.01


def _special():
    return require("scipy.special", extra="expressions")


def identity(x: np.ndarray) -> np.ndarray:
    """Return x itself."""
    return x


def reciprocal(x: np.ndarray) -> np.ndarray:
    """Return 1 / x; 1/0 is +inf, 1/-0 is -inf."""
    return 1.0 / x


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + np.exp(-x))


def erf(x: np.ndarray) -> np.ndarray:
    """Return the error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return _special().erf(x)


def erfc(x: np.ndarray) -> np.ndarray:
    """Return 1 - erf(x), accurate where it is small."""
    return _special().erfc(x)


def log_sigmoid(x: np.ndarray) -> np.ndarray:
    """Return log(sigmoid(x)) = -log(1 + exp(-x))."""
    return -np.logaddexp(0.0, -x).astype(np.asarray(x).dtype, copy=False)


def relu(x: np.ndarray) -> np.ndarray:
    """Return max(x, 0)."""
    return np.maximum(x, 0.0)


def elu(x: np.ndarray) -> np.ndarray:
    """Return x for x > 0, else exp(x) - 1."""
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0.0)))


def selu(x: np.ndarray) -> np.ndarray:
    """Return 1.0507... x for x > 0, else 1.0507... 1.6733... (exp(x) - 1)."""
    return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0.0)))


def swish(x: np.ndarray) -> np.ndarray:
    """Return x sigmoid(x), 0 at -inf."""
    return _finite_below(x) * sigmoid(x)


def softplus(x: np.ndarray) -> np.ndarray:
    """Return log(1 + exp(x))."""
    return np.logaddexp(0.0, x).astype(np.asarray(x).dtype, copy=False)


def softsign(x: np.ndarray) -> np.ndarray:
    """Return x / (1 + |x|), -1 and 1 at -inf and inf."""
    x = _finite(x)
    return x / (1.0 + np.abs(x))


def hard_sigmoid(x: np.ndarray) -> np.ndarray:
    """Return x/5 + 1/2 clipped to [0, 1] (the older Keras form)."""
    return np.clip(0.2 * x + 0.5, 0.0, 1.0)


def bessel_i0e(x: np.ndarray) -> np.ndarray:
    """Return exp(-|x|) I0(x), I0 the modified Bessel function of order 0."""
    return _special().i0e(x)


def bessel_i1e(x: np.ndarray) -> np.ndarray:
    """Return exp(-|x|) I1(x), I1 the modified Bessel function of order 1."""
    return _special().i1e(x)


def elish(x: np.ndarray) -> np.ndarray:
    """Return x sigmoid(x) for x > 0, else (exp(x) - 1) sigmoid(x)."""
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0.0))) * sigmoid(x)


def gelu(x: np.ndarray) -> np.ndarray:
    """Return x Phi(x) = x erfc(-x / sqrt(2)) / 2, the exact form."""
    x = _finite_below(x)
    return 0.5 * x * _special().erfc(x * -math.sqrt(0.5))


def leakyrelu(x: np.ndarray) -> np.ndarray:
    """Return x for x > 0, else 0.01 x."""
    return np.where(x > 0, x, LEAKY_SLOPE * x)


def mish(x: np.ndarray) -> np.ndarray:
    """Return x tanh(log(1 + exp(x)))."""
    return _finite_below(x) * np.tanh(softplus(x))


def sinc(x: np.ndarray) -> np.ndarray:
    """Return sin(x) / x, without a factor of pi; 1 at 0, and 0 at -inf and inf."""
    x = _finite(x)
    divisor = np.where(x == 0, np.ones_like(x), x)
    return np.where(x == 0, np.ones_like(x), np.sin(x) / divisor)


def gaussian(x: np.ndarray) -> np.ndarray:
    """Return exp(-x^2)."""
    return np.exp(-np.square(x))


def power(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return x to the power y; NaN for a negative x and a fractional y."""
    return np.power(x, y)


def _finite_below(x):
    """X, but for -inf the least finite number."""
    return np.maximum(x, np.finfo(np.asarray(x).dtype).min)


def _finite(x):
    """X, but for infinity the largest finite numbers."""
    x = np.asarray(x)
    return np.clip(x, np.finfo(x.dtype).min, np.finfo(x.dtype).max)
