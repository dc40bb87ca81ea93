"""CRReLU in closed form, on both signs, at zero and far out."""

import numpy as np
import pytest
from keras import ops

from keras_actfn.layers import CRReLU
from keras_actfn.testing import output_and_gradients

X = np.array([[-1e4, -40.0, -3.0, -1.0, -1e-3, 0.0, 1e-3, 0.5, 1.0, 3.0, 40.0, 1e4]], "float32")


@pytest.mark.parametrize("epsilon", [0.01, -0.3, 2.0])
def test_values_and_gradients(epsilon):
    layer = CRReLU(epsilon)
    layer.build(X.shape)
    upstream = np.random.default_rng(0).normal(size=X.shape)
    output, to_x, (to_epsilon,) = output_and_gradients(layer, X, upstream)
    x = X.astype("float64")
    bell = np.exp(-(x**2) / 2)
    np.testing.assert_allclose(output, np.maximum(x, 0) + epsilon * x * bell, rtol=1e-5, atol=1e-7)
    slope = (x > 0) + epsilon * (1 - x**2) * bell
    np.testing.assert_allclose(to_x, upstream * slope, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(to_epsilon, (upstream * x * bell).sum(), rtol=1e-5)


def test_each_channel_has_its_own_epsilon():
    layer = CRReLU(axis=-1)
    layer.build((None, 2, 3))
    layer.epsilon.assign([0.0, 0.5, -1.0])
    x = np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32")
    output, _, (to_epsilon,) = output_and_gradients(layer, x)
    bell = x * np.exp(-(x**2) / 2)
    np.testing.assert_allclose(output, np.maximum(x, 0) + [0.0, 0.5, -1.0] * bell, atol=1e-6)
    np.testing.assert_allclose(to_epsilon, bell.sum(axis=(0, 1)), rtol=1e-5)


def test_infinite_inputs_keep_their_relu():
    output = ops.convert_to_numpy(CRReLU()(np.array([[-np.inf, np.inf, np.nan]], "float32")))
    np.testing.assert_array_equal(output, [[0.0, np.inf, np.nan]])


@pytest.mark.parametrize("epsilon", ["large", float("nan"), float("inf"), None])
def test_bad_epsilon(epsilon):
    with pytest.raises(ValueError, match="starts from a finite epsilon"):
        CRReLU(epsilon)
