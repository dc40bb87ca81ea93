"""What a trainer saves changes no run: it is the one of a trainer that has done nothing before."""

from typing import ClassVar

import keras
import numpy as np
import pytest

from keras_actfn import activation
from keras_actfn.training import Task
from keras_actfn.training.batches import EpochBatches, OrderedBatches, given_to_fit
from keras_actfn.training.run_callbacks import sees_steps
from keras_actfn.training.trainer import Trainer

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 4)).astype("float32"), np.arange(40) % 2


class RandomSlopes(keras.layers.Layer):
    """An activation whose weights start at random."""

    def build(self, shape):
        self.slopes = self.add_weight(shape=shape[-1:], initializer="random_normal")

    def call(self, x):
        return self.slopes * keras.ops.tanh(x)


class RandomSigns(RandomSlopes):
    """Starts that are often equal for two seeds."""

    def build(self, shape):
        self.slopes = self.add_weight(
            shape=(), initializer=lambda shape, dtype: keras.ops.sign(_normal(shape, dtype))
        )


def _normal(shape, dtype):
    return keras.initializers.RandomNormal()(shape, dtype)


OWN = {"slopes": RandomSlopes, "signs": RandomSigns}
#: How often the model is built for five runs: of 0, 0, 1, 2 and 3 as seeds.
BUILDS = {"tanh": 1, "pwl(knots=3)": 3, "slopes": 5, "signs": 5}


class Built:
    """A builder that counts, of compiled models or not."""

    def __init__(self, compiled):
        self.compiled, self.counts = compiled, dict.fromkeys(["relu", *BUILDS], 0)

    def __call__(self, spec):
        self.counts[spec] += 1
        layers = [keras.layers.Dense(6), OWN[spec]() if spec in OWN else activation(spec)]
        layers += [keras.layers.Dropout(0.3), keras.layers.Dense(2, "softmax")]
        model = keras.Sequential([keras.Input((4,)), *layers])
        if self.compiled:
            model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model


def trainer(compiled=True, **options):
    build = Built(compiled)
    data = {"train": (X, Y), "validation": 12, "test": (X[:10], Y[:10])}
    return Trainer(Task(build, **{**data, "batch_size": 8, "epochs": 2, **options})), build


def same(one, other):
    """Whether two runs found the same."""
    assert (one.test, one.validation, one.steps) == (other.test, other.validation, other.steps)
    assert one.arrays.keys() == other.arrays.keys()
    for name, values in one.arrays.items():
        np.testing.assert_array_equal(values, other.arrays[name])


#: Each kind of start and of model on every backend, all pairs on one.
PAIRS = [
    pytest.param(compiled, spec, marks=() if compiled == (spec in OWN) else pytest.mark.once)
    for compiled in (True, False)
    for spec in BUILDS
]


@pytest.mark.parametrize(("compiled", "spec"), PAIRS)
def test_a_run_after_others_is_the_run_of_a_new_trainer(compiled, spec):
    used, build = trainer(compiled)
    runs = [used.train_once(spec, seed) for seed in (0, 0, 1, 2, 3)]
    assert build.counts[spec] == BUILDS[spec]
    same(runs[0], runs[1])
    new = trainer(compiled)[0].train_once(spec, 3)
    same(runs[4], new)
    assert runs[3].test != runs[4].test


class Told(keras.callbacks.Callback):
    """What a callback is told; the class's last run."""

    params_of_run = None

    def on_epoch_end(self, epoch, logs=None):
        type(self).params_of_run = self.params


class Steps(Told):
    """One that sees steps, for which every step makes Python numbers."""

    seen: ClassVar[list] = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(logs["loss"])


def test_what_callbacks_see_of_steps_changes_no_run():
    found = {}
    for name, callbacks in {
        "none": None,
        "told": lambda: [Told()],
        "steps": lambda: [Steps()],
    }.items():
        found[name] = trainer(callbacks=callbacks)[0].train_once("tanh", 1)
    same(found["told"], found["steps"])
    for name, values in found["none"].arrays.items():
        np.testing.assert_array_equal(values, found["told"].arrays[name])
    assert len(Steps.seen) == 8 and all(isinstance(loss, float) for loss in Steps.seen)
    assert Told.params_of_run == Steps.params_of_run == {"verbose": 0, "epochs": 2, "steps": 4}


@pytest.mark.once
def test_callbacks_that_see_steps():
    own = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    assert sees_steps(own) and sees_steps(Steps()) and sees_steps(keras.callbacks.TerminateOnNaN())
    others = [keras.callbacks.EarlyStopping(), keras.callbacks.ReduceLROnPlateau(), Told()]
    assert not any(map(sees_steps, others))


@pytest.mark.once
def test_batches_are_those_of_the_epoch_that_was_begun():
    made = []

    def make(epoch):
        made.append(epoch)
        return [(epoch, 0), (epoch, 1)]

    batches = EpochBatches(make, 2)
    batches.on_epoch_end()  # Keras calls it when it begins to read, too
    assert len(batches) == 2 and batches[1] == (0, 1)
    batches.begin(0)
    batches.begin(1)
    batches.begin(1)
    assert batches[0] == (1, 0) and made == [0, 1]


def test_fit_is_given_the_batches_of_the_epoch_that_was_begun():
    orders = [np.arange(40), np.arange(40)[::-1]]
    batches = EpochBatches(lambda epoch: OrderedBatches(X, Y, orders[epoch], 8), 5)
    given = given_to_fit(batches)
    assert len(given) == 5
    tensorflow = keras.backend.backend() == "tensorflow"
    for epoch, order in enumerate(orders):
        batches.begin(epoch)
        read = list(given) if tensorflow else [given[index] for index in range(5)]
        x, y = (np.concatenate([np.asarray(batch[part]) for batch in read]) for part in (0, 1))
        np.testing.assert_array_equal(x, X[order])
        np.testing.assert_array_equal(y, Y[order])
    if tensorflow:
        assert given.options().autotune.enabled is False
