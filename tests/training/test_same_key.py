"""Stored runs come back only if nothing that decides them changed."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_actfn
from keras_actfn.training import Task, compare
from keras_actfn.training.fingerprints import described, key_of, model_fingerprint

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4)).astype("float32")
Y = X[:, :1] * X[:, 1:2]


def net(spec, loss="mse"):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(6)])
    model.add(keras_actfn.activation(spec))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.SGD(0.05), loss)
    return model


class Holding(keras.Model):
    """A subclassed model without arguments: its configuration says nothing of its layers."""

    def __init__(self, spec):
        super().__init__()
        self.first, self.last = layers.Dense(6), layers.Dense(1)
        self.held = keras_actfn.activation(spec)

    def call(self, x):
        return self.last(self.held(self.first(x)))

    def get_config(self):
        return {"trainable": True}


class Block(layers.Layer):
    """A layer without a configuration."""

    def __init__(self, inner, scale=1.0):
        super().__init__()
        self.inner, self._scale = inner, scale

    def call(self, x):
        return self._scale * self.inner(x)


def subclassed(spec):
    model = Holding(spec)
    model.compile(keras.optimizers.SGD(0.05), "mse")
    return model


def with_block(spec, scale=1.0):
    inputs = keras.Input((4,))
    x = Block(keras_actfn.activation(spec), scale)(layers.Dense(6)(inputs))
    model = keras.Model(inputs, layers.Dense(1)(x))
    model.compile(keras.optimizers.SGD(0.05), "mse")
    return model


@pytest.mark.parametrize("build", [subclassed, with_block])
def test_activations_that_a_configuration_leaves_out_have_runs_of_their_own(build, tmp_path):
    task = Task(build, (X, Y), epochs=2, batch_size=8)
    first = compare(task, ["relu", "tanh"], seeds=2, output=tmp_path, plots=False)
    again = compare(task, ["relu", "tanh"], seeds=2, output=tmp_path, plots=False)
    assert (first.reused, again.reused) == (0, 4)
    assert len({run.key for run in first.runs}) == 4
    for label in ("relu", "tanh"):
        assert again.values_of(label) == pytest.approx(first.values_of(label))
    assert first.values_of("relu") != pytest.approx(first.values_of("tanh"))


@pytest.mark.once
def test_what_a_layer_holds_and_its_code_tell_models_apart():
    prints = [model_fingerprint(with_block(*a)) for a in [("relu",), ("tanh",), ("relu", 2.0)]]
    assert len(set(prints)) == 3
    assert model_fingerprint(with_block("relu")) == prints[0]
    before = Block.call
    try:
        Block.call = lambda self, x: self.inner(x) + 1
        assert model_fingerprint(with_block("relu")) != prints[0]
    finally:
        Block.call = before
    assert model_fingerprint(subclassed("relu")) != model_fingerprint(subclassed("tanh"))


class Power(keras.losses.Loss):
    """A loss whose configuration lacks its exponent."""

    def __init__(self, exponent):
        super().__init__(name="power")
        self.exponent = exponent

    def call(self, true, predicted):
        return ops.mean(ops.abs(true - predicted) ** self.exponent, -1)


def test_a_loss_without_its_argument_in_the_configuration(tmp_path):
    def values(exponent):
        task = Task(lambda spec: net(spec, Power(exponent)), (X, Y), epochs=1, batch_size=8)
        found = compare(task, ["relu"], seeds=1, output=tmp_path, plots=False)
        return found.reused, found.values_of("relu")[0]

    one, three = values(1.0), values(3.0)
    assert one[0] == three[0] == 0 and one[1] != pytest.approx(three[1])
    assert values(1.0) == (1, pytest.approx(one[1]))


SCALE = 1.0
NOTES: list = []


def helper(x):
    return SCALE * x


def with_helper(x):
    NOTES.append(x)
    return helper(x)


@pytest.mark.once
def test_what_a_function_refers_to_tells_it_apart(monkeypatch):
    before = described(with_helper, depth=3)
    NOTES.append(1)  # what the function itself writes down
    assert described(with_helper, depth=3) == before
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    assert described(with_helper, depth=3) != before

    def counting(start):
        count = start

        def counts(x):
            nonlocal count
            count += 1
            return x

        return counts

    assert described(counting(0), 3) == described(counting(1), 3)

    def closing(over):
        return lambda x: over["scale"] * x

    assert described(closing({"scale": 1.0}), 3) != described(closing({"scale": 2.0}), 3)


@pytest.mark.once
def test_private_attributes_of_data_tell_it_apart():
    class Batches(keras.utils.PyDataset):
        def __init__(self, x, direction):
            super().__init__()
            self._x, self.direction = x, direction

    def key(*given):
        return key_of({"data": described(Batches(*given))})

    assert key(X, 1) == key(X.copy(), 1)
    assert len({key(X, 1), key(2 * X, 1), key(X, 2)}) == 3


@pytest.mark.once
def test_layers_are_described_without_the_names_that_keras_counts_up():
    assert described(keras_actfn.layers.PWL(5)) == described(keras_actfn.layers.PWL(5))
    assert described(keras_actfn.layers.PWL(5)) != described(keras_actfn.layers.PWL(7))


def test_a_changed_activation_of_ones_own_is_trained(tmp_path):
    def own(x):
        return ops.tanh(x)

    task = Task(net, (X, Y), epochs=1, batch_size=8)
    first = compare(task, [own], seeds=1, output=tmp_path, plots=False)

    def own(x):
        return 3 * ops.tanh(x)

    second = compare(task, [own], seeds=1, output=tmp_path, plots=False)
    assert second.reused == 0 and second.values_of("own") != pytest.approx(first.values_of("own"))


class Best(keras.callbacks.Callback):
    """What it starts with is infinite."""

    def __init__(self):
        super().__init__()
        self.best = np.inf


class Anneal(Best):
    """Changes what is in no variable."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.layers[1].rate *= 0.5


def with_dropout(spec):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8), layers.Dropout(0.6)])
    model.add(keras_actfn.activation(spec))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.SGD(0.05), "mse")
    return model


def test_a_callback_with_an_infinite_number_and_a_change_of_a_layer(tmp_path):
    task = Task(with_dropout, (X, Y), epochs=2, batch_size=8, callbacks=lambda: [Anneal()])
    both = compare(task, ["relu"], seeds=[0, 1], output=tmp_path, plots=False)
    alone = compare(task, ["relu"], seeds=[1])
    assert both.values_of("relu")[1] == pytest.approx(alone.values_of("relu")[0], rel=1e-6)
    assert compare(task, ["relu"], seeds=2, output=tmp_path, plots=False).reused == 2


def test_a_layer_shared_by_all_models_is_refused_unless_it_is_frozen():
    base = keras.Sequential([keras.Input((4,)), layers.Dense(5)])

    def build(spec):
        model = keras.Sequential([keras.Input((4,)), base, keras_actfn.activation(spec)])
        model.add(layers.Dense(1))
        model.compile(keras.optimizers.SGD(0.05), "mse")
        return model

    task = Task(build, (X, Y), epochs=1, batch_size=8)
    before = base.get_weights()
    with pytest.raises(ValueError, match=r"new layers at each call.*dense.*/kernel' of another"):
        compare(task, ["relu"], seeds=2)
    base.trainable = False
    compare(task, ["relu"], seeds=2)
    for old, new in zip(before, base.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
