"""What tells models and recipes apart, and what the recipes are."""

import functools

import keras
import numpy as np
import pytest

from keras_actfn.expressions import parse
from keras_actfn.training import recipes
from keras_actfn.training.fingerprints import described, model_fingerprint, recipe_settings


def network(activation="relu", units=3, skip=False, name=None):
    inputs = keras.Input((4,))
    x = keras.layers.Dense(units)(inputs)
    y = keras.layers.Activation(activation, name=name)(x)
    z = keras.layers.Add()([x, x] if skip else [x, y])
    return keras.Model(inputs, z)


class Subclassed(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.dense = keras.layers.Dense(units)

    def call(self, x):
        return self.dense(x)


def test_a_model_has_one_fingerprint_whatever_was_built_before():
    assert model_fingerprint(network()) == model_fingerprint(network())
    assert model_fingerprint(network(name="relu")) == model_fingerprint(network(name="other"))


def test_fingerprints_tell_models_apart():
    models = [
        network(),
        network("tanh"),
        network(units=2),
        network(skip=True),
        network("relu", name="tanh"),
        network("tanh", name="tanh"),
    ]
    assert len({model_fingerprint(model) for model in models}) == 4
    subclassed = [Subclassed(2), Subclassed(2), Subclassed(3)]
    for model in subclassed:
        model.build((None, 4))
    prints = [model_fingerprint(model) for model in subclassed]
    assert prints[0] == prints[1] != prints[2]


def test_recipe_settings_do_not_change_and_tell_recipes_apart():
    settings = [recipe_settings(recipe) for recipe in recipes.RECIPES.values() for _ in range(2)]
    for first, second in zip(settings[::2], settings[1::2], strict=True):
        assert first == second
    assert settings[0] != settings[2]


def test_hull_recipe_is_the_papers():
    optimizer = recipes.get("hull").optimizer()
    weight = keras.Variable(1.0)
    optimizer.build([weight])
    assert isinstance(optimizer, keras.optimizers.RMSprop)
    for updates in (0, 1, 1_000_000):
        optimizer.iterations.assign(updates)
        rate = keras.ops.convert_to_numpy(optimizer.learning_rate)
        np.testing.assert_allclose(rate, 1e-4 / (1 + 1e-6 * updates), rtol=1e-5)


def test_hull_augmentation_flips_and_shifts_in_training_only():
    layers = recipes.get("hull").augmentation()
    image = np.zeros((64, 20, 20, 1), "float32")
    image[:, 8:12, 2:6] = 1

    def centres(training):
        x = keras.ops.convert_to_tensor(image)
        for layer in layers:
            x = layer(x, training=training)
        x = keras.ops.convert_to_numpy(x)[..., 0]
        total = x.sum((1, 2))
        at = np.arange(20) + 0.5
        return (x.sum(2) @ at) / total, (x.sum(1) @ at) / total

    down, across = centres(training=False)
    np.testing.assert_allclose(down, 10, rtol=1e-6)
    np.testing.assert_allclose(across, 4, rtol=1e-6)
    down, across = centres(training=True)
    assert 1 < abs(down - 10).max() <= 2.01  # a tenth of 20 pixels
    flipped = across > 10
    assert 16 < flipped.sum() < 48
    assert 1 < abs(np.where(flipped, 20 - across, across) - 4).max() <= 2.01


def test_names():
    assert recipes.get(None) is recipes.RECIPES["adam"]
    assert recipes.get(recipes.RECIPES["hull"]).name == "hull"
    with pytest.raises(ValueError, match="A recipe's name is one of: adam, hull"):
        recipes.get("sgd")


def test_expressions_are_described_by_their_text_whatever_was_computed_with_them():
    first, other = parse("mul(x,tanh(x))"), parse("mul(x,erf(x))")
    before = described([first, {"f": first}])
    first(np.ones(3))
    assert described([first, {"f": first}]) == before != described([other, {"f": other}])


class Computes:
    def __init__(self):
        self.given = 2

    @functools.cached_property
    def result(self):
        return self.given**2


def test_what_an_object_has_computed_does_not_describe_it():
    value = Computes()
    before = described(value)
    assert value.result == 4
    assert described(value) == before
    value.given = 3
    assert described(value) != before
