"""Operators, learned layers and 300 random expressions at extreme inputs, against 50 digits.

    KERAS_BACKEND=jax python benchmarks/extremes.py

Inputs are ±{0, subnormals, 1e-30, 1e-8, ..., 1e4, 1e10, the largest number, infinity} and NaN,
in every dtype of the backend, through `ExpressionActivation` (16 bits are computed in float32).
Where the true value and slope are ordinary numbers, and no intermediate result, nor its product
with the slope, leaves the range of the dtype that is computed in, the layer's must agree with
them up to rounding: errors of 16 units in the last place for each operation, and what they grow
to in the rest of the formula. At a kink the slope may lie between both sides'. At infinity an
operator has its limit. A learned layer must be right also where a term of its formula would leave
the range, and only the value and the slope are ordinary numbers. It prints what disagrees, and ends
with status 1 where anything does.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import keras
import numpy as np
from keras import ops
from mpmath import mp, mpf
from reference import exact
from reference.random_expressions import random_expressions

from keras_actfn import activation, backend
from keras_actfn.expressions import parse
from keras_actfn.layers import ExpressionActivation

#: Bits of the significand, and the exponents of the smallest and largest normal number.
FORMATS = {
    "float16": (11, -14, 16),
    "bfloat16": (8, -126, 128),
    "float32": (24, -126, 128),
    "float64": (53, -1022, 1024),
}


#: Learned layers, and the same with the numbers written out.
LAYERS = {
    "crrelu(epsilon=0.5)": "relu(x)+0.5*(x*exp(-0.5*x*x))",
    "rational(initial=[[0.5,1,0.25,0.5,0.125,2],[0,0.5,0,0.75]])": (
        "(0.5+x+0.25*x**2+0.5*x**3+0.125*x**4+2*x**5)/(1+0.5*x**2+0.75*x**4)"
    ),
    "rational(degrees=[3,4],initial=[[0.5,1,0.25,1],[0,0.5,0,0]])": (
        "(0.5+x+0.25*x**2+x**3)/(1+0.5*x**2)"
    ),
    "rational(degrees=[2,4],initial=[[0.5,0,2],[0,1,0,3]])": "(0.5+2*x**2)/(1+x**2+3*x**4)",
    "xielu(alpha_p=1.25,alpha_n=1.5,beta=0.5)": (
        "1.25*relu(x)**2+0.5*relu(x)+(1.5*expm1(min(x,0))-min(x,0))"
    ),
    "acon(p1=1.5,p2=0.25,beta=2)": "1.25*(x*sigmoid(2.5*x))+0.25*x",
    "acon(p1=1,p2=0,beta=0.5)": "x*sigmoid(0.5*x)",
    "dyt(alpha=0.75,gamma=1.5,beta=-0.25)": "1.5*tanh(0.75*x)-0.25",
    "scaled(tanh,a=1.5,b=0.5)": "1.5*tanh(0.5*x)",
    "scaled(x*sigmoid(x),a=2,b=-0.25)": "2*((-0.25*x)*sigmoid(-0.25*x))",
    "scaled(sinc,a=3,b=2)": "3*sinc(2*x)",
    "scaled(crrelu(epsilon=0.5),a=0.5,b=2)": "0.5*(relu(2*x)+0.5*(2*x*exp(-2*x*x)))",
}


def dtypes() -> list[str]:
    """The floating-point dtypes that the running backend computes in."""
    double = keras.backend.backend() != "jax"
    return ["float32", "bfloat16", "float16", *(["float64"] if double else [])]


def points(dtype: str) -> list[float]:
    """The inputs: ±each of a few magnitudes of the dtype, and NaN."""
    bits, low, high = FORMATS[dtype]
    tiny, largest = 2.0**low, float((2 - mpf(2) ** (1 - bits)) * mpf(2) ** (high - 1))
    sizes = [0.0, tiny * 2.0 ** (1 - bits), tiny / 2, tiny, 1e-30, 1e-8, 1e-3, 0.3, 1.0, 3.0, 20.0]
    sizes += [88.0, 120.0, 1e4, 1e10, 1e19, largest, float("inf")]
    kept = [s for s in sizes if s in (0.0, largest, float("inf")) or tiny / 2**bits < s < largest]
    return [sign * size for size in kept for sign in (1.0, -1.0)] + [float("nan")]


def arithmetic(dtype: str) -> exact.Arithmetic:
    """The arithmetic that the layer computes a dtype in."""
    bits, low, high = FORMATS["float64" if dtype == "float64" else "float32"]
    # Keras computes some float64 functions in float32 on PyTorch; the layer promises no more.
    eps = 16 * mpf(2) ** -(24 if dtype == "float64" else bits)
    return exact.Arithmetic(eps, mpf(2) ** low, mpf(2) ** high)


def compare(expression, dtype: str, operator: bool = False, layer=None) -> list[tuple]:
    """Compare one expression at all points.

    Args:
        expression: The expression.
        dtype: A dtype of `FORMATS`.
        operator: Whether it is a single operator of x, which has its limits at infinity.
        layer: A layer of the same function; without it the expression's own.

    Returns:
        Tuples (verdict, x, what, got, expected), one for each comparison: the verdict is
        `"right"`, `"wrong"`, or why nothing is promised: `"no ordinary number"`, `"overflow"`
        of an intermediate result, or `"rounding"` errors larger than the result.
    """
    strict = layer is not None
    if layer is None:
        layer = ExpressionActivation(expression, dtype=dtype)
    x = ops.cast(ops.convert_to_tensor(np.array(points(dtype)), "float64"), dtype)
    value = layer(x)
    (slope,) = backend.vector_jacobian_product(layer, ops.ones_like(x), x)
    x, value, slope = (
        ops.convert_to_numpy(ops.cast(t, "float64" if dtype == "float64" else "float32"))
        for t in (x, value, slope)
    )
    found = []
    for at, *got in zip(x.tolist(), value.tolist(), slope.tolist(), strict=True):
        found.extend(_judged(expression, at, got, dtype, operator))
    if strict:
        found = [("wrong", *row[1:]) if row[0] == "overflow" else row for row in found]
    return found


def _judged(expression, at, got, dtype, operator):
    if np.isnan(at):
        constant = not any(str(node) == "x" for node in expression.subexpressions())
        constant = constant or any(n in str(expression) for n in ("zero(", "one(", "max", "min"))
        if constant or "pow(" in str(expression):
            return
        yield ("right" if np.isnan(got[0]) else "wrong", at, "value", got[0], at)
        return
    if np.isinf(at) and not operator:
        return
    numbers = arithmetic(dtype)
    bits, low, high = FORMATS[dtype]
    truth = exact.evaluate(expression, mpf(at), numbers)
    near = [truth]
    if not np.isinf(at):
        step = abs(mpf(at)) * mpf(10) ** -45 or mpf(10) ** -900
        near += [exact.evaluate(expression, mpf(at) + s, numbers) for s in (-step, step)]
    largest = mpf(2) ** FORMATS["float64" if dtype == "float64" else "float32"][2]
    widest = max(each.widest for each in near)
    for what, actual in zip(("value", "slope"), got, strict=True):
        sides = [getattr(each, what) for each in near]
        margin = max(e.error if what == "value" else e.slope_error for e in near)
        if any(mp.isnan(s) or mp.isinf(s) or abs(s) >= mpf(2) ** high for s in sides):
            yield "no ordinary number", at, what, actual, float(sides[0])
            continue
        if what == "value":
            sides = sides[:1]
        size = max(map(abs, sides))
        if margin > 1000 * (1 + size):
            yield "rounding", at, what, actual, float(sides[0])
            continue
        margin += size * mpf(2) ** (2 - bits) + mpf(2) ** low
        good = not np.isnan(actual) and min(sides) - margin <= actual <= max(sides) + margin
        # The last number before infinity may round to it.
        good = good or (np.isinf(actual) and size + margin >= mpf(2) ** high)
        # The chain rule multiplies slopes and values; a slope that is 0 has factors, too.
        product = widest * max(1, size) if what == "slope" else widest
        verdict = "right" if good else "overflow" if product >= largest else "wrong"
        yield verdict, at, what, actual, float(sides[0])


def operators() -> list:
    """Every operator of one argument of x, and those of more on arguments that differ."""
    texts = [f"{name}(x)" for name in exact.UNARY]
    texts += [f"{name}(x,2)" for name in ("add", "sub", "mul", "div", "pow", "max", "min")]
    texts += [f"{name}(2,x)" for name in ("div", "pow", "max", "min")]
    texts += [f"{name}(x,tanh(x))" for name in exact.BINARY]
    texts += [f"{name}(x,2,arctan(x))" for name in exact.N_ARY]
    return [parse(text) for text in texts]


def layers(dtype: str) -> list[tuple]:
    """Pairs of a layer and its expression."""
    made = []
    for spec, text in LAYERS.items():
        layer = activation(spec, dtype=dtype)
        config = layer.get_config()
        made.append((type(layer).from_config({**config, "axis": None}), parse(text)))
    return made


def _listed(counts):
    return ", ".join(f"{verdict} {n}" for verdict, n in sorted(counts.items()))


def main() -> int:
    """Print what disagrees and how much was compared."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300, help="random expressions")
    parser.add_argument("--seed", type=int, default=0, help="their seed")
    parser.add_argument("--dtypes", nargs="*", default=dtypes())
    options = parser.parse_args()
    print(f"backend {keras.backend.backend()}, {options.count} expressions, seed {options.seed}")
    random = random_expressions(options.count, options.seed)
    wrong = 0
    for dtype in options.dtypes:
        for title, expressions in (("operators", operators()), ("expressions", random)):
            counts = Counter()
            for expression in expressions:
                unary = title == "operators" and len(expression.arguments) == 1
                for verdict, at, what, got, expected in compare(expression, dtype, unary):
                    counts[verdict] += 1
                    if verdict == "wrong":
                        print(f"  {dtype} {expression} at {at:g}: {what} {got:g}, not {expected:g}")
            wrong += counts["wrong"]
            print(f"{dtype} {title}: {_listed(counts)}", flush=True)
        counts = Counter()
        for layer, expression in layers(dtype):
            for verdict, at, what, got, expected in compare(expression, dtype, True, layer):
                counts[verdict] += 1
                if verdict == "wrong":
                    name = f"{type(layer).__name__} {expression}"
                    print(f"  {dtype} {name} at {at:g}: {what} {got:g}, not {expected:g}")
        wrong += counts["wrong"]
        print(f"{dtype} layers: {_listed(counts)}", flush=True)
    print(f"wrong in all: {wrong}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
