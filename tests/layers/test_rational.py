"""Rational activations: their starts, their kinks, and how far out they can be computed."""

import warnings

import keras
import numpy as np
import pytest
from keras import ops
from scipy.optimize import least_squares

from keras_actfn import activation
from keras_actfn.expressions import resolve
from keras_actfn.layers import Rational
from keras_actfn.layers.rational_fit import fit_rational, rational_values
from keras_actfn.testing import output_and_gradients


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "error"),
    [("tanh", 4e-6), ("swish", 2e-6), ("gelu", 1e-3), ("relu", 0.04), ("sin", 2e-5), ("exp", 2e-3)],
)
def test_starts_are_near_their_function(name, error):
    fit = fit_rational(resolve(name))
    x = np.linspace(-3, 3, 997)
    wanted = resolve(name)(x)
    found = rational_values(x, fit.numerator, fit.denominator)
    assert np.max(np.abs(found - wanted) / (1 + np.abs(wanted))) <= error
    layer = Rational(initial=name)
    np.testing.assert_allclose(layer.evaluate(x), found, rtol=1e-4, atol=1e-5)


@pytest.mark.once
@pytest.mark.parametrize("name", ["relu", "gelu", "sigmoid", "exp"])
def test_no_other_library_finds_a_nearer_one(name):
    fit = fit_rational(resolve(name))
    x = np.linspace(-3, 3, 601)
    wanted = resolve(name)(x)

    def residual(coefficients):
        return rational_values(x, coefficients[:6], coefficients[6:]) - wanted

    ours = np.sum(residual(np.r_[fit.numerator, fit.denominator]) ** 2)
    rng = np.random.default_rng(0)
    for _ in range(4):
        theirs = least_squares(residual, rng.normal(size=10) * 0.5, max_nfev=200)
        assert ours <= 2.0 * theirs.cost * 1.01 + 1e-12


@pytest.mark.once
@pytest.mark.parametrize("name", ["identity", "square", "one"])
def test_polynomials_are_exact_and_have_a_denominator_that_learns(name):
    layer = Rational(initial=name)
    x = np.linspace(-4, 4, 33, dtype="float32")[None]
    output, _, (_, to_denominator) = output_and_gradients(layer, x)
    np.testing.assert_allclose(output, resolve(name)(x), rtol=1e-5, atol=1e-5)
    assert np.abs(to_denominator).max() > 0.1
    far = np.array([[-1e30, 1e10]], "float32")
    if name != "square":
        np.testing.assert_allclose(ops.convert_to_numpy(layer(far)), resolve(name)(far), rtol=1e-5)


def test_the_slope_jumps_where_the_inner_polynomial_changes_its_sign():
    """(1 + x) / (1 + |x|): 1 - 1 = 0 on the right of 0 and at it, 1 + 1 on the left."""
    layer = Rational((1, 1), initial=([1.0, 1.0], [1.0]))
    x = np.array([[-1e-6, 0.0, 1e-6]], "float32")
    _, to_x, (_, to_denominator) = output_and_gradients(layer, x, np.array([[1.0, 1.0, 1.0]]))
    np.testing.assert_allclose(to_x, [[2.0, 0.0, 0.0]], atol=1e-5)
    np.testing.assert_allclose(to_denominator, [0.0], atol=1e-5)


def test_slopes_far_out():
    """x^5 leaves float32 at 5e7; the quotient and its derivatives do not."""
    layer = activation("rational")
    layer.numerator.assign([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    layer.denominator.assign([0.0, 0.5, 0.0, 2.0])
    x = np.array([[-1e30, -1e12, 1e8, 1e20]], "float32")
    output, to_x, (to_numerator, to_denominator) = output_and_gradients(layer, x, 1 / np.abs(x))
    np.testing.assert_allclose(output, 0.3 * x.astype("float64"), rtol=1e-5)
    np.testing.assert_allclose(to_x * np.abs(x), np.full(x.shape, 0.3), rtol=1e-5)
    np.testing.assert_allclose(to_numerator[5], np.sum(np.sign(x) / 2), atol=1e-5)
    np.testing.assert_allclose(to_denominator[3], np.sum(np.sign(x) * -0.3 / 2), atol=1e-5)


@pytest.mark.parametrize("initial", ["relu", "tanh", "gelu"])
def test_the_ends_of_float32(initial):
    """Far out the quotient is the line x a5 / |b4|, up to the largest number, which is infinity."""
    layer = Rational(initial=initial)
    largest = np.finfo("float32").max
    x = np.array([[1e38, 2e38, 3e38, largest, np.inf]], "float32")
    layer.build(x.shape)
    slope = float(layer.numerator[5]) / abs(float(layer.denominator[3]))
    expected = slope * np.minimum(x, largest).astype("float64")
    for sign in (1, -1):
        found = ops.convert_to_numpy(layer(sign * x))
        np.testing.assert_allclose(found, sign * expected, rtol=1e-5)


def test_each_channel_has_its_own():
    layer = Rational((1, 2), initial=([0.0, 1.0], [0.0, 1.0]), axis=-1)
    layer.build((None, 3))
    layer.numerator.assign([[0.0, 1.0, 0.0], [1.0, 0.0, 2.0]])
    layer.denominator.assign([[0.0, 0.0, 0.0], [1.0, 0.0, 0.5]])
    x = np.array([[2.0, -7.0, 2.0]], "float32")
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), [[0.4, 1.0, 4 / 3]], rtol=1e-6)


@pytest.mark.once
def test_a_start_that_does_not_fit_warns_once():
    with pytest.warns(UserWarning, match=r"differs by .* Take higher `degrees`"):
        layer = Rational(initial="sin(3*x)")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Rational.from_config(layer.get_config())


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"degrees": 5}, "two integers from 1 to 16"),
        ({"degrees": (5, 0)}, "two integers from 1 to 16"),
        ({"degrees": (True, 4)}, "two integers from 1 to 16"),
        ({"low": 3.0}, "low end is below its high end"),
        ({"high": "far"}, "starts from a finite high"),
        ({"initial": "reciprocal"}, r"finite on its interval \[-3, 3\]. Received .* inf at x = 0"),
        ({"degrees": (1, 1), "initial": ([0, 1e39], [1])}, "finite coefficients"),
        ({"initial": ([1.0], [2.0])}, "finite coefficients a0 … am and b1 … bn, 6 and 4 here"),
        ({"initial": "rellu"}, "Did you mean 'relu'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Rational(**arguments)


@pytest.mark.once
def test_a_function_of_the_users_is_saved_by_its_name():
    with pytest.raises(ValueError, match="cannot be saved"):
        Rational(initial=lambda x: ops.tanh(x)).get_config()
    assert Rational(initial=keras.activations.tanh).get_config()["initial"] == "tanh(x)"
