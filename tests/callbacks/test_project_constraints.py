"""Averaged weights end on the constraint set, and a model off it says so when it is saved."""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

from keras_actfn.callbacks import ProjectConstraints
from keras_actfn.layers import PWL, AffineHullActivation, ConvexHullActivation


def trained(layer, callbacks=(), **optimizer):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 6)), rng.normal(size=(64, 5))
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5), layer])
    model.compile(keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.8, **optimizer), "mse")
    model.fit(
        x, y, batch_size=8, epochs=2, verbose=0, validation_data=(x, y), callbacks=list(callbacks)
    )
    return model, x, y


def violation(layer):
    if isinstance(layer, PWL):
        values = ops.convert_to_numpy(layer.values)
        return abs(np.linalg.norm(values) - 1) + abs(values[0])
    coefficients = ops.convert_to_numpy(layer.coefficients)
    below = -coefficients.min() if isinstance(layer, ConvexHullActivation) else 0
    return max(below, np.abs(coefficients.sum(0) - 1).max())


LAYERS = {
    "conv": lambda: ConvexHullActivation(initializer=[0.9, 0.1, 0.0]),
    "aff": lambda: AffineHullActivation(axis=-1),
    "pwl": lambda: PWL(knots=5, constraint="anchored_unit_norm"),
}


@pytest.mark.parametrize(
    "name", ["conv", *(pytest.param(name, marks=pytest.mark.once) for name in ("aff", "pwl"))]
)
def test_averages_are_projected(name, tmp_path):
    without = LAYERS[name]()
    model, *_ = trained(without)
    assert violation(without) > 1e-3, "Keras's averages are on the set; the test says little"
    with pytest.warns(UserWarning, match=r"does not meet its constraint.*ProjectConstraints"):
        model.save(tmp_path / "model.keras")
    with_it = LAYERS[name]()
    model, *_ = trained(with_it, [ProjectConstraints()])
    assert violation(with_it) < 1e-6
    start = ops.convert_to_numpy(without.weights[0])
    end = ops.convert_to_numpy(without.constraint(ops.convert_to_tensor(start)))
    np.testing.assert_allclose(ops.convert_to_numpy(with_it.weights[0]), end, atol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.save(tmp_path / "model.keras")


class Watch(keras.callbacks.Callback):
    def __init__(self, layer):
        super().__init__()
        self.layer, self.seen = layer, []

    def on_test_begin(self, logs=None):
        self.seen.append(violation(self.layer))


@pytest.mark.once
def test_averages_that_are_swapped_in_are_projected():
    layer = LAYERS["conv"]()
    watch = Watch(layer)
    swap = keras.callbacks.SwapEMAWeights()
    trained(layer, [swap, watch])
    assert max(watch.seen) > 1e-3, "Keras's averages are on the set; the test says little"
    watch.seen.clear()
    layer = watch.layer = LAYERS["conv"]()
    trained(layer, [swap, ProjectConstraints(), watch])
    assert len(watch.seen) == 2 and max(watch.seen) < 1e-6
    assert violation(layer) < 1e-6
