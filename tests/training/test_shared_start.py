"""Weights and random states that the runs of a seed have in common."""

import random
import threading

import keras
import numpy as np
import pytest

from keras_actfn.training.shared_start import Entry, seeds_drawn_from, with_shared_start

pytestmark = pytest.mark.once

RANDOM = "seed_generator_state"


def state(*entries):
    """Entries from (path, shape, value); the name is the path's last part."""
    return [
        Entry(path.rpartition("/")[2], path, np.full(shape, value, float))
        for path, shape, value in entries
    ]


def values(entries):
    return [float(entry.value.flat[0]) for entry in entries]


def test_by_path_where_layers_have_names():
    shared = state(("a/kernel", (2, 2), 1), ("b/kernel", (2, 2), 2))
    own = state(("b/kernel", (2, 2), 7), ("act/kernel", (2, 2), 8), ("a/kernel", (2, 2), 9))
    assert values(with_shared_start(own, shared)) == [2, 8, 1]


def test_in_order_where_names_count_up():
    shared = state(("d/kernel", (4, 3), 1), ("d/bias", (3,), 2), ("d_1/kernel", (3, 2), 3))
    own = state(
        ("d_2/kernel", (4, 3), 7),
        ("d_2/bias", (3,), 7),
        ("act/slopes", (3,), 8),
        ("d_3/kernel", (3, 2), 7),
    )
    assert values(with_shared_start(own, shared)) == [1, 2, 8, 3]


def test_random_states_in_order():
    shared = state((f"g_1/{RANDOM}", (2,), 1), ("d/kernel", (2,), 2), (f"g_2/{RANDOM}", (2,), 3))
    own = state((f"g_3/{RANDOM}", (2,), 7), ("d/kernel", (2,), 7), (f"g_4/{RANDOM}", (2,), 7))
    assert values(with_shared_start(own, shared)) == [1, 2, 3]


def test_random_activations_keep_their_random_states():
    shared = state((f"g_1/{RANDOM}", (2,), 1), ("d/kernel", (2,), 2))
    own = state((f"act/{RANDOM}", (2,), 7), (f"g_2/{RANDOM}", (2,), 8), ("d/kernel", (2,), 9))
    assert values(with_shared_start(own, shared)) == [7, 8, 2]


def test_a_builder_that_changes_more_than_the_activation():
    shared = state(("d/kernel", (4, 3), 1), ("e/kernel", (3, 2), 2))
    own = state(("d/kernel", (4, 5), 1), ("e/kernel", (5, 2), 2))
    with pytest.raises(ValueError, match=r"changes nothing but the activation.*'d/kernel'"):
        with_shared_start(own, shared)


def kernels_of(seed, *, between=lambda: None):
    """Kernels of two layers, with something done before the first and between the two."""
    kernels = []
    with seeds_drawn_from(seed):
        for _ in range(2):
            between()
            layer = keras.layers.Dense(3)
            layer.build((None, 4))
            kernels.append(keras.ops.convert_to_numpy(layer.kernel))
    return kernels


def test_the_weights_of_a_seed_are_those_keras_draws_after_setting_it():
    random.seed(5)
    expected = []
    for _ in range(2):
        initializer = keras.initializers.GlorotUniform()
        expected.append(keras.ops.convert_to_numpy(initializer((4, 3))))
    np.testing.assert_array_equal(kernels_of(5), expected)
    assert np.abs(np.subtract(kernels_of(6), expected)).max() > 0.1


def test_random_numbers_of_other_threads_change_nothing():
    drawn = []

    def in_a_thread():
        thread = threading.Thread(target=lambda: drawn.append(random.random()))
        thread.start()
        thread.join()

    np.testing.assert_array_equal(kernels_of(5, between=in_a_thread), kernels_of(5))
    assert len(set(drawn)) == 2


def test_a_thread_has_the_seed_it_asked_for_while_another_has_its_own():
    found = []

    def other():
        thread = threading.Thread(target=lambda: found.append(kernels_of(6)))
        thread.start()
        thread.join()

    np.testing.assert_array_equal(kernels_of(5, between=other), kernels_of(5))
    np.testing.assert_array_equal(found, [kernels_of(6)] * 2)


def test_randomness_is_put_back_even_after_an_error():
    random.seed(1)
    expected = keras.ops.convert_to_numpy(keras.initializers.GlorotUniform()((4, 3)))
    random.seed(1)
    with pytest.raises(KeyError), seeds_drawn_from(5):
        raise KeyError
    found = keras.ops.convert_to_numpy(keras.initializers.GlorotUniform()((4, 3)))
    np.testing.assert_array_equal(found, expected)
