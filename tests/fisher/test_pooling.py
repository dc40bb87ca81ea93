"""Max pooling by comparisons is max pooling, its gradient and its ties included."""

import keras
import numpy as np
import pytest

from keras_actfn.backend import vector_jacobian_product
from keras_actfn.fisher.pooling import disjoint_max_pool, is_disjoint


@pytest.mark.parametrize("size, pool", [((7, 6), (2, 2)), ((9,), (3,)), ((4, 5, 4), (2, 1, 2))])
def test_pooling_and_its_gradient(size, pool):
    generator = np.random.default_rng(0)
    x = generator.permutation(2 * int(np.prod(size)) * 3).reshape(2, *size, 3) / 100
    x = keras.ops.convert_to_tensor(x.astype("float32"))

    def reference(x):
        return keras.ops.max_pool(x, pool, pool, data_format="channels_last")

    expected = keras.ops.convert_to_numpy(reference(x))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(disjoint_max_pool(x, pool)), expected)
    gradient = keras.ops.convert_to_tensor(generator.normal(size=expected.shape).astype("float32"))
    found, wanted = (
        keras.ops.convert_to_numpy(vector_jacobian_product(f, gradient, x)[0])
        for f in (lambda x: disjoint_max_pool(x, pool), reference)
    )
    np.testing.assert_array_equal(found, wanted)


def test_ties_go_to_the_first_of_the_window_and_nan_is_passed_on():
    x = keras.ops.convert_to_tensor(np.array([[1.0, 2.0], [2.0, 1.0]], "float32")[None, :, :, None])
    one = keras.ops.ones((1, 1, 1, 1))
    (found,) = vector_jacobian_product(lambda x: disjoint_max_pool(x, (2, 2)), one, x)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(found)[0, :, :, 0], [[0.0, 1.0], [0.0, 0.0]]
    )
    for place in range(4):
        values = np.zeros(4, "float32")
        values[place] = np.nan
        x = keras.ops.convert_to_tensor(values.reshape(1, 2, 2, 1))
        assert np.isnan(keras.ops.convert_to_numpy(disjoint_max_pool(x, (2, 2)))).all()


def test_overlapping_or_padded_windows_are_left_alone():
    layers = keras.layers
    assert is_disjoint(layers.MaxPooling2D(2, data_format="channels_last"))
    assert not is_disjoint(layers.MaxPooling2D(3, strides=2))
    assert not is_disjoint(layers.MaxPooling2D(2, padding="same"))
    assert not is_disjoint(layers.AveragePooling2D(2))
