"""Calls of layers are intercepted for one thread, and what was there is put back."""

import threading

import keras
import numpy as np
import pytest

from keras_actfn.models.taps import call_with, intercepted, is_replaced


def dense(**arguments):
    layer = keras.layers.Dense(3, **arguments)
    layer.build((None, 3))
    layer.set_weights([np.eye(3), np.zeros(3)] if layer.use_bias else [np.eye(3)])
    return layer


X = np.array([[-1.0, 0.0, 2.0]], "float32")


def values(layer):
    return keras.ops.convert_to_numpy(layer(keras.ops.convert_to_tensor(X)))


def plus(number):
    return lambda call, *args, **kwargs: call(*args, **kwargs) + number


def times(number):
    return lambda call, *args, **kwargs: call(*args, **kwargs) * number


def test_functions_stand_in_front_of_the_call_and_are_removed():
    layer = dense()
    with intercepted([(layer, plus(1))]):
        np.testing.assert_array_equal(values(layer), X + 1)
        with intercepted([(layer, times(2)), (layer, times(5))]):
            np.testing.assert_array_equal(values(layer), 10 * (X + 1))
        np.testing.assert_array_equal(values(layer), X + 1)
    np.testing.assert_array_equal(values(layer), X)
    assert "call" not in vars(layer)


def test_what_was_replaced_before_is_put_back():
    layer = dense()
    call = layer.call
    own = lambda *args, **kwargs: 3 * call(*args, **kwargs)  # noqa: E731
    object.__setattr__(layer, "call", own)
    with intercepted([(layer, plus(1))]):
        np.testing.assert_array_equal(values(layer), 3 * X + 1)
        assert is_replaced(layer)
    assert vars(layer)["call"] is own and is_replaced(layer)


def test_an_error_puts_all_back():
    first, second = dense(), dense()
    inner = intercepted([(first, plus(1)), (second, plus(1))])
    with pytest.raises(RuntimeError, match="inside"), intercepted([(first, plus(1))]), inner:
        assert not is_replaced(first)
        raise RuntimeError("inside")
    assert "call" not in {*vars(first), *vars(second)}


def test_each_thread_has_its_own_functions():
    layer, found = dense(), {}
    inside, leave = threading.Barrier(3), threading.Event()

    def run(number):
        with intercepted([(layer, plus(number))]):
            inside.wait(30)
            found[number] = values(layer)
            leave.wait(30)
        found[-number] = values(layer)

    threads = [threading.Thread(target=run, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    inside.wait(30)
    found[0] = values(layer)
    leave.set()
    for thread in threads:
        thread.join()
    for number in (0, 1, 2):
        np.testing.assert_array_equal(found[number], X + number)
    np.testing.assert_array_equal(found[-1], X)
    assert "call" not in vars(layer)


@pytest.mark.parametrize("activation", ["relu", keras.layers.ReLU()], ids=["function", "layer"])
def test_a_layer_runs_with_other_attributes_and_is_not_changed(activation):
    layer = dense(activation=activation)
    before = layer.activation
    found = call_with(layer, activation=None)(keras.ops.convert_to_tensor(X))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(found), X)
    np.testing.assert_array_equal(values(layer), np.maximum(X, 0))
    assert layer.activation is before
