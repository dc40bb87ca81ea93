"""Which models `compare` refuses before it trains any, with the same words on every backend."""

import keras
import numpy as np
import pytest

from keras_actfn import training
from keras_actfn.training.classifier import check_classifier
from keras_actfn.training.trainer import Trainer

X = np.random.default_rng(0).random((12, 4), "float32")
Y = np.arange(12) % 3
DATA = (X, Y), (X, Y)


def classifier(*layers):
    return keras.Sequential([keras.Input((4,)), *layers])


def functional(outputs):
    inputs = keras.Input((4,))
    return keras.Model(inputs, outputs(inputs))


@pytest.mark.once
def test_a_compiled_model_among_others_is_refused():
    def build_all_but(one):
        def build(activation):
            model = classifier(keras.layers.Dense(3, "softmax"))
            if activation != one:
                model.compile("adam", "sparse_categorical_crossentropy")
            return model

        return build

    for one, words in (("relu", r"Leave out compile\(\)"), ("tanh", "not compiled, beside")):
        with pytest.raises(ValueError, match=words):
            training.compare(training.Task(build_all_but(one), *DATA), ["tanh"], seeds=1)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3, "softmax")

    def call(self, x):
        return self.dense(x)


def two_outputs(x):
    return [keras.layers.Dense(3, "softmax")(x), keras.layers.Dense(3, "softmax")(x)]


def two_inputs():
    inputs = [keras.Input((4,)), keras.Input((4,))]
    return keras.Model(inputs, keras.layers.Dense(3, "softmax")(keras.layers.Add()(inputs)))


REFUSED = {
    "one sigmoid unit": (
        lambda: classifier(keras.layers.Dense(1, "sigmoid")),
        r"an output of one unit\. For two classes, end the model in Dense\(2",
    ),
    "logits": (
        lambda: classifier(keras.layers.Dense(3, name="scores")),
        r"the output of 'scores', which is no softmax",
    ),
    "logits at the end of a nested model": (
        lambda: classifier(classifier(keras.layers.Dense(3, name="scores"))),
        "which is no softmax",
    ),
    "sigmoid units": (lambda: classifier(keras.layers.Dense(3, "sigmoid")), "which is no softmax"),
    "log-probabilities": (
        lambda: classifier(keras.layers.Dense(3, "log_softmax")),
        "which is no softmax",
    ),
    "softmax over the batch": (
        lambda: classifier(keras.layers.Dense(3), keras.layers.Softmax(axis=0)),
        "which is no softmax",
    ),
    "too few outputs": (
        lambda: classifier(keras.layers.Dense(2, "softmax")),
        r"2 outputs for labels from 0 to 2\. End the model in Dense\(3, activation='softmax'\)",
    ),
    "an output for each position": (
        lambda: classifier(keras.layers.Reshape((4, 1)), keras.layers.Dense(3, "softmax")),
        r"an output of shape \(None, 4, 3\)\. Pool or flatten",
    ),
    "several outputs": (lambda: functional(two_outputs), "a model with 1 inputs and 2 outputs"),
    "several inputs": (two_inputs, "a model with 2 inputs and 1 outputs"),
    "subclassed": (Subclassed, "Subclassed 'subclassed.*', which has no input_shape"),
    "without an input": (
        lambda: keras.Sequential([keras.layers.Dense(3, "softmax")]),
        "Sequential .*, which has no input_shape",
    ),
    "no model": (lambda: keras.layers.Dense(3), "Dense. Return a keras.Model"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_refused_before_training(what, monkeypatch):
    build, words = REFUSED[what]
    monkeypatch.setattr(Trainer, "train_once", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(ValueError, match=words) as caught:
        task = training.Task(lambda activation: build(), *DATA, batch_size=4)
        training.compare(task, ["tanh"], seeds=1)
    assert "build_model returns an uncompiled classifier with one input" in str(caught.value)


ACCEPTED = {
    "fused": lambda x: keras.layers.Dense(3, "softmax")(x),
    "a layer": lambda x: keras.layers.Softmax()(keras.layers.Dense(3)(x)),
    "an operation": lambda x: keras.ops.softmax(keras.layers.Dense(3)(x)),
    "more outputs than classes": lambda x: keras.layers.Dense(5, "softmax")(x),
    "nested": lambda x: classifier(keras.layers.Dense(3, "softmax"))(x),
    "float32 behind half precision": lambda x: keras.layers.Activation("linear", dtype="float32")(
        keras.layers.Dense(3, "softmax")(x)
    ),
    "a mean of two": lambda x: keras.layers.Average()(two_outputs(x)),
}


@pytest.mark.parametrize("what", ACCEPTED)
def test_a_softmax_is_found_however_it_is_written(what):
    model = functional(ACCEPTED[what])
    assert check_classifier(model, 3) is model


@pytest.mark.once
def test_values_that_are_not_finite_are_no_wrong_head():
    poison = keras.layers.Lambda(lambda x: x * float("nan"))
    model = functional(lambda x: keras.ops.abs(poison(keras.layers.Dense(3, "softmax")(x))))
    assert check_classifier(model, 3) is model
