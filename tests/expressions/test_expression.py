"""Expressions on the running backend against float64 references, values and gradients."""

import contextlib

import keras
import numpy as np
import pytest
from keras import ops
from reference import expressions as reference
from reference.random_expressions import random_expressions

from keras_actfn import backend
from keras_actfn.expressions import DISCOVERED, parse

# No kink of the table, nor a tie of two simple operators, lies on one of these.
X = np.linspace(-3.713, 3.971, 32)
HUGE = 1e100


@contextlib.contextmanager
def float64():
    """Let the running backend compute in float64, which JAX does only when asked."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    with jax.enable_x64(True):
        yield


def value_and_slope(expression, x, dtype):
    tensor = ops.convert_to_tensor(x, dtype)
    value = expression(tensor)
    (slope,) = backend.vector_jacobian_product(expression, ops.ones_like(tensor), tensor)
    return ops.convert_to_numpy(value), ops.convert_to_numpy(slope)


def test_random_expressions_agree_in_value_and_gradient():
    compared = 0
    with float64():
        for expression in random_expressions(200, seed=3):
            expected = reference.evaluate(expression, X)
            value, slope = value_and_slope(expression, X, "float64")
            assert value.dtype == np.float64
            for got in (value, expression(X)):
                with np.errstate(all="ignore"):
                    tame = ~(np.abs(expected.value) > HUGE)
                np.testing.assert_allclose(
                    got[tame], expected.value[tame], rtol=1e-7, atol=1e-9, err_msg=str(expression)
                )
                assert (np.abs(got[~tame]) > HUGE / 10).all(), expression
            with np.errstate(all="ignore"):
                smooth = np.isfinite(expected.value) & (np.abs(expected.slope) < HUGE)
            smooth &= ~expected.kink
            compared += smooth.sum()
            np.testing.assert_allclose(
                slope[smooth], expected.slope[smooth], rtol=1e-6, atol=1e-8, err_msg=str(expression)
            )
    assert compared > 200 * len(X) * 0.7


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
