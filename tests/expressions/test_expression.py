"""Expressions on the running backend against float64 references, values and gradients."""

import keras
import numpy as np
import pytest
from keras import ops
from reference import expressions as reference
from reference.random_expressions import random_expressions

from keras_actfn import backend
from keras_actfn.expressions import DISCOVERED, Expression, SpecError, parse

# No kink of the table, nor a tie of two simple operators, lies on one of these.
X = np.linspace(-3.713, 3.971, 32)
#: Keras on JAX computes some functions of float64 in float32 (tanh, arctan, ...).
DTYPES = ["float32"] if keras.backend.backend() == "jax" else ["float32", "float64"]


def value_and_slope(expression, x, dtype):
    tensor = ops.convert_to_tensor(x, dtype)
    value = expression(tensor)
    (slope,) = backend.vector_jacobian_product(expression, ops.ones_like(tensor), tensor)
    return ops.convert_to_numpy(value), ops.convert_to_numpy(slope)


@pytest.mark.parametrize("dtype", DTYPES)
def test_random_expressions_agree_in_value_and_gradient(dtype):
    info = np.finfo(dtype)
    x = X.astype(dtype)
    limit = float(info.max) ** 0.7
    values = slopes = 0
    for expression in random_expressions(200, seed=3):
        expected = reference.evaluate(expression, x, float(info.eps), limit)
        value, slope = value_and_slope(expression, x, dtype)
        assert value.dtype == dtype
        tame = ~expected.wild
        values += tame.sum()
        for got in (value, expression(x)):
            error = np.abs(got - expected.value)[tame]
            assert (error <= expected.error[tame] + info.tiny).all(), (expression, error)
        smooth = tame & ~expected.kink & (np.abs(expected.slope) < limit)
        slopes += smooth.sum()
        error = np.abs(slope - expected.slope)[smooth]
        assert (error <= expected.slope_error[smooth] + info.tiny).all(), (expression, error)
    assert values > 0.8 * 200 * len(X)
    assert slopes > 0.75 * 200 * len(X)


@pytest.mark.parametrize("name", DISCOVERED)
def test_discovered_functions_in_float32(name):
    expression = DISCOVERED[name].expression
    x = np.concatenate([X, [-1e4, -50.0, 0.0, 50.0, 1e4, 0.0]]).astype("float32")
    expected = reference.evaluate(expression, x)
    value, slope = value_and_slope(expression, x, "float32")
    np.testing.assert_allclose(value, expected.value.astype("float32"), rtol=1e-5, atol=1e-6)
    assert np.isfinite(slope).all()
    smooth = ~expected.kink & np.isfinite(expected.slope)
    np.testing.assert_allclose(
        slope[smooth], expected.slope[smooth].astype("float32"), rtol=1e-4, atol=2e-6
    )


def test_a_function_without_x_has_the_shape_of_x():
    x = ops.ones((2, 3))
    for text, value in (("2.5", 2.5), ("tanh(0)", 0.0), ("one(x)", 1.0)):
        for result in (parse(text)(x), parse(text)(np.ones((2, 3)))):
            np.testing.assert_array_equal(ops.convert_to_numpy(result), np.full((2, 3), value))


def test_an_expression_is_one_operation_of_a_functional_model():
    inputs = keras.Input((None, 3))
    outputs = parse("tanh(x)*x")(inputs)
    assert outputs.shape == (None, None, 3)
    model = keras.Model(inputs, outputs)
    again = keras.Model.from_config(model.get_config())
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    got = ops.convert_to_numpy(again(x))
    np.testing.assert_allclose(got, np.tanh(x) * x, rtol=1e-5)


def test_tensors_of_integers_are_refused():
    with pytest.raises(TypeError, match="real floating-point numbers, not dtype int32"):
        parse("tanh(x)")(ops.convert_to_tensor(np.arange(3, dtype="int32")))


@pytest.mark.once
def test_hostile_arguments_are_value_errors():
    deep = Expression("x")
    with pytest.raises(ValueError, match="nests at most 64 levels"):
        for _ in range(2000):
            deep = Expression("tanh", (deep,))
    wide = Expression("x")
    with pytest.raises(ValueError, match="at most 100,000 characters"):
        for _ in range(63):
            wide = Expression("add", (wide, wide))
    for head in (10**400, 10**5000, None, "9", -1.0, float("nan"), [2]):
        with pytest.raises(ValueError, match=r"a finite number >= 0, not"):
            Expression(head)
    for text in ("9" * 400, "1e400", "9" * 5000, "x" * 200_000, "(" * 90_000):
        with pytest.raises(SpecError) as caught:
            parse(text)
        assert len(caught.value.message) < 200
