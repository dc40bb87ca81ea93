"""Every model of the table: parameters, slots, names, data formats and arguments."""

import keras
import keras_actfn.applications as applications
import numpy as np
import pytest
from keras_actfn.applications import MODELS

#: Parameters with a fixed activation (design table, checked against the paper's).
COUNTS = [
    ("lenet5", (28, 28, 1), 431_080),
    ("lenet5", (32, 32, 3), 657_080),
    ("kerasnet", (28, 28, 1), 889_834),
    ("kerasnet", (32, 32, 3), 1_250_858),
]
SLOTS = {"lenet5": 3, "kerasnet": 5}
SMALLEST = {"lenet5": 16, "kerasnet": 10}


class Slope(keras.layers.Layer):
    """One trainable scalar, the least that an activation can learn."""

    def build(self, input_shape):
        self.slope = self.add_weight(name="slope", shape=(), initializer="ones")

    def call(self, x):
        return keras.ops.relu(x) * self.slope


def slots_of(model):
    return [layer for layer in model.layers if layer.name.startswith("activation_")]


def test_tables_are_complete():
    assert set(SLOTS) == set(SMALLEST) == set(MODELS) == {name for name, _, _ in COUNTS}
    for builder in MODELS.values():
        assert getattr(applications, builder.__name__) is builder


@pytest.mark.parametrize(("name", "input_shape", "count"), COUNTS)
def test_parameter_count(name, input_shape, count):
    model = MODELS[name](input_shape=input_shape)
    assert model.count_params() == count
    assert model.output_shape == (None, 10)


@pytest.mark.parametrize("name", MODELS)
def test_each_slot_has_its_own_layer(name):
    fixed = MODELS[name](input_shape=(28, 28, 1)).count_params()
    model = MODELS[name](activation=Slope, input_shape=(28, 28, 1))
    names = [layer.name for layer in slots_of(model)]
    assert names == [f"activation_{i}" for i in range(1, SLOTS[name] + 1)]
    assert model.count_params() == fixed + SLOTS[name]


@pytest.mark.parametrize("name", MODELS)
def test_names_do_not_depend_on_what_was_built_before(name):
    paths = [
        [weight.path for weight in MODELS[name](input_shape=(28, 28, 1)).weights] for _ in range(2)
    ]
    assert paths[0] == paths[1]


@pytest.mark.parametrize("name", MODELS)
def test_channels_first_computes_the_same(name):
    last = MODELS[name](input_shape=(16, 17, 3), data_format="channels_last")
    first = MODELS[name](input_shape=(3, 16, 17), data_format="channels_first")
    first.set_weights(last.get_weights())
    x = np.random.default_rng(0).random((4, 16, 17, 3), "float32")
    expected = keras.ops.convert_to_numpy(last(x))
    actual = keras.ops.convert_to_numpy(first(np.moveaxis(x, -1, 1)))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_what_softmax_is_taken_of(name):
    size = SMALLEST[name]
    logits = MODELS[name](input_shape=(size, size, 1), classes=3, classifier_activation=None)
    softmax = MODELS[name](input_shape=(size, size, 1), classes=3)
    softmax.set_weights(logits.get_weights())
    x = np.random.default_rng(0).random((2, size, size, 1), "float32")
    z = keras.ops.convert_to_numpy(logits(x))
    expected = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(softmax(x)), expected, rtol=1e-4)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"input_shape": (28, 28)}, r"three positive integers .*\(28, 28\)"),
        ({"input_shape": 28}, "three positive integers"),
        ({"input_shape": (None, 28, 1)}, "three positive integers"),
        ({"input_shape": (1, 28, 28)}, "pixels, or nothing is left .*data_format"),
        ({"classes": 0}, "classes is a positive integer. Received: classes=0"),
        ({"classes": 2.5}, "classes is a positive integer"),
        ({"data_format": "NCHW"}, "'channels_last', 'channels_first' or None"),
        ({"classifier_activation": "sofmax"}, "classifier_activation is 'softmax'"),
        ({"activation": "rellu"}, "rellu"),
    ],
)
def test_bad_arguments(name, arguments, match):
    with pytest.raises(ValueError, match=match):
        MODELS[name](**arguments)


@pytest.mark.parametrize("name", MODELS)
def test_one_pixel_less_than_the_smallest(name):
    size = SMALLEST[name] - 1
    with pytest.raises(ValueError, match=f"at least {SMALLEST[name]}×{SMALLEST[name]} pixels"):
        MODELS[name](input_shape=(size, size, 1))
