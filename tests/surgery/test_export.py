"""Models with every kind of activation, exported and run elsewhere: equal outputs."""

import keras
import numpy as np
import pytest
from exported_files import FORMATS, export, run
from keras import layers, ops

from keras_actfn.surgery import freeze_activations, replace_activations

#: Formats of a model whose activations are frozen: not the one that is written last and slowest.
#: Under JAX it is the same as that of the model before, traced again.
FROZEN = FORMATS[-2:-1]


def numbers(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def replaced():
    """A convolutional network that was given one of each kind, with random parameters."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2), name="images"),
            layers.Conv2D(3, 3, activation="relu", name="a"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="b"),
            layers.Conv2D(3, 3, activation="relu", name="c"),
            layers.Conv2D(3, 3, activation="relu", name="d"),
            layers.Flatten(name="flat"),
            *(layers.Dense(5, activation="relu", name=name) for name in "egijk"),
            layers.Dense(4, activation="softmax", name="out"),
        ]
    )
    specs = {
        "a": "aff(identity,relu,tanh)",
        "b": "pwl(knots=9,axis=-1)",
        "c": "crrelu",
        "d": "max(relu(x),x*sigmoid(x))",
        "j": "spline(knots=9,axis=-1)",
        "e": "pwl(extrapolation=clamp)",
        "g": "scaled(acon,axis=-1)",
        "i": "dyt",
        "k": "scaled(sin)",
    }
    for path, spec in specs.items():
        model = replace_activations(model, spec, sites=path)
    for index, weight in enumerate(model.trainable_weights):
        weight.assign(weight + 0.3 * numbers(weight.shape, index))
    return model


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("form", "prepare"),
    [*((form, None) for form in FORMATS), *((form, freeze_activations) for form in FROZEN)],
    ids=[*FORMATS, *(f"frozen_{form}" for form in FROZEN)],
)
def test_exported_model_gives_the_same_outputs(form, prepare, tmp_path):
    model = prepare(replaced()) if prepare else replaced()
    batches = [2 * numbers((size, 8, 8, 2), size) for size in (1, 6)]
    expected = [ops.convert_to_numpy(model(x, training=False)) for x in batches]
    path = export(model, form, tmp_path)
    for x, y in zip(batches, expected, strict=True):
        np.testing.assert_allclose(run(form, path, x), y, rtol=1e-4, atol=1e-6)
