"""Closed forms of every operator and its derivatives with SciPy, and forward-mode duals.

Independent of `keras_actfn.expressions`: derivatives are written out by hand and chained by
dual numbers in float64, so a backend's reverse mode is compared with something else.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

ALPHA, SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def _i1e_slope(x):
    return np.where(x == 0, 0.5, _ive(0, x) - _ive(1, x) * (np.sign(x) + 1 / x))


def _ive(order, x):
    """exp(-|x|) I_order(x), which SciPy's `ive` does not give beyond 1e9."""
    far = np.abs(x) > 1e8
    tail = np.sign(x) ** order / np.sqrt(2 * np.pi * np.abs(np.where(far, x, 1.0)))
    return np.where(far, tail, special.ive(order, np.where(far, 1.0, x)))


def _mish_slope(x):
    t = np.tanh(np.logaddexp(0, x))
    return t + x * (1 - t * t) * special.expit(x)


def _sinc_slope(x):
    """-j1(x), the spherical Bessel function of order 1, which SciPy does not give beyond 1e9."""
    far = np.abs(x) > 1e8
    tail = np.cos(x) / np.where(far, x, 1.0)
    return np.where(far, tail, -np.sign(x) * special.spherical_jn(1, np.abs(np.where(far, 1.0, x))))


#: name -> (value, derivative), functions of one float64 array.
UNARY = {
    "zero": (lambda x: 0 * np.ones_like(x), np.zeros_like),
    "one": (np.ones_like, np.zeros_like),
    "identity": (lambda x: x, np.ones_like),
    "negative": (lambda x: -x, lambda x: -np.ones_like(x)),
    "abs": (np.fabs, np.sign),
    "reciprocal": (lambda x: x**-1.0, lambda x: -((1 / x) ** 2)),
    "square": (lambda x: x * x, lambda x: 2 * x),
    "exp": (np.exp, np.exp),
    "sigmoid": (special.expit, lambda x: special.expit(x) * special.expit(-x)),
    "erf": (special.erf, lambda x: 2 / np.sqrt(np.pi) * np.exp(-x * x)),
    "erfc": (special.erfc, lambda x: -2 / np.sqrt(np.pi) * np.exp(-x * x)),
    "sinh": (np.sinh, np.cosh),
    "cosh": (np.cosh, np.sinh),
    "tanh": (np.tanh, lambda x: np.cosh(x) ** -2.0),
    "arcsinh": (np.arcsinh, lambda x: 1 / np.hypot(1, x)),
    "arctan": (np.arctan, lambda x: 1 / (1 + x * x)),
    "expm1": (np.expm1, np.exp),
    "log_sigmoid": (special.log_expit, lambda x: special.expit(-x)),
    "relu": (lambda x: np.where(x < 0, 0, x), lambda x: np.heaviside(x, 0)),
    "elu": (
        lambda x: np.where(x < 0, np.expm1(x), x),
        lambda x: np.where(x < 0, np.exp(x), 1.0),
    ),
    "selu": (
        lambda x: SCALE * np.where(x < 0, ALPHA * np.expm1(x), x),
        lambda x: SCALE * np.where(x < 0, ALPHA * np.exp(x), 1.0),
    ),
    "swish": (
        lambda x: x * special.expit(x),
        lambda x: special.expit(x) * (1 + x * special.expit(-x)),
    ),
    "softplus": (lambda x: np.log1p(np.exp(-np.abs(x))) + np.fmax(x, 0) + 0 * x, special.expit),
    "softsign": (lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2),
    "hard_sigmoid": (
        lambda x: np.minimum(np.maximum(x / 5 + 0.5, 0), 1),
        lambda x: np.where(np.abs(x) < 2.5, 0.2, 0.0),
    ),
    "bessel_i0e": (
        lambda x: _ive(0, x),
        lambda x: _ive(1, x) - np.sign(x) * _ive(0, x),
    ),
    "bessel_i1e": (lambda x: _ive(1, x), _i1e_slope),
    "elish": (
        lambda x: special.expit(x) * np.where(x < 0, np.expm1(x), x),
        lambda x: (
            special.expit(x)
            * np.where(
                x < 0, np.exp(x) + np.expm1(x) * special.expit(-x), 1 + x * special.expit(-x)
            )
        ),
    ),
    "gelu": (
        lambda x: x * special.ndtr(x),
        lambda x: special.ndtr(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi),
    ),
    "leakyrelu": (
        lambda x: np.where(x < 0, x / 100, x),
        lambda x: np.where(x < 0, 0.01, 1.0),
    ),
    "mish": (lambda x: x * np.tanh(np.logaddexp(0, x)), _mish_slope),
    "sin": (lambda x: np.imag(np.exp(1j * x)), lambda x: np.real(np.exp(1j * x))),
    "cos": (lambda x: np.real(np.exp(1j * x)), lambda x: -np.imag(np.exp(1j * x))),
    "sinc": (lambda x: np.sinc(x / np.pi), _sinc_slope),
    "gaussian": (lambda x: np.exp(-(x**2)), lambda x: -2 * x * np.exp(-(x**2))),
}


def _pow_slopes(x, y):
    to_x = np.where(y == 0, 0.0, y * x ** np.where(y == 0, 1.0, y - 1))
    to_y = np.where(x > 0, x**y * np.log(np.where(x > 0, x, 1.0)), 0.0)
    return to_x, to_y


#: name -> (value, (d/dx, d/dy)), functions of two float64 arrays.
BINARY = {
    "add": (lambda x, y: x + y, lambda x, y: (np.ones_like(x), np.ones_like(y))),
    "sub": (lambda x, y: x - y, lambda x, y: (np.ones_like(x), -np.ones_like(y))),
    "mul": (lambda x, y: x * y, lambda x, y: (y, x)),
    "div": (lambda x, y: x / y, lambda x, y: (1 / y, -x / y**2)),
    "pow": (lambda x, y: x**y, _pow_slopes),
    "max": (
        lambda x, y: np.where(np.isnan(x) | (x > y), x, y),
        lambda x, y: (np.heaviside(x - y, 0.5), np.heaviside(y - x, 0.5)),
    ),
    "min": (
        lambda x, y: np.where(np.isnan(x) | (x < y), x, y),
        lambda x, y: (np.heaviside(y - x, 0.5), np.heaviside(x - y, 0.5)),
    ),
}

#: name -> the binary operator that an n-ary one repeats.
N_ARY = {"sum_n": "add", "prod_n": "mul", "max_n": "max", "min_n": "min"}

#: Points where the derivative jumps.
KINKS = {
    "abs": (0.0,),
    "relu": (0.0,),
    "selu": (0.0,),
    "leakyrelu": (0.0,),
    "hard_sigmoid": (-2.5, 2.5),
    "bessel_i0e": (0.0,),
}


#: Functions whose values and slopes lie within [-1, 1] and change no faster than their argument:
#: they may come back on the way, so that the ends of an interval do not bound them.
WAVES = ("sin", "cos", "sinc")


@dataclass
class Dual:
    """Value and derivative with the rounding errors they may have picked up on the way.

    `kink`: the derivative is one of several. `wild`: some intermediate value is not finite, or
    beyond the limit.
    """

    value: np.ndarray
    slope: np.ndarray
    error: np.ndarray
    slope_error: np.ndarray
    kink: np.ndarray
    wild: np.ndarray


def _close(a, b):
    return np.abs(a - b) <= 1e-9 * (1 + np.abs(a))


def evaluate(expression, x, eps=2.3e-16, limit=1e100):
    """Evaluate a parsed expression and its derivative on a float64 array, by dual numbers.

    Errors are first-order: every operator rounds to `8 eps` of its value, and errors of its
    arguments count by how much they change it.
    """
    with np.errstate(all="ignore"):
        return _evaluate(expression, np.asarray(x, "float64"), 8 * eps, limit)


def _evaluate(node, x, eps, limit):
    if not node.arguments:
        zero, no = np.zeros_like(x), np.zeros(x.shape, bool)
        if node.head == "x":
            return Dual(x, np.ones_like(x), zero, zero, no, no)
        return Dual(np.full_like(x, node.head), zero, zero, zero, no, no)
    parts = [_evaluate(argument, x, eps, limit) for argument in node.arguments]
    if node.head in UNARY:
        return _unary(node.head, parts[0], eps, limit)
    result = parts[0]
    for other in parts[1:]:
        result = _binary(N_ARY.get(node.head, node.head), result, other, eps, limit)
    return result


def _unary(name, u, eps, limit):
    function, derivative = UNARY[name]
    value, slope = function(u.value), derivative(u.value)
    moved = [u.value - u.error, u.value + u.error]
    error = np.max([np.abs(function(m) - value) for m in moved], axis=0)
    if name in WAVES:
        error = np.minimum(u.error, 2.0)
    error += eps * (np.abs(value) + (name == "hard_sigmoid"))
    change = np.max([np.abs(derivative(m) - slope) for m in moved], axis=0)
    if name in WAVES:
        change = np.minimum(u.error, 2.0)
    # Slopes such as 1 - tanh(x)^2 are exact to eps, not to eps of themselves; mish has x times it.
    grown = 1 + np.abs(u.value) if name == "mish" else 1.0
    slope_error = (change + eps * grown * (1 + np.abs(slope))) * np.abs(u.slope)
    slope_error += np.abs(slope) * u.slope_error
    kink = u.kink.copy()
    for at in KINKS.get(name, ()):
        near = np.abs(u.value - at) <= u.error + 1e-9
        kink |= near & (u.slope != 0)
    wild = u.wild | ~(np.abs(value) < limit) | np.isnan(error) | np.isnan(slope_error)
    return Dual(value, slope * u.slope, error, slope_error, kink, wild)


def _binary(name, u, v, eps, limit):
    function, derivatives = BINARY[name]
    value, (to_u, to_v) = function(u.value, v.value), derivatives(u.value, v.value)
    corners = [(u.value + i * u.error, v.value + j * v.error) for i in (-1, 1) for j in (-1, 1)]
    error = np.max([np.abs(function(*c) - value) for c in corners], axis=0) + eps * np.abs(value)
    slopes = [derivatives(*c) for c in corners]
    change_u = np.max([np.abs(s[0] - to_u) for s in slopes], axis=0) + eps * np.abs(to_u)
    change_v = np.max([np.abs(s[1] - to_v) for s in slopes], axis=0) + eps * np.abs(to_v)
    slope_error = change_u * np.abs(u.slope) + change_v * np.abs(v.slope)
    slope_error += np.abs(to_u) * u.slope_error + np.abs(to_v) * v.slope_error
    kink = u.kink | v.kink
    if name in ("max", "min"):
        near = _close(u.value, v.value) | (np.abs(u.value - v.value) <= u.error + v.error)
        kink = kink | (near & ~_close(u.slope, v.slope))
    # A bound that is NaN is that of a power whose exponent may not be the integer that it is.
    wild = u.wild | v.wild | ~(np.abs(value) < limit) | np.isnan(error) | np.isnan(slope_error)
    slope = to_u * u.slope + to_v * v.slope
    return Dual(value, slope, error, slope_error, kink, wild)
