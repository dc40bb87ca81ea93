"""Spline against SciPy's splines: values, gradients, starts, ends, extremes."""

import keras
import numpy as np
import pytest
from keras import ops
from reference.splines import coefficient_gradients, cubic_spline
from scipy.interpolate import CubicSpline

from keras_actfn.layers import Spline
from keras_actfn.layers.cubic_splines import spline_coefficients, spline_values
from keras_actfn.testing import output_and_gradients

GRIDS = (
    {"knots": 33, "low": -3.0, "high": 3.0},
    {"knots": 2, "low": -1.0, "high": 2.0},
    {"knots": 100, "low": 10.0, "high": 11.0},
)
EXTRAPOLATIONS = ("linear", "clamp")


def layer_of(grid, extrapolation, axis=None, shape=(None, 4)):
    layer = Spline(**grid, initial="zero", extrapolation=extrapolation, axis=axis)
    layer.build(shape)
    layer.coefficients.assign(np.random.default_rng(0).normal(size=layer.coefficients.shape))
    return layer


def points(grid):
    """Knots, middles, one spacing beyond the ends, random points, both outsides, and ±1e4."""
    knots = np.linspace(grid["low"], grid["high"], grid["knots"])
    width = knots[1] - knots[0]
    random = np.random.default_rng(1).uniform(grid["low"] - 2, grid["high"] + 2, 50)
    far = [-1e4, 1e4, knots[0] - width, knots[-1] + width, knots[0] - 1e-3, knots[-1] + 1e-3, 0]
    return np.concatenate([knots, (knots[1:] + knots[:-1]) / 2, random, far]).astype("float32")


@pytest.mark.parametrize("extrapolation", EXTRAPOLATIONS)
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_values_and_gradients(grid, extrapolation):
    layer = layer_of(grid, extrapolation)
    x = points(grid)
    coefficients = ops.convert_to_numpy(layer.coefficients).astype("float64")
    ends = grid["low"], grid["high"], extrapolation
    value, slope, curvature = (cubic_spline(x, coefficients, *ends, k) for k in range(3))
    upstream = np.random.default_rng(2).normal(size=x.shape)
    output, to_x, (to_coefficients,) = output_and_gradients(layer, x, upstream, jit_compile=True)
    # A float32 input is off by up to 2^-24 of its size, which the slope multiplies.
    lost = np.abs(x) * 2e-7
    assert np.all(np.abs(output - value) <= 1e-5 * (1 + np.abs(value)) + np.abs(slope) * lost)
    scale = np.abs(slope).max() + np.abs(curvature).max() * lost
    assert np.all(np.abs(to_x - upstream * slope) <= 2e-5 * np.abs(upstream) * scale)
    by_coefficient = coefficient_gradients(x, grid["knots"], *ends)
    np.testing.assert_allclose(
        to_coefficients, by_coefficient @ upstream, rtol=2e-5, atol=2e-5 * by_coefficient.max()
    )


@pytest.mark.parametrize("channels", [3, 200])
@pytest.mark.parametrize("extrapolation", EXTRAPOLATIONS)
def test_channels_keep_their_own_function(extrapolation, channels):
    layer = layer_of(GRIDS[0], extrapolation, axis=-1, shape=(None, 3, channels))
    x = np.random.default_rng(3).normal(scale=2, size=(7, 3, channels)).astype("float32")
    output, _, (to_coefficients,) = output_and_gradients(layer, x, jit_compile=True)
    coefficients = ops.convert_to_numpy(layer.coefficients)
    assert coefficients.shape == (33, channels)
    for channel in {0, channels // 2, channels - 1}:
        expected = cubic_spline(x[..., channel], coefficients[:, channel], -3, 3, extrapolation)
        np.testing.assert_allclose(output[..., channel], expected, rtol=1e-5, atol=2e-5)
        rows = coefficient_gradients(x[..., channel].ravel(), 33, -3, 3, extrapolation).sum(-1)
        np.testing.assert_allclose(to_coefficients[:, channel], rows, rtol=1e-4, atol=1e-4)
    curve = layer.evaluate([-1.0, 0.25])
    expected = cubic_spline([-1.0, 0.25], coefficients[:, 1], -3, 3, extrapolation)
    np.testing.assert_allclose(curve[:, 1], expected, rtol=1e-5, atol=1e-5)


def test_two_axes_keep_their_own_function():
    layer = layer_of({"knots": 4, "low": -3, "high": 3}, "linear", (1, -1), (None, 2, 5, 3))
    x = np.random.default_rng(1).normal(size=(6, 2, 5, 3)).astype("float32")
    output = ops.convert_to_numpy(layer(x))
    coefficients = ops.convert_to_numpy(layer.coefficients)
    for first in range(2):
        for last in range(3):
            own = coefficients[:, first, last]
            expected = cubic_spline(x[:, first, :, last], own, -3, 3, "linear")
            np.testing.assert_allclose(output[:, first, :, last], expected, atol=1e-5)


@pytest.mark.once
@pytest.mark.parametrize("knots", [2, 3, 6, 40])
def test_the_start_is_the_natural_cubic_spline(knots):
    values = np.random.default_rng(knots).normal(size=knots)
    positions = np.linspace(-2, 3, knots)
    natural = CubicSpline(positions, values, bc_type="natural")
    x = np.linspace(-2, 3, 301)
    coefficients = spline_coefficients(values)
    np.testing.assert_allclose(spline_values(x, positions, coefficients), natural(x), atol=1e-12)
    np.testing.assert_allclose(cubic_spline(x, coefficients, -2, 3, "linear"), natural(x))
    for end, outwards in ((-2, -5), (3, 9)):
        line = natural(end) + natural(end, 1) * (outwards - end)
        found = spline_values(outwards, positions, coefficients)
        np.testing.assert_allclose(found, line, rtol=1e-12)
    layer = Spline(knots, -2, 3, initial=values.tolist())
    np.testing.assert_allclose(layer.evaluate(x), natural(x), atol=1e-5)


@pytest.mark.once
def test_clamped_ends_are_smooth_and_still_go_through_the_values():
    values, positions = np.random.default_rng(0).normal(size=9), np.linspace(-1, 3, 9)
    coefficients = spline_coefficients(values, "clamp")
    found = spline_values(positions, positions, coefficients, "clamp")
    np.testing.assert_allclose(found, values, atol=1e-12)
    x = np.linspace(-3, 5, 500)
    expected = cubic_spline(x, coefficients, -1, 3, "clamp")
    found = spline_values(x, positions, coefficients, "clamp")
    np.testing.assert_allclose(found, expected, atol=1e-12)
    for x, constant in ((-1.5, coefficients[0]), (3.5, coefficients[-1])):
        beyond = spline_values([x, 10 * x], positions, coefficients, "clamp")
        np.testing.assert_allclose(beyond, constant, rtol=1e-12)


@pytest.mark.parametrize(
    ("initial", "function"),
    [
        ("tanh", np.tanh),
        ("max(x,negative(x))", np.abs),
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
    ],
)
def test_initial_function(initial, function):
    layer = Spline(knots=21, low=-2, high=2, initial=initial, extrapolation="clamp")
    np.testing.assert_allclose(
        layer.evaluate(layer.knot_positions), function(layer.knot_positions), atol=1e-6
    )


@pytest.mark.once
def test_the_overshoot_that_the_docstring_names():
    x = np.linspace(-1, 1, 4001)
    error = np.abs(Spline().evaluate(x) - np.maximum(x, 0))
    assert "by up to 0.016 next to 0" in " ".join(Spline.__doc__.split())
    assert error.max() == pytest.approx(0.016, abs=5e-4) and abs(x[error.argmax()]) < 0.1


@pytest.mark.once
def test_where_the_knots_lie():
    """Chosen by the spline's own error, which is smaller than PWL's."""
    layer = Spline(initial="swish")
    assert (layer.low, layer.high) == (-9.0, 5.0)
    x = np.linspace(-20, 20, 4001)
    swish = x / (1 + np.exp(-x))
    assert np.all(np.abs(layer.evaluate(x) - swish) <= 0.0201 * (1 + np.abs(swish)))
    with pytest.warns(UserWarning, match="Spline starts from 'exp'"):
        Spline(initial="exp")
    assert Spline.range_for("swish", np.linspace(-2.5, 2.5, 100)).low == -3.0


@pytest.mark.parametrize("extrapolation", EXTRAPOLATIONS)
def test_nan_touches_no_knot_and_infinity_keeps_flat_ends_finite(extrapolation):
    layer = Spline(extrapolation=extrapolation)  # ReLU: flat on the left
    x = np.array([[np.nan, 0.5, -np.inf, -1e4]], dtype="float32")
    output, to_x, (to_coefficients,) = output_and_gradients(layer, x[:, :2])
    assert np.isnan(output[0, 0]) and to_x[0, 0] == 0
    expected = coefficient_gradients(np.float32([0.5]), 33, -3, 3, extrapolation)[:, 0]
    np.testing.assert_allclose(to_coefficients, expected, atol=1e-5)
    output, _, _ = output_and_gradients(layer, x[:, 2:])
    np.testing.assert_array_equal(output, [[0.0, 0.0]])
    largest = float(ops.convert_to_numpy(layer(np.array([[np.inf]], "float32")))[0, 0])
    last = float(ops.convert_to_numpy(layer.coefficients)[-1])
    assert largest == last if extrapolation == "clamp" else largest > 1e28


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has no float64 by default")
def test_float64():
    layer = Spline(9, -2, 2, initial="tanh", extrapolation="clamp", dtype="float64")
    x = np.random.default_rng(0).normal(size=(8, 5)) * 2
    coefficients = layer.get_weights()[0]
    assert coefficients.dtype == "float64"
    output, to_x, (to_coefficients,) = output_and_gradients(layer, x, jit_compile=True)
    grid = -2, 2, "clamp"
    np.testing.assert_allclose(output, cubic_spline(x, coefficients, *grid), atol=1e-14)
    np.testing.assert_allclose(to_x, cubic_spline(x, coefficients, *grid, 1), atol=1e-14)
    exact = coefficient_gradients(x, 9, *grid).sum((1, 2))
    np.testing.assert_allclose(to_coefficients, exact, rtol=1e-13, atol=1e-13)


def test_constraint_holds_from_the_start():
    layer = Spline(
        knots=5, initial="square", extrapolation="clamp", constraint="anchored_unit_norm"
    )
    coefficients = ops.convert_to_numpy(layer.coefficients)
    assert coefficients[0] == 0
    np.testing.assert_allclose(np.linalg.norm(coefficients), 1, rtol=1e-6)


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"knots": 1}, "Spline needs an integer number of knots, at least 2. Received: knots=1"),
        ({"knots": 10**9}, "Spline takes at most 65,536 knots"),
        ({"low": 1, "high": 1}, "Spline's first knot lies below its last.*low=1.0, high=1.0"),
        ({"low": "far"}, "Spline's first and last knot are numbers. Received: low='far'"),
        ({"initial": [0.0, np.nan], "knots": 2}, "Spline's initial values are finite at every"),
        ({"initial": [0.0, 1.0]}, "one value per knot, 33 here"),
        ({"extrapolation": "cubic"}, "Spline's extrapolation is one of 'linear', 'clamp'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Spline(**arguments)
