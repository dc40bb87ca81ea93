"""Averages of BatchNormalization are the means of what the batches have."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_actfn.callbacks import EAFO, LocalCorrelation
from keras_actfn.layers import PWL
from keras_actfn.models.moving_averages import renew_moving_averages


def averages(layer):
    return ops.convert_to_numpy(layer.moving_mean), ops.convert_to_numpy(layer.moving_variance)


def test_averages_are_the_means_over_batches_and_nothing_else_changes():
    norm, frozen = (keras.layers.BatchNormalization() for _ in range(2))
    frozen.trainable = False
    model = keras.Sequential([keras.Input((3,)), frozen, norm, keras.layers.Dense(2)])
    batches = np.random.default_rng(0).normal(2, 3, (4, 16, 3)).astype("float32")
    before = [ops.convert_to_numpy(w) for w in model.trainable_weights]
    renew_moving_averages(model, batches)
    mean, variance = averages(norm)
    seen = batches / np.sqrt(1 + frozen.epsilon)  # the frozen layer has averages 0 and 1
    np.testing.assert_allclose(mean, seen.mean(axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(variance, seen.var(axis=1).mean(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(averages(frozen), [[0] * 3, [1] * 3])
    assert norm.momentum == frozen.momentum == 0.99
    for now, then in zip(model.trainable_weights, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(now), then)


@pytest.mark.parametrize("callback", [LocalCorrelation, EAFO])
def test_knots_that_moved_leave_averages_of_the_finished_network(callback):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(96, 4)).astype("float32"), np.arange(96) % 3
    x[:, 0] += y
    norm = keras.layers.BatchNormalization()
    model = keras.Sequential(
        [keras.Input((4,)), PWL(knots=9), norm, keras.layers.Dense(3)],
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-2), loss)
    data = (x, y) if callback is LocalCorrelation else (x,)
    # A batch is all of the data: what the averages must be does not depend on its order.
    model.fit(x, y, batch_size=96, epochs=2, verbose=0, callbacks=[callback(*data, renew=2)])
    inputs = ops.convert_to_numpy(model.layers[0](x))
    mean, variance = averages(norm)
    np.testing.assert_allclose(mean, inputs.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variance, inputs.var(axis=0), rtol=1e-5)
    # Without renewal they are mixtures with the start, 0 and 1.
    model.fit(x, y, batch_size=96, verbose=0, callbacks=[callback(*data, renew=0)])
    assert np.abs(averages(norm)[0] - ops.convert_to_numpy(model.layers[0](x)).mean(0)).max() > 1e-4
