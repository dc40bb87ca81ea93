"""PWL against an independent NumPy interpolation: values, gradients, extremes."""

import numpy as np
import pytest
from keras import ops
from reference.piecewise import piecewise_linear, value_gradients

from keras_actfn.layers import PWL
from keras_actfn.testing import output_and_gradients

GRIDS = (
    {"knots": 33, "low": -3.0, "high": 3.0},
    {"knots": 2, "low": -1.0, "high": 2.0},
    {"knots": 100, "low": 10.0, "high": 11.0},
)


def layer_of(grid, extrapolation, seed=0, axis=None, channels=None):
    layer = PWL(**grid, extrapolation=extrapolation, axis=axis)
    layer.build((None, 4) if channels is None else (None, 3, channels))
    shape = layer.values.shape
    layer.values.assign(np.random.default_rng(seed).normal(size=shape).astype("float32"))
    return layer


def points(grid):
    """Knots, middles, random points, both outsides, and ±1e4."""
    knots = np.linspace(grid["low"], grid["high"], grid["knots"])
    random = np.random.default_rng(1).uniform(grid["low"] - 2, grid["high"] + 2, 50)
    far = [-1e4, 1e4, grid["low"] - 1e-3, grid["high"] + 1e-3, 0.0]
    return np.concatenate([knots, (knots[1:] + knots[:-1]) / 2, random, far]).astype("float32")


@pytest.mark.parametrize("extrapolation", ["linear", "clamp"])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_values_and_gradients(grid, extrapolation):
    layer = layer_of(grid, extrapolation)
    x = points(grid)
    values = ops.convert_to_numpy(layer.values).astype("float64")
    ends = grid["low"], grid["high"], extrapolation
    expected = piecewise_linear(x, values, *ends)
    slope = np.abs(np.diff(values)).max() * (grid["knots"] - 1) / (grid["high"] - grid["low"])
    upstream = np.random.default_rng(2).normal(size=x.shape)
    output, to_x, (to_values,) = output_and_gradients(layer, x, upstream, jit_compile=True)
    # A float32 input is off by up to 2^-24 of its size, which the slope multiplies.
    tolerance = 1e-5 * (1 + np.abs(expected)) + slope * np.abs(x) * 2e-7
    assert np.all(np.abs(output - expected) <= tolerance)

    by_value = value_gradients(x, grid["knots"], *ends)
    np.testing.assert_allclose(
        to_values, by_value @ upstream, rtol=2e-5, atol=2e-5 * np.abs(by_value).max()
    )
    inside = (
        np.abs((x - grid["low"]) / (grid["high"] - grid["low"]) * (grid["knots"] - 1) % 1 - 0.5)
        < 0.45
    )
    step = 1e-7
    right = piecewise_linear(x.astype("float64") + step, values, *ends)
    expected_slope = upstream * (right - piecewise_linear(x, values, *ends)) / step
    np.testing.assert_allclose(
        to_x[inside], expected_slope[inside], rtol=1e-4, atol=1e-4 * slope * np.abs(upstream).max()
    )


def test_slope_at_a_knot_is_the_right_one():
    layer = PWL(knots=5, low=-2, high=2, initial=[0.0, 1.0, 0.0, 3.0, 3.5])
    layer.build((None, 5))
    _, slopes, _ = output_and_gradients(layer, np.array([[-2.0, -1.0, 0.0, 1.0, 2.0]]))
    np.testing.assert_allclose(slopes, [[1, -1, 3, 0.5, 0.5]], rtol=1e-6)


@pytest.mark.parametrize("channels", [3, 200])
@pytest.mark.parametrize("extrapolation", ["linear", "clamp"])
def test_channels_keep_their_own_function(extrapolation, channels):
    layer = layer_of(GRIDS[0], extrapolation, axis=-1, channels=channels)
    x = np.random.default_rng(3).normal(scale=2, size=(7, 3, channels)).astype("float32")
    output, _, (to_values,) = output_and_gradients(layer, x, jit_compile=True)
    values = ops.convert_to_numpy(layer.values)
    assert values.shape == (33, channels)
    for channel in {0, channels // 2, channels - 1}:
        expected = piecewise_linear(x[..., channel], values[:, channel], -3, 3, extrapolation)
        np.testing.assert_allclose(output[..., channel], expected, rtol=1e-5, atol=2e-5)
        by_value = value_gradients(x[..., channel].ravel(), 33, -3, 3, extrapolation).sum(-1)
        np.testing.assert_allclose(to_values[:, channel], by_value, rtol=1e-4, atol=1e-4)
    curve = layer.evaluate([-1.0, 0.25])
    assert curve.shape == (2, channels)
    expected = piecewise_linear([-1.0, 0.25], values[:, 1], -3, 3, extrapolation)
    np.testing.assert_allclose(curve[:, 1], expected, rtol=1e-5, atol=1e-5)


def test_two_axes_keep_their_own_function():
    layer = PWL(knots=4, axis=(1, -1))
    layer.build((None, 2, 5, 3))
    layer.values.assign(np.random.default_rng(0).normal(size=(4, 2, 3)))
    x = np.random.default_rng(1).normal(size=(6, 2, 5, 3)).astype("float32")
    output = ops.convert_to_numpy(layer(x))
    values = ops.convert_to_numpy(layer.values)
    for first in range(2):
        for last in range(3):
            expected = piecewise_linear(
                x[:, first, :, last], values[:, first, last], -3, 3, "linear"
            )
            np.testing.assert_allclose(output[:, first, :, last], expected, atol=1e-5)


@pytest.mark.parametrize("extrapolation", ["linear", "clamp"])
def test_nan_touches_no_knot_and_infinity_keeps_flat_ends_finite(extrapolation):
    layer = PWL(extrapolation=extrapolation)  # ReLU: flat on the left
    layer.build((None, 4))
    x = np.array([[np.nan, 0.5, -np.inf, -1e4]], dtype="float32")
    output, _, (to_values,) = output_and_gradients(layer, x[:, :2])
    assert np.isnan(output[0, 0])
    expected = value_gradients(np.float32([0.5]), 33, -3, 3, extrapolation)[:, 0]
    np.testing.assert_allclose(to_values, expected, atol=1e-5)
    output, _, _ = output_and_gradients(layer, x[:, 2:])
    np.testing.assert_array_equal(output, [[0.0, 0.0]])
    largest = float(ops.convert_to_numpy(layer(np.array([[np.inf]], "float32")))[0, 0])
    assert largest == 3.0 if extrapolation == "clamp" else largest > 1e28


@pytest.mark.parametrize(
    ("initial", "function"),
    [
        ("tanh", np.tanh),
        ("swish", lambda x: x / (1 + np.exp(-x))),
        ("max(x,negative(x))", np.abs),
        (np.cos, np.cos),
    ],
)
def test_initial_function(initial, function):
    layer = PWL(knots=21, low=-2, high=2, initial=initial)
    layer.build((None, 1))
    knots = np.linspace(-2, 2, 21)
    np.testing.assert_allclose(layer.knot_positions, knots)
    np.testing.assert_allclose(ops.convert_to_numpy(layer.values), function(knots), atol=1e-6)


def test_constraint_holds_from_the_start():
    layer = PWL(knots=5, constraint="anchored_unit_norm")
    layer.build((None, 1))
    values = ops.convert_to_numpy(layer.values)
    assert values[0] == 0
    np.testing.assert_allclose(np.linalg.norm(values), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"knots": 0}, "at least 2. Received: knots=0"),
        ({"knots": 2.5}, "integer number of knots"),
        ({"low": 1, "high": 1}, "first knot lies below its last.*low=1.0, high=1.0"),
        ({"high": np.inf}, "both finite"),
        ({"initial": "rellu"}, "Did you mean 'relu'"),
        ({"initial": "reciprocal", "knots": 3}, "finite at every knot.*x = 0"),
        ({"initial": [0.0, np.nan], "knots": 2}, "finite at every knot"),
        ({"initial": [0.0, -1e39], "knots": 2}, "finite at every knot.*-1e.39"),
        ({"initial": [0.0, 1.0]}, "one value per knot, 33 here"),
        ({"extrapolation": "cubic"}, "one of 'linear', 'clamp'"),
        ({"constraint": "blob"}, "name is one of"),
        ({"axis": "channels"}, "None, an integer, or a list of integers"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        PWL(**arguments)


@pytest.mark.parametrize(
    ("axis", "shape", "message"),
    [
        (0, (None, 4), "the batch axis 0 excluded"),
        (3, (None, 4), "axis=3 for an input of rank 2"),
        ([1, -1], (None, 4), "each axis is given once"),
        (1, (None, None, 4), "needs a static size"),
    ],
)
def test_axis_that_does_not_fit(axis, shape, message):
    with pytest.raises(ValueError, match=message):
        PWL(axis=axis).build(shape)


@pytest.mark.parametrize("dtype", ["int32", "bool", "complex64"])
def test_inputs_that_are_no_real_numbers(dtype):
    with pytest.raises(TypeError, match=f"floating-point inputs. Received inputs of dtype {dtype}"):
        PWL()(ops.cast(np.ones((2, 3)), dtype))


def test_evaluate_before_build():
    with pytest.raises(ValueError, match="no parameters before it is built"):
        PWL(axis=-1).evaluate([0.0])
