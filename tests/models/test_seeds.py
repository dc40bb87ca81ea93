"""Weights and random states that the runs of a seed have in common."""

import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from keras_actfn.models.seeds import (
    Entry,
    all_seeds_from,
    batch_order,
    order_drawn_from,
    seeds_drawn_from,
    with_shared_start,
)

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


def test_batch_order_is_a_new_permutation_for_every_seed_and_epoch():
    orders = [tuple(batch_order(seed, epoch, 50)) for seed in (0, 1) for epoch in (0, 1)]
    assert len(set(orders)) == 4
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert orders[0] == tuple(batch_order(0, 0, 50))


def test_seeds_are_drawn_from_a_seed_and_put_back():
    random.seed(5)
    expected = random.random()
    random.seed(5)
    drawn = []
    for seed in (1, 1, 2):
        with seeds_drawn_from(seed):
            drawn.append(int(keras.random.SeedGenerator().state.numpy()[0]))
    assert drawn[0] == drawn[1] != drawn[2]
    assert random.random() == expected


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
    assert len(set(drawn)) == 2  # both draws did happen, one after the other


def test_a_thread_has_the_seed_it_asked_for_while_another_has_its_own():
    both = threading.Barrier(2, timeout=60)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(kernels_of, 6, between=both.wait)
        mine = kernels_of(5, between=both.wait)
        found = other.result()
    np.testing.assert_array_equal(mine, kernels_of(5))
    np.testing.assert_array_equal(found, kernels_of(6))


def test_randomness_is_put_back_even_after_an_error():
    random.seed(1)
    expected = keras.ops.convert_to_numpy(keras.initializers.GlorotUniform()((4, 3)))
    random.seed(1)
    with pytest.raises(KeyError), seeds_drawn_from(5):
        raise KeyError
    found = keras.ops.convert_to_numpy(keras.initializers.GlorotUniform()((4, 3)))
    np.testing.assert_array_equal(found, expected)


def test_what_draws_from_random_itself_starts_at_the_seed_too():
    random.seed(5)
    expected = [random.random(), random.random()]
    with seeds_drawn_from(5):
        first = random.random()
        keras.initializers.GlorotUniform()
        assert [first, random.random()] == expected


def draws():
    """Numbers of every generator that `all_seeds_from` sets."""
    found = [random.random(), np.random.random()]  # noqa: NPY002
    for name, draw in (
        ("torch", lambda library: float(library.rand(()))),
        ("tensorflow", lambda library: float(library.random.uniform(()))),
    ):
        if name in sys.modules:
            found.append(draw(sys.modules[name]))
    return found


def test_every_generator_starts_at_the_seed_and_is_put_back():
    with all_seeds_from(5):
        inside = draws()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    expected = random.random(), np.random.random()  # noqa: NPY002
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    with all_seeds_from(5):
        assert draws() == inside
    assert (random.random(), np.random.random()) == expected  # noqa: NPY002
    with all_seeds_from(6):
        assert not set(draws()) & set(inside)


def test_an_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch, before):
        with all_seeds_from(0):
            for _ in range(before):
                draws()
            order_drawn_from(seed, epoch)
            return draws()[:2]

    assert order(1, 2, before=0) == order(1, 2, before=3)
    orders = [order(1, 2, 0), order(2, 2, 0), order(1, 3, 0)]
    assert len({tuple(each) for each in orders}) == 3
