"""A quick part of `benchmarks/extremes.py`: operators and expressions against 50 digits."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from keras import ops
from reference.random_expressions import random_expressions

from keras_actfn import backend
from keras_actfn.expressions import operators, parse
from keras_actfn.layers import AffineHullActivation
from keras_actfn.testing import output_and_gradients

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "extremes.py"
spec = importlib.util.spec_from_file_location("extremes", SCRIPT)
extremes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(extremes)


def compared(expressions, dtype):
    results = [r for each in expressions for r in extremes.compare(each, dtype, True)]
    wrong = [str(r) for r in results if r[0] == "wrong"]
    return sum(r[0] == "right" for r in results), wrong


def test_every_operator_in_float32():
    unary = [each for each in extremes.operators() if len(each.arguments) == 1]
    right, wrong = compared(unary, "float32")
    assert not wrong, "\n".join(wrong)
    assert right > 1700, "too little was compared"


@pytest.mark.parametrize("dtype", [d for d in extremes.dtypes() if d != "float32"])
def test_other_dtypes(dtype):
    texts = ("x*tanh(x)", "div(x,tanh(x))", "elu(x)", "mish(x)", "erf(x)", "bessel_i1e(x)")
    right, wrong = compared(map(parse, texts), dtype)
    assert not wrong, "\n".join(wrong)
    assert right > 150


def test_some_expressions():
    expressions = [each for each in extremes.operators() if len(each.arguments) > 1][::4]
    expressions += random_expressions(6, seed=1)
    results = [r for each in expressions for r in extremes.compare(each, "float32")]
    assert not [r for r in results if r[0] == "wrong"]
    assert sum(r[0] == "right" for r in results) > 400


def test_what_was_reported():
    x = ops.convert_to_tensor(np.array([-1e10, -1e38, 1e10], "float32"))
    function = parse("x*tanh(x)")
    (slope,) = backend.vector_jacobian_product(function, ops.ones_like(x), x)
    np.testing.assert_array_equal(ops.convert_to_numpy(slope), [-1, -1, 1])


@pytest.mark.parametrize(
    "text",
    [
        "prod_n(swish(x),x,max_n(x,x),add(x,x))",
        "prod_n(mul(x,sigmoid(x)),x,x,x)",
        "mul(gelu(x),mul(x,mul(x,x)))",
        "sum_n(selu(pow(max(x,x),x)),softsign(x),bessel_i0e(x),x)",
    ],
)
def test_gradients_that_grow_on_their_way_back(text):
    """Infinity times 0, where a slope is formed from the outside in."""
    dtype = "float64" if "pow" in text and "float64" in extremes.dtypes() else "float32"
    results = extremes.compare(parse(text), dtype)
    assert not [r for r in results if r[0] == "wrong"]
    assert sum(r[0] == "right" for r in results) > 10


def test_a_zero_gradient_stays_zero_in_a_hull():
    text = "prod_n(mul(x,sigmoid(x)),x,x,x)"
    layer = AffineHullActivation(("identity", text), initializer=[0.5, 0.5])
    slope = output_and_gradients(layer, np.array([[-1e10, -1e9]]))[1]
    np.testing.assert_array_equal(slope, [[0.5, 0.5]])


@pytest.mark.once
def test_tame_operators_have_finite_slopes():
    """What `Operator.tame` promises to the hulls, at every finite extreme."""
    for operator in operators():
        if operator.arity == 1 and not operator.name.startswith("test_"):
            x = np.array([p for p in extremes.points("float32") if np.isfinite(p)], "float32")
            x = ops.convert_to_tensor(x)
            value = operator.function(x)
            (slope,) = backend.vector_jacobian_product(operator.function, ops.ones_like(value), x)
            finite = np.isfinite(ops.convert_to_numpy(slope))
            assert finite.all() == operator.tame, operator.name
