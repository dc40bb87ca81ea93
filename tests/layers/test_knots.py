"""Where the knots of a start lie: the start is the function, or it says by how much it is not."""

import re
import warnings

import numpy as np
import pytest
from keras import ops
from reference.piecewise import piecewise_linear

from keras_actfn import activation
from keras_actfn.expressions import resolve
from keras_actfn.layers import PWL
from keras_actfn.layers.knots import TOLERANCE, knot_range, pwl_slopes, pwl_values

FAR = np.linspace(-20, 20, 4001)


def swish(x):
    return x / (1 + np.exp(-x))


#: Functions by closed forms, which are linear far out but not all of them outside [-3, 3].
STARTS = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "swish": swish,
    "silu": swish,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "softplus": lambda x: np.logaddexp(0, x),
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "max(x,negative(x))": np.abs,
}


@pytest.mark.parametrize("initial", STARTS)
def test_the_start_is_the_function(initial):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        layer = activation(f"pwl(initial={initial})")
    expected = STARTS[initial](FAR)
    error = np.abs(layer.evaluate(FAR) - expected) / (1 + np.abs(expected))
    assert error.max() <= TOLERANCE + 1e-6
    knots = layer.knot_positions
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer.values), STARTS[initial](knots), atol=1e-6
    )


def test_what_was_reported():
    assert PWL(initial="relu6").evaluate(20.0) == pytest.approx(6, abs=1e-5)
    assert abs(PWL(initial="swish").evaluate(-20.0)) < 0.02


@pytest.mark.parametrize("initial", ["relu", "identity", "leaky_relu", "abs"])
def test_functions_that_are_linear_outside_keep_the_defaults(initial):
    for knots in (4, 9, 33):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layer = PWL(knots, initial=initial)
        assert (layer.low, layer.high, layer.extrapolation) == (-3.0, 3.0, "linear")


@pytest.mark.parametrize(
    ("arguments", "f"),
    [
        ({"initial": "exp"}, np.exp),
        ({"initial": "swish", "low": -3, "high": 3}, swish),
        ({"initial": "swish", "knots": 5}, swish),
        ({"initial": "relu", "knots": 4}, STARTS["relu"]),
        ({"initial": "elu", "low": -2.0}, STARTS["elu"]),
    ],
)
def test_a_start_that_is_not_the_function_says_both_numbers(arguments, f):
    with pytest.warns(UserWarning, match="PWL starts from") as caught:
        layer = PWL(**arguments)
    text = str(caught[0].message)
    number = r"(-?[\d.]+(?:e[+-]?\d+)?)"
    pattern = rf"by {number} at x = {number}\. .*on \[{number}, {number}\]"
    difference, at, low, high = map(float, re.search(pattern, text).groups())
    actual = abs(layer.evaluate(at) - f(at))
    assert actual == pytest.approx(difference, rel=0.02)
    x = np.linspace(low, high, 301)
    assert (np.abs(layer.evaluate(x) - f(x)) <= 1.001 * TOLERANCE * (1 + np.abs(f(x)))).all()
    if "low" in arguments:
        assert layer.low == arguments["low"]


def test_a_copy_is_the_same_and_silent():
    with pytest.warns(UserWarning, match="PWL starts from"):
        layer = PWL(initial="exp", high=8)
    chosen = PWL(initial="swish")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for each in (layer, chosen):
            copy = PWL.from_config(each.get_config())
            assert (copy.low, copy.high) == (each.low, each.high)
            np.testing.assert_array_equal(copy.evaluate(FAR), each.evaluate(FAR))
        PWL(initial="relu", extrapolation="clamp")
        PWL(initial=[0.0, 1.0], knots=2)


@pytest.mark.once
def test_the_range_for_inputs():
    rng = np.random.default_rng(0)
    narrow = PWL.range_for("swish", rng.normal(size=1000).clip(-2.5, 2.5))
    assert narrow.fits and (narrow.low, narrow.high) == (-3.0, 3.0)
    for scale, shift in ((10.0, 0.0), (3.0, 40.0)):
        inputs = rng.normal(shift, scale, size=(50, 40))
        found = PWL.range_for("swish", inputs, knots=65)
        layer = PWL(65, found.low, found.high, initial="swish")
        difference = np.abs(layer.evaluate(inputs) - swish(inputs)) / (1 + np.abs(swish(inputs)))
        assert difference.max() <= found.error + 1e-5
        assert found.fits
    bounded = PWL.range_for("exp", np.linspace(-1, 6.0, 50), knots=129)
    assert bounded.fits and bounded.high >= 6
    with pytest.raises(ValueError, match="two different finite numbers"):
        PWL.range_for("relu", [np.nan, 1.0])


@pytest.mark.once
@pytest.mark.parametrize("extrapolation", ["linear", "clamp"])
def test_numpy_values_and_slopes(extrapolation):
    rng = np.random.default_rng(0)
    values, knots = rng.normal(size=7), np.linspace(-1, 2, 7)
    x = np.concatenate([knots, rng.uniform(-3, 4, 50)])
    expected = piecewise_linear(x, values, -1, 2, extrapolation)
    np.testing.assert_allclose(pwl_values(x, knots, values, extrapolation), expected, atol=1e-12)
    right = piecewise_linear(x + 1e-7, values, -1, 2, extrapolation)
    slopes = pwl_slopes(x, knots, values, extrapolation)
    np.testing.assert_allclose(slopes, (right - expected) / 1e-7, atol=1e-6)


@pytest.mark.once
def test_sizes_are_refused_first():
    for knots in (10**9, 65_537, 10**5000):
        with pytest.raises(ValueError, match="at most 65,536 knots"):
            PWL(knots)
    with pytest.raises(ValueError, match="fewer than 2,147,483,648 values"):
        PWL(65_536, axis=-1).build((None, 40_000))
    for ends in ({"low": 10**400}, {"high": "far"}, {"low": -1e308, "high": 1e308}):
        with pytest.raises(ValueError, match=r"first.* knot"):
            PWL(**ends)
    assert knot_range(resolve("relu"), 2).low == -3.0
