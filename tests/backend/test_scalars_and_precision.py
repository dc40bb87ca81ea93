"""Tensors without axes, and float64."""

import keras
import numpy as np
import pytest
from keras import ops
from reference.activations import ACTIVATIONS, crrelu, hull

import keras_actfn
from keras_actfn.testing import output_and_gradients

BACKEND = keras.backend.backend()
pytestmark = pytest.mark.filterwarnings("ignore:(PWL|Spline) starts from")


@pytest.mark.parametrize("spec", [*ACTIVATIONS, "one(x)", "pwl(extrapolation=clamp)"])
def test_a_tensor_without_axes(spec):
    layer = keras_actfn.activation(spec)
    batch = np.float32([0.7])
    expected = output_and_gradients(layer, batch)
    found = output_and_gradients(layer, batch[0])
    assert found[0].shape == found[1].shape == ()
    np.testing.assert_allclose(found[0], expected[0][0], rtol=1e-6)
    np.testing.assert_allclose(found[1], expected[1][0], rtol=1e-6)
    for one, other in zip(found[2], expected[2], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("spec", [*ACTIVATIONS, "one(x)", "pwl(extrapolation=clamp)"])
def test_the_gradient_of_each_of_many_scalars(spec):
    layer = keras_actfn.activation(spec)
    x = np.float32([-4.0, -0.7, 0.4, 2.1, 5.0])
    expected = output_and_gradients(layer, x)[1]
    tensor = ops.convert_to_tensor(x)
    if BACKEND == "jax":
        import jax

        found = jax.vmap(jax.grad(layer))(tensor)
    elif BACKEND == "torch":
        import torch

        found = torch.func.vmap(torch.func.grad(layer))(tensor)
    else:
        import tensorflow as tf

        def slope(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                output = layer(x)
            zero = tf.UnconnectedGradients.ZERO
            return tape.gradient(output, x, unconnected_gradients=zero)

        found = tf.vectorized_map(slope, tensor)
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-6, atol=1e-7)


needs_float64 = pytest.mark.skipif(BACKEND == "jax", reason="JAX has no float64 by default")


@needs_float64
@pytest.mark.parametrize(
    ("spec", "reference"), [("crrelu(epsilon=0.3)", crrelu), ("aff(identity,relu,tanh)", hull)]
)
def test_float64_in_gives_float64_out(spec, reference):
    layer = keras_actfn.activation(spec, dtype="float64")
    x = np.random.default_rng(0).normal(size=(8, 5)) * 2
    (parameter,) = layer.get_weights()
    assert parameter.dtype == "float64"
    value, slope, by_parameter = reference(x, parameter)
    output, to_x, (to_parameter,) = output_and_gradients(layer, x)
    np.testing.assert_allclose(output, value, rtol=1e-15, atol=1e-15)
    np.testing.assert_allclose(to_x, slope, rtol=1e-14, atol=1e-14)
    exact = np.reshape([np.sum(part) for part in by_parameter], to_parameter.shape)
    np.testing.assert_allclose(to_parameter, exact, rtol=1e-14)


@needs_float64
@pytest.mark.parametrize("spec", ["crrelu", "aff(identity,relu)", "identity(x)"])
def test_float64_beyond_float32_stays_finite(spec):
    layer = keras_actfn.activation(spec, dtype="float64")
    output = ops.convert_to_numpy(layer(ops.convert_to_tensor([1e39], "float64")))
    np.testing.assert_allclose(output, [1e39])
