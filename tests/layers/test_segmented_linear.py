"""Segments between any breakpoints, as a layer."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_actfn.layers import SegmentedLinear
from keras_actfn.theory.segments import Segments

BREAKS, SLOPES, INTERCEPT = [-1.5, 0.25, 2.0], [0.5, -1.0, 2.0, 0.0], 0.75


def reference(x):
    """The function by integrating its slopes."""
    knots = np.array([-1e6, *BREAKS, 1e6])
    start = SLOPES[0] * knots[0] + INTERCEPT
    return np.interp(x, knots, start + np.concatenate([[0], np.cumsum(SLOPES * np.diff(knots))]))


def test_values_are_those_of_the_integrated_slopes():
    x = np.linspace(-5, 5, 401).reshape(1, -1)
    layer = SegmentedLinear(BREAKS, SLOPES, INTERCEPT, dtype="float64")
    # JAX computes in float32 unless it is told otherwise for the whole process.
    tolerance = 1e-6 if keras.backend.backend() == "jax" else 1e-9
    np.testing.assert_allclose(layer.evaluate(x), reference(x), atol=tolerance)
    single = SegmentedLinear(BREAKS, SLOPES, INTERCEPT)
    values = ops.convert_to_numpy(single(ops.convert_to_tensor(x, "float32")))
    np.testing.assert_allclose(values, reference(x), rtol=1e-5, atol=1e-6)


def test_one_segment_is_a_line():
    layer = SegmentedLinear([], [2.0], 1.0)
    np.testing.assert_allclose(layer.evaluate([0.0, 3.0]), [1.0, 7.0])


def test_flat_ends_stay_finite_at_infinity():
    layer = SegmentedLinear([0.0, 6.0], [0.0, 1.0, 0.0])
    np.testing.assert_array_equal(layer.evaluate([-np.inf, np.inf]), [0.0, 6.0])
    assert np.isnan(layer.evaluate([np.nan])).all()


def test_it_is_not_trained_unless_asked():
    assert not SegmentedLinear(BREAKS, SLOPES).trainable_variables
    layer = SegmentedLinear(BREAKS, SLOPES, trainable=True)
    assert [v.name for v in layer.trainable_variables] == ["slopes", "intercept"]


def test_training_keeps_it_continuous():
    model = keras.Sequential([keras.Input((1,)), SegmentedLinear(BREAKS, SLOPES, trainable=True)])
    model.compile(keras.optimizers.SGD(0.05), "mse")
    x = np.linspace(-3, 3, 64)[:, None]
    model.fit(x, np.abs(x), epochs=2, batch_size=16, verbose=0)
    layer = model.layers[-1]
    assert np.abs(layer.slopes.numpy() - SLOPES if hasattr(layer.slopes, "numpy") else 1).max() > 0
    below, above = (layer.evaluate(np.array(BREAKS) + s) for s in (-1e-5, 1e-5))
    np.testing.assert_allclose(below, above, atol=1e-4)


def test_of_segments():
    segments = Segments(np.array([0.0]), np.array([0.1, 1.0]), np.array([0.0, 0.0]), -1.0, 1.0)
    np.testing.assert_allclose(SegmentedLinear.of(segments).evaluate([-2.0, 3.0]), [-0.2, 3.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0], [1.0]), "one more slope than breakpoints"),
        (([1.0, 0.0], [1, 2, 3]), "breakpoints rise"),
        (([0.0, 0.0], [1, 2, 3]), "breakpoints rise"),
        (([np.nan], [1, 2]), "breakpoints is a list of finite numbers"),
        (([0.0], [1, np.inf]), "slopes is a list of finite numbers"),
        (([0.0], [1, 2], np.nan), "intercept is a list of finite numbers"),
        ((list(range(2000)), [0.0] * 2001), "at most 1024 segments"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SegmentedLinear(*arguments)
