"""Spectra beside other threads: their results, and the threads of the BLAS."""

import threading

import keras
import numpy as np
import pytest
from keras import layers

from keras_actfn.fisher import fisher_spectrum
from keras_actfn.fisher.threads import numpy_pool


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


class Meeting:
    """An activation at which the named threads meet, in the middle of a forward pass."""

    def __init__(self):
        self.at = {}

    def __call__(self, x):
        for wait in self.at.pop(threading.get_ident(), []):
            wait(60)
        return keras.ops.tanh(x)


def network(meeting):
    model = keras.Sequential(
        [
            layers.Input((4,)),
            layers.Dense(5, activation="relu"),
            layers.Dense(5, activation=meeting),
            layers.PReLU(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    generator = np.random.default_rng(7)
    for weight in model.trainable_variables:
        weight.assign(0.5 * generator.normal(size=weight.shape))
    return model


def traces(spectrum):
    return [block.summary()["trace"] for block in spectrum.blocks]


def start(function):
    """Run a function in a thread; `join` gives its result or raises its error."""
    result = []

    def run():
        try:
            result.append((function(), None))
        except BaseException as error:
            result.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()

    def join():
        thread.join(60)
        value, error = result[0]
        if error is not None:
            raise error
        return value

    return join


def test_a_model_gives_the_same_while_a_spectrum_is_computed():
    meeting = Meeting()
    model, x = network(meeting), draw(6, 4)
    expected = keras.ops.convert_to_numpy(model(x))
    expected_traces = traces(fisher_spectrum(model, x))
    reached, go_on = threading.Event(), threading.Event()

    def spectrum():
        meeting.at[threading.get_ident()] = [lambda _: reached.set(), go_on.wait]
        return fisher_spectrum(model, x)

    join = start(spectrum)
    assert reached.wait(60)
    found = [keras.ops.convert_to_numpy(model(x)) for _ in range(3)]
    with_taps = ["call" in vars(layer) for layer in model.layers]
    go_on.set()
    for one in found:
        np.testing.assert_array_equal(one, expected)
    np.testing.assert_allclose(traces(join()), expected_traces, rtol=1e-6)
    assert any(with_taps) and not any("call" in vars(layer) for layer in model.layers)


@pytest.mark.parametrize("option", [False, True])
def test_two_spectra_of_one_model_at_once_are_right(option):
    meeting = Meeting()
    model, both = network(meeting), threading.Barrier(2)
    batches = draw(6, 4), draw(8, 4, seed=1)
    expected = [traces(fisher_spectrum(model, x, include_activations=option)) for x in batches]

    def spectrum(x):
        meeting.at[threading.get_ident()] = [both.wait]
        return fisher_spectrum(model, x, include_activations=option)

    joins = [start(lambda x=x: spectrum(x)) for x in batches]
    for join, values in zip(joins, expected, strict=True):
        np.testing.assert_allclose(traces(join()), values, rtol=1e-6)


@pytest.mark.once
def test_the_blas_has_its_threads_again_after_pools_that_overlap():
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def blas():
        return [
            i["num_threads"] for i in threadpoolctl.threadpool_info() if i["user_api"] == "blas"
        ]

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = blas()
        if set(before) != {2}:
            pytest.skip("needs a BLAS of two threads")
        first, second = numpy_pool(), numpy_pool()
        first.__enter__()
        second.__enter__()
        assert set(blas()) == {1}
        first.__exit__(None, None, None)
        assert set(blas()) == {1}
        second.__exit__(None, None, None)
        assert blas() == before
