"""Expressions and their slopes in 50-digit arithmetic, with the error that rounding may bring.

Independent of `keras_actfn.expressions`: derivatives are written out by hand and chained by
dual numbers. Magnitudes beyond 10^±1000 count as infinite and as zero.
"""

from dataclasses import dataclass

from mpmath import mp, mpf

mp.dps = 50
INF, NAN, ZERO, ONE = mpf("inf"), mpf("nan"), mpf(0), mpf(1)
ALPHA, SCALE = mpf("1.6732632423543772848170429916717"), mpf("1.0507009873554804934193349852946")
_BOUND = mpf(10) ** 1000


def limit(v):
    """Infinity for what is huge, zero for what is tiny."""
    if mp.isnan(v) or v == 0 or mp.isinf(v):
        return v
    return mp.sign(v) * INF if abs(v) > _BOUND else (ZERO if abs(v) < 1 / _BOUND else v)


def _product(a, b):
    return NAN if (a == 0 and mp.isinf(b)) or (b == 0 and mp.isinf(a)) else limit(a * b)


def _scaled(a, b):
    """A product in which 0 times infinity is 0, for limits in which the first factor wins."""
    return ZERO if a == 0 or b == 0 else limit(a * b)


def _exp(x):
    return INF if x > 3000 else ZERO if x < -3000 else mp.exp(x)


def _expm1(x):
    return INF if x > 3000 else -ONE if x < -3000 else mp.expm1(x)


def _sigmoid(x):
    return ONE / (ONE + _exp(-x))


def _softplus(x):
    return x if x > 3000 else mp.log1p(_exp(x))


def _erfc(x):
    return ZERO if x > 80 else mpf(2) if x < -80 else mp.erfc(x)


def _gauss(x):
    return ZERO if abs(x) > 80 else mp.exp(-x * x)


def _tanh(x):
    return mp.sign(x) if abs(x) > 3000 else mp.tanh(x)


def _ive(order, x):
    """exp(-|x|) I_order(x), from x = 200 on by its asymptotic series."""
    a = abs(x)
    sign = -1 if x < 0 and order else 1
    if mp.isinf(a):
        return ZERO
    if a < 200:
        return mp.besseli(order, x) * mp.exp(-a)
    term = total = ONE
    for k in range(1, 25):
        term *= -(mpf(4 * order**2) - (2 * k - 1) ** 2) / (8 * k * a)
        total += term
    return sign * total / mp.sqrt(2 * mp.pi * a)


def _i1e_slope(x):
    if x == 0:
        return mpf("0.5")
    if mp.isinf(x):
        return ZERO
    return _ive(0, x) - _ive(1, x) * (mp.sign(x) + 1 / x)


def _swish_slope(x):
    return _sigmoid(x) + _scaled(_sigmoid(x) * _sigmoid(-x), x)


def _elish_slope(x):
    if x > 0:
        return _swish_slope(x)
    return _sigmoid(x) * (_exp(x) + _expm1(x) * _sigmoid(-x))


def _gelu_slope(x):
    peak = _gauss(x / mp.sqrt(2)) / mp.sqrt(2 * mp.pi)
    return _erfc(-x / mp.sqrt(2)) / 2 + _scaled(peak, x)


def _mish_slope(x):
    t = _tanh(_softplus(x))
    sech = 1 / mp.cosh(_softplus(x)) ** 2 if _softplus(x) < 3000 else ZERO
    return t + _scaled(sech * _sigmoid(x), x)


def _sinc(x):
    return ZERO if mp.isinf(x) else mp.sinc(x)


def _sinc_slope(x):
    if x == 0 or mp.isinf(x):
        return ZERO
    if abs(x) < mpf(10) ** -10:
        return -x / 3  # the next term is x^3 / 30
    return (mp.cos(x) - mp.sin(x) / x) / x


def _cosh(x):
    return INF if abs(x) > 3000 else mp.cosh(x)


def _sinh(x):
    return mp.sign(x) * INF if abs(x) > 3000 else mp.sinh(x)


def _arcsinh(x):
    return x if mp.isinf(x) else mp.asinh(x)


#: name -> (value, derivative); a value at infinity is the limit.
UNARY = {
    "zero": (lambda x: ZERO, lambda x: ZERO),
    "one": (lambda x: ONE, lambda x: ZERO),
    "identity": (lambda x: x, lambda x: ONE),
    "negative": (lambda x: -x, lambda x: -ONE),
    "abs": (abs, mp.sign),
    "reciprocal": (
        lambda x: NAN if x == 0 else ONE / x,
        lambda x: NAN if x == 0 else -ONE / (x * x),
    ),
    "square": (lambda x: x * x, lambda x: 2 * x),
    "exp": (_exp, _exp),
    "sigmoid": (_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x)),
    "erf": (
        lambda x: mp.sign(x) if abs(x) > 80 else mp.erf(x),
        lambda x: _gauss(x) * 2 / mp.sqrt(mp.pi),
    ),
    "erfc": (_erfc, lambda x: _gauss(x) * -2 / mp.sqrt(mp.pi)),
    "sinh": (_sinh, _cosh),
    "cosh": (_cosh, _sinh),
    "tanh": (_tanh, lambda x: 1 / _cosh(x) ** 2),
    "arcsinh": (_arcsinh, lambda x: 1 / mp.sqrt(1 + x * x)),
    "arctan": (mp.atan, lambda x: 1 / (1 + x * x)),
    "expm1": (_expm1, _exp),
    "log_sigmoid": (lambda x: -_softplus(-x), lambda x: _sigmoid(-x)),
    "relu": (lambda x: max(x, ZERO), lambda x: ONE if x > 0 else ZERO),
    "elu": (lambda x: x if x > 0 else _expm1(x), lambda x: ONE if x > 0 else _exp(x)),
    "selu": (
        lambda x: SCALE * (x if x > 0 else ALPHA * _expm1(x)),
        lambda x: SCALE * (ONE if x > 0 else ALPHA * _exp(x)),
    ),
    "swish": (lambda x: _scaled(_sigmoid(x), x), _swish_slope),
    "softplus": (_softplus, _sigmoid),
    "softsign": (
        lambda x: mp.sign(x) if mp.isinf(x) else x / (1 + abs(x)),
        lambda x: 1 / (1 + abs(x)) ** 2,
    ),
    "hard_sigmoid": (
        lambda x: min(max(x / 5 + mpf("0.5"), ZERO), ONE),
        lambda x: mpf("0.2") if abs(x) < 2.5 else ZERO,
    ),
    "bessel_i0e": (
        lambda x: _ive(0, x),
        lambda x: _ive(1, x) - mp.sign(x) * _ive(0, x),
    ),
    "bessel_i1e": (lambda x: _ive(1, x), _i1e_slope),
    "elish": (lambda x: _scaled(_sigmoid(x), x if x > 0 else _expm1(x)), _elish_slope),
    "gelu": (lambda x: _scaled(_erfc(-x / mp.sqrt(2)) / 2, x), _gelu_slope),
    "leakyrelu": (
        lambda x: x if x > 0 else x / 100,
        lambda x: ONE if x > 0 else ONE / 100,
    ),
    "mish": (lambda x: _scaled(_tanh(_softplus(x)), x), _mish_slope),
    "sin": (mp.sin, mp.cos),
    "cos": (mp.cos, lambda x: -mp.sin(x)),
    "sinc": (_sinc, _sinc_slope),
    "gaussian": (_gauss, lambda x: _scaled(_gauss(x), -2 * x)),
}


def _power(x, y):
    if mp.isnan(x) or mp.isnan(y) or mp.isinf(y) or mp.isinf(x):
        return NAN, NAN, NAN
    if y == 0:
        return ONE, ZERO, mp.log(x) if x > 0 else ZERO
    if x == 0:
        return (ZERO, ZERO if y > 1 else ONE if y == 1 else NAN, ZERO) if y > 0 else (NAN,) * 3
    if x < 0 and y != mp.floor(y):
        return NAN, NAN, NAN
    sign = -1 if x < 0 and mp.fmod(y, 2) else 1
    value = sign * _exp(y * mp.log(abs(x)))
    return value, _product(value, y) / x, _product(value, mp.log(x)) if x > 0 else ZERO


def _greater(x, y):
    return (x, ONE, ZERO) if x >= y else (y, ZERO, ONE)


def _smaller(x, y):
    return (x, ONE, ZERO) if x <= y else (y, ZERO, ONE)


def _quotient(x, y):
    if y == 0 or (mp.isinf(x) and mp.isinf(y)):
        return NAN, NAN, NAN
    return x / y, 1 / y, -_product(x, 1 / (y * y)) if not mp.isinf(y) else ZERO


#: name -> function to (value, d/dx, d/dy).
BINARY = {
    "add": lambda x, y: (x + y, ONE, ONE),
    "sub": lambda x, y: (x - y, ONE, -ONE),
    "mul": lambda x, y: (_product(x, y), y, x),
    "div": _quotient,
    "pow": _power,
    "max": _greater,
    "min": _smaller,
}
N_ARY = {"sum_n": "add", "prod_n": "mul", "max_n": "max", "min_n": "min"}


@dataclass(frozen=True)
class Exact:
    """A value and slope, what rounding may change them by, and the largest number on the way."""

    value: mpf
    slope: mpf
    error: mpf
    slope_error: mpf
    widest: mpf


@dataclass(frozen=True)
class Arithmetic:
    """The numbers of a dtype: relative rounding of an operation, smallest and largest number."""

    eps: mpf
    tiny: mpf
    largest: mpf


def evaluate(node, x, arithmetic):
    """Evaluate an expression at one mpf by dual numbers."""
    if not node.arguments:
        if node.head == "x":
            error = arithmetic.tiny if abs(x) < arithmetic.tiny else ZERO
            return Exact(x, ONE, error, ZERO, abs(x))
        return Exact(mpf(node.head), ZERO, ZERO, ZERO, mpf(node.head))
    parts = [evaluate(argument, x, arithmetic) for argument in node.arguments]
    if node.head in UNARY:
        return _unary(node.head, parts[0], arithmetic)
    result = parts[0]
    for other in parts[1:]:
        result = _binary(N_ARY.get(node.head, node.head), result, other, arithmetic)
    return result


def _around(u, error):
    if error == 0 or mp.isinf(u):
        return [u]
    return [u - error, u + error, *([ZERO] if abs(u) <= error else [])]


def _change(values, value):
    """Largest distance of values from one; infinite where there is none."""
    distances = [abs(v - value) if v != value else ZERO for v in values]
    return INF if any(map(mp.isnan, distances)) else max(distances)


def _unary(name, u, numbers):
    function, derivative = UNARY[name]
    if mp.isnan(u.value) or mp.isinf(u.error):  # rounding may have made a NaN of it
        return Exact(NAN, NAN, INF, INF, u.widest)
    value, slope = limit(function(u.value)), limit(derivative(u.value))
    # Functions may round their arguments, as exp(x - log 2) in sinh does, and pass through
    # numbers that underflow, as sigmoid(x) in x sigmoid(x).
    moved = _around(u.value, u.error + numbers.eps / 16 * abs(u.value))
    error = _change([limit(function(m)) for m in moved], value) if len(moved) > 1 else ZERO
    least = numbers.tiny * (ONE + abs(u.value)) if not mp.isinf(u.value) else numbers.tiny
    error += numbers.eps * abs(value) + least if not mp.isinf(value) else ZERO
    change = _change([limit(derivative(m)) for m in moved], slope) if len(moved) > 1 else ZERO
    # Slopes such as 1 - tanh(x)^2 are exact to eps, not to eps of themselves; at 0 they are 0.
    change += numbers.eps * (ONE + abs(slope) if slope else ZERO) + least
    return Exact(
        value,
        _product(slope, u.slope),
        error,
        _bound(change, abs(u.slope)) + _bound(abs(slope), u.slope_error),
        max(u.widest, abs(value), abs(slope)),
    )


def _bound(a, b):
    return ZERO if a == 0 or b == 0 else a * b


def _binary(name, u, v, numbers):
    function = BINARY[name]
    if any(mp.isnan(each.value) or mp.isinf(each.error) for each in (u, v)):
        return Exact(NAN, NAN, INF, INF, max(u.widest, v.widest))
    value, to_u, to_v = map(limit, function(u.value, v.value))
    corners = [function(a, b) for a in _around(u.value, u.error) for b in _around(v.value, v.error)]
    corners = [tuple(map(limit, corner)) for corner in corners]
    error = _change([c[0] for c in corners], value)
    error += numbers.eps * abs(value) + numbers.tiny if not mp.isinf(value) else ZERO
    slope, slope_error = ZERO, ZERO
    for part, partial, k in ((u, to_u, 1), (v, to_v, 2)):
        change = _change([c[k] for c in corners], partial) + numbers.tiny
        term = _product(partial, part.slope)
        slope += term
        slope_error += _bound(change, abs(part.slope)) + _bound(abs(partial), part.slope_error)
        slope_error += numbers.eps * abs(term) if not mp.isinf(term) else ZERO
    widest = max(u.widest, v.widest, *map(abs, (value, to_u, to_v, u.slope, v.slope)))
    if name == "pow" and u.value != 0:
        widest = max(widest, abs(value / u.value))  # x^(y - 1), a factor of the derivative
    return Exact(value, slope, error, slope_error, widest)
