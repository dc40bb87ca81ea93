"""The operators on tensors, from `keras.ops`, with gradients that stay finite.

Four rules keep values and gradients clean. A branch that is not taken sees an argument
that cannot overflow (`elish`). Where there is no derivative, the argument is a constant
(`power`). A product of 0 and infinity that stands for a limit sees the largest finite number for
infinity (`swish`). Whatever a backend already gets right is used as it is,
because its fused kernel is faster than a composition.
"""

import math
from typing import Any

import keras
from keras import ops

from ..backend import (  # noqa: F401  (used by the operator table)
    bessel_i0e,
    bessel_i1e,
    divide,
    elu,
    selu,
    tanh,
)
from ..backend import power as _power
from .references import LEAKY_SLOPE

#: The largest finite number of each dtype.
LARGEST = {
    "float16": 65504.0,
    "bfloat16": float.fromhex("0x1.fep127"),
    "float32": float.fromhex("0x1.fffffep127"),
    "float64": float.fromhex("0x1.fffffffffffffp1023"),
}

#: The coefficients of x^0, x^2, x^4, … of sin(x) / x: exact to float64 for |x| <= 1.
_SINC_SERIES = [(-1) ** k / math.factorial(2 * k + 1) for k in range(10)]


def identity(x: Any) -> Any:
    """Return x itself."""
    return x


def hard_sigmoid(x: Any) -> Any:
    """Return x/5 + 1/2 clipped to [0, 1]; its derivative is 1/5 inside, 0 outside."""
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def erf(x: Any) -> Any:
    """Return the error function; TensorFlow's is NaN for large float64, so these are ±30 to it."""
    if keras.backend.standardize_dtype(x.dtype) == "float64":
        x = ops.clip(x, -30.0, 30.0)
    return ops.erf(x)


def elish(x: Any) -> Any:
    """Return x sigmoid(x) for x > 0, else (exp(x) - 1) sigmoid(x)."""
    positive = x > 0
    negative_part = ops.expm1(ops.where(positive, ops.zeros_like(x), x))
    return ops.where(positive, x, negative_part) * ops.sigmoid(x)


def swish(x: Any) -> Any:
    """Return x sigmoid(x), 0 at -inf."""
    return ops.silu(_finite_below(x))


def softsign(x: Any) -> Any:
    """Return x / (1 + |x|), -1 and 1 at -inf and inf."""
    x = finite(x)
    return divide(x, 1.0 + ops.absolute(x))


def gelu(x: Any) -> Any:
    """Return x Phi(x), the exact form, by erfc, which keeps the digits of the left tail."""
    x = _finite_below(x)
    return 0.5 * x * ops.erfc(x * -math.sqrt(0.5))


def leakyrelu(x: Any) -> Any:
    """Return x for x > 0, else 0.01 x."""
    return maximum(x, LEAKY_SLOPE * x)


def mish(x: Any) -> Any:
    """Return x tanh(softplus(x))."""
    x = _finite_below(x)
    return x * tanh(ops.softplus(x))


def sinc(x: Any) -> Any:
    """Return sin(x) / x, 1 at 0 and 0 at infinity.

    Within [-1, 1] it is its power series, because the derivatives of the quotient lose all digits
    near 0, and are 0/0 there. So all derivatives are right everywhere.
    """
    x = finite(x)
    near = ops.absolute(x) < 1.0
    square = ops.square(ops.where(near, x, ops.zeros_like(x)))
    series = ops.full_like(x, _SINC_SERIES[-1])
    for coefficient in _SINC_SERIES[-2::-1]:
        series = series * square + coefficient
    far = ops.where(near, ops.ones_like(x), x)
    return ops.where(near, series, divide(ops.sin(far), far))


def gaussian(x: Any) -> Any:
    """Return exp(-x^2); beyond 40, where it is 0 in float64 too, the derivatives are 0."""
    return ops.exp(-ops.square(ops.clip(x, -40.0, 40.0)))


def power(x: Any, y: Any) -> Any:
    """Return x^y, with d/dy = 0 where x <= 0 and d/dx = 0 where y = 0.

    The derivative in y is x^y log(x), which does not exist for x < 0, where the
    power itself may (an even y), and is 0 in the limit x -> 0 for y > 0. The
    derivative in x of x^0 = 1 is 0 everywhere, 0 included.
    """
    steady = ops.logical_and(y == 0, ops.logical_not(x > 0))
    return _power(ops.where(steady, ops.ones_like(x), x), y)


def maximum(x: Any, y: Any) -> Any:
    """Return the larger of x and y, NaN where either is."""
    if _is_float64(x):
        return ops.where(ops.logical_or(x >= y, x != x), x, y)
    return ops.maximum(x, y)


def minimum(x: Any, y: Any) -> Any:
    """Return the smaller of x and y, NaN where either is."""
    if _is_float64(x):
        return ops.where(ops.logical_or(x <= y, x != x), x, y)
    return ops.minimum(x, y)


def within(x: Any, low: float, high: float) -> Any:
    """Return x clipped to [low, high]; NaN stays.

    The bounds of Keras's `clip` are float32 on PyTorch, so that those of float64 turn infinite.
    """
    if not _is_float64(x):
        return ops.clip(x, low, high)
    x = ops.where(x < low, ops.full_like(x, low), x)
    return ops.where(x > high, ops.full_like(x, high), x)


def finite(x: Any) -> Any:
    """Return x, but for infinity the largest finite numbers; NaN stays."""
    largest = LARGEST[keras.backend.standardize_dtype(x.dtype)]
    return within(x, -largest, largest)


def _finite_below(x):
    """X, but for -inf the least finite number."""
    return within(x, -LARGEST[keras.backend.standardize_dtype(x.dtype)], math.inf)


def _is_float64(x):
    """Whether x is float64, for which `ops.maximum` of Keras 3.15 gives float32 on PyTorch."""
    return keras.backend.standardize_dtype(x.dtype) == "float64"
