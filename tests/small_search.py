"""Searches that take seconds: networks, data and an objective whose best is known."""

import keras
import numpy as np

from keras_actfn import activation
from keras_actfn.expressions import parse
from keras_actfn.training import Task

#: What the fixture `small_model` writes, for commands: a module with a builder for 8×8 images.
MODEL = """
import os
import time

import keras
import keras_actfn

def build(activation):
    time.sleep(float(os.environ.get("SECONDS_TO_BUILD", 0)))
    return keras.Sequential([
        keras.Input((8, 8, 1)),
        keras.layers.Flatten(),
        keras.layers.Dense(12),
        keras_actfn.activation(activation),
        keras.layers.Dense(10, activation="softmax"),
    ])
"""


def build(spec):
    """A classifier of `points`."""
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(60),
            activation(spec),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def points(n, seed):
    """Three classes around three centres."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    centres = np.random.default_rng(0).normal(size=(3, 6))
    return (centres[labels] + rng.normal(size=(n, 6))).astype("float32"), labels


def task_of(objective, inputs, build=build, mode="max"):
    """A task of an objective of which more is better."""
    return Task(build, inputs, objective=objective, mode=mode)


def distance_to_softplus(expression):
    """An objective with a known best: the negative distance to softplus on a grid."""
    x = np.linspace(-3, 3, 61)
    return -float(np.abs(parse(expression)(x) - np.logaddexp(0, x)).mean())
