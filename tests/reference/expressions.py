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


@dataclass
class Dual:
    """Value, derivative, and where the derivative is one of several (a kink is met)."""

    value: np.ndarray
    slope: np.ndarray
    kink: np.ndarray


def _close(a, b):
    return np.abs(a - b) <= 1e-9 * (1 + np.abs(a))


def evaluate(expression, x):
    """Evaluate a parsed expression and its derivative on a float64 array, by dual numbers."""
    with np.errstate(all="ignore"):
        return _evaluate(expression, np.asarray(x, "float64"))


def _evaluate(node, x):
    if not node.arguments:
        if node.head == "x":
            return Dual(x, np.ones_like(x), np.zeros(x.shape, bool))
        return Dual(np.full_like(x, node.head), np.zeros_like(x), np.zeros(x.shape, bool))
    parts = [_evaluate(argument, x) for argument in node.arguments]
    if node.head in UNARY:
        (u,) = parts
        value, slope = UNARY[node.head]
        kink = u.kink.copy()
        for at in KINKS.get(node.head, ()):
            kink |= _close(u.value, at) & (u.slope != 0)
        return Dual(value(u.value), slope(u.value) * u.slope, kink)
    name = N_ARY.get(node.head, node.head)
    result = parts[0]
    for other in parts[1:]:
        result = _binary(name, result, other)
    return result


def _binary(name, u, v):
    value, slopes = BINARY[name]
    to_u, to_v = slopes(u.value, v.value)
    kink = u.kink | v.kink
    if name in ("max", "min"):
        kink = kink | (_close(u.value, v.value) & ~_close(u.slope, v.slope))
    return Dual(value(u.value, v.value), to_u * u.slope + to_v * v.slope, kink)
