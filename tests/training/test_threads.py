"""Small trainings take one of PyTorch's threads, and give the others back."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_actfn import activation
from keras_actfn.training import Task, compare
from keras_actfn.training.threads import is_small, threads_for

pytestmark = pytest.mark.once
torch = pytest.importorskip("torch")


def network(width):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(width, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_what_is_small():
    assert is_small(network(64), 32)
    assert not is_small(network(64), 1024)  # 65,536 numbers in a batch
    assert not is_small(network(1024), 8)  # 65,536 weights
    assert not is_small(keras.Sequential([layers.Dense(3)]), 8)  # its shapes are not known


def test_threads_are_lent_and_given_back(four_threads):
    with threads_for(network(64), 32) as threads:
        assert threads == torch.get_num_threads() == 1
    assert torch.get_num_threads() == 4
    with threads_for(network(1024), 32) as threads:
        assert threads == torch.get_num_threads() == 4
    with pytest.raises(ZeroDivisionError), threads_for(network(64), 32):
        raise ZeroDivisionError
    assert torch.get_num_threads() == 4


def test_compare_trains_small_models_on_one_thread(four_threads):
    seen = []

    class Watched(layers.Layer):
        def call(self, inputs, training=None):
            if training:
                seen.append(torch.get_num_threads())
            return inputs

    def build(spec):
        return keras.Sequential(
            [
                keras.Input((4, 4, 1)),
                Watched(),
                layers.Flatten(),
                layers.Dense(8),
                activation(spec),
                layers.Dense(2, activation="softmax"),
            ]
        )

    x, y = np.random.default_rng(0).normal(size=(64, 4, 4, 1)).astype("float32"), np.arange(64) % 2
    compare(Task(build, (x, y), batch_size=16), ["relu"], seeds=1)
    assert set(seen) == {1}
    assert torch.get_num_threads() == 4
