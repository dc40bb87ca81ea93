"""The hull paper's benchmark trains an epoch as one compiled loop on JAX."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from keras_actfn import activation
from keras_actfn.datasets import Dataset
from keras_actfn.training import Task
from keras_actfn.training.by_recipe import ByRecipe
from keras_actfn.training.network import Reference
from keras_actfn.training.setup import Setup

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="a loop of JAX")


def test_an_epoch_as_one_loop_is_the_epoch_of_fit(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import epoch_on_jax

    rng = np.random.default_rng(0)
    x, y = rng.uniform(size=(80, 16, 16, 1)).astype("float32"), np.arange(80) % 10
    data = Dataset(x, y, x, y, name="small", classes=10, source="random")

    def build(spec):
        return keras.Sequential(
            [
                keras.Input((16, 16, 1)),
                layers.Conv2D(4, 3, strides=2),
                layers.BatchNormalization(),
                activation(spec),
                layers.Dropout(0.25),
                layers.Flatten(),
                layers.Dense(10, "softmax"),
            ]
        )

    routine = ByRecipe(Setup.of(Task(build, data, epochs=2, batch_size=32, recipe="hull")))
    train = routine.setup.train
    order = np.random.default_rng(1).permutation(len(train))[:64]
    found = []
    for loop in (False, True):
        network = routine.network("aff(tanh,relu)")
        network.start_from(3, Reference(routine))
        model = network.trained
        if loop:
            steps = epoch_on_jax.EpochLoop(model, train.x, train.y)
            losses = [steps.train(order.reshape(-1, 32)).mean() for _ in range(2)]
        else:
            x, y = train.x[order], train.y[order]
            fitted = model.fit(x, y, batch_size=32, shuffle=False, epochs=2, verbose=0)
            losses = fitted.history["loss"]
        found.append((losses, model.get_weights(), network.trained.optimizer.variables))
    (fit, *of_fit), (looped, *of_loop) = found
    np.testing.assert_allclose(looped, fit, rtol=1e-5)
    for theirs, ours in zip(of_fit, of_loop, strict=True):
        for a, b in zip(theirs, ours, strict=True):
            np.testing.assert_allclose(np.asarray(b), np.asarray(a), rtol=1e-4, atol=1e-6)
