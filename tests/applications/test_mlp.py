"""The model for tables."""

import itertools

import keras
import keras_actfn.applications as applications
import numpy as np
import pytest
from keras_actfn.applications import MLP, MODELS, TABLE_MODELS

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("arguments", "features", "outputs"),
    [
        ({}, 784, 10),
        ({"input_shape": (7,), "classes": 3}, 7, 3),
        ({"input_shape": 7, "outputs": 2}, 7, 2),
        ({"input_shape": (4, 5, 2), "classes": 2}, 40, 2),
        ({"input_shape": (7,), "outputs": 1, "units": 5, "depth": 4}, 7, 1),
    ],
)
def test_parameters_from_the_widths_of_the_layers(arguments, features, outputs):
    model = MLP(**arguments)
    units, depth = arguments.get("units", 64), arguments.get("depth", 2)
    widths = [features, *[units] * depth, outputs]
    expected = sum((a + 1) * b for a, b in itertools.pairwise(widths))
    assert model.count_params() == expected and model.output_shape == (None, outputs)
    sites = [layer.name for layer in model.layers if layer.name.startswith("activation_")]
    assert sites == [f"activation_{i}" for i in range(1, depth + 1)]


def test_tables_of_models_are_complete():
    assert all(getattr(applications, m.__name__) is m for m in TABLE_MODELS.values())
    assert not set(MODELS) & set(TABLE_MODELS)


def test_it_computes_what_numpy_does():
    x = np.random.default_rng(0).normal(size=(3, 2, 3)).astype("float32")
    for last in ({"outputs": 2}, {"classes": 2}, {"classes": 2, "classifier_activation": None}):
        model = MLP("tanh", (2, 3), units=4, depth=1, **last)
        a, b, c, d = model.get_weights()
        z = np.tanh(x.reshape(3, 6) @ a + b) @ c + d
        if last == {"classes": 2}:
            z = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(model(x)), z, rtol=1e-5, atol=1e-6)


def test_each_site_learns_its_own_activation():
    model = MLP("pwl(knots=5)", (3,), outputs=1, units=4)
    assert len([v for v in model.trainable_variables if v.path.startswith("activation_")]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 3, "outputs": 1}, "classes=3 and outputs=1. Leave one out"),
        ({"classes": 0}, "classes is a positive integer. Received: classes=0"),
        ({"outputs": 1.5}, "outputs is a positive integer"),
        ({"units": True}, "units is a positive integer"),
        ({"depth": 0}, "depth is a positive integer"),
        ({"input_shape": ()}, r"input_shape is \(features,\) or a longer shape"),
        ({"input_shape": (None, 3)}, "positive integers without the batch"),
        ({"input_shape": "8"}, "Received: input_shape='8'"),
        ({"classifier_activation": "sofmax"}, "classifier_activation is 'softmax'"),
        ({"activation": "rellu"}, "rellu"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MLP(**arguments)
