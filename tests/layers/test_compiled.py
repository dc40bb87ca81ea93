"""In TensorFlow's graphs and under JAX's jit, gradients are kernels with the formulas' numbers."""

import keras
import numpy as np
import pytest
from reference.activations import ACTIVATIONS, output_and_gradients

import keras_actfn
from keras_actfn.backend._load import backend

BACKEND = keras.backend.backend()
pytestmark = pytest.mark.filterwarnings("ignore:(PWL|Spline) starts from")
if BACKEND == "torch":
    pytest.skip("PyTorch's loops have tests of their own", allow_module_level=True)


def compiled(layer, shape):
    """A compiled function from x and the gradient to f(x) to f(x) and all gradients."""
    sources = [variable.value for variable in layer.trainable_variables]
    if BACKEND == "jax":
        import jax

        def step(x, upstream):
            output, pull_back = jax.vjp(
                lambda sources, x: layer.stateless_call(sources, [], x)[0], sources, x
            )
            to_sources, to_x = pull_back(upstream)
            return [output, to_x, *to_sources]

        return jax.jit(step)
    import tensorflow as tf

    @tf.function(input_signature=2 * [tf.TensorSpec((None, *shape))])
    def step(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x)
        return [output, *tape.gradient(output, [x, *sources], upstream)]

    return step


@pytest.mark.parametrize("spec", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(7, 5, 4), (13,)], ids=str)
def test_values_and_gradients(spec, shape, monkeypatch):
    monkeypatch.setattr(backend, "_SLICE", 300)
    layer = keras_actfn.activation(spec)
    layer.build((None, *shape))
    parameters = [keras.ops.convert_to_numpy(v) for v in layer.trainable_variables]
    step = compiled(layer, shape)
    rng = np.random.default_rng(0)
    for batch in (48, 1):  # 48 are slices of 2 samples of 140 numbers, or of 16 of 13
        x, upstream = (rng.normal(size=(batch, *shape)).astype("float32") for _ in range(2))
        expected = output_and_gradients(spec, x.astype("float64"), upstream, parameters)
        for found, wanted in zip(step(x, upstream), expected, strict=True):
            scale = np.abs(wanted).max()
            wanted = np.reshape(wanted, found.shape)
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("spec", ACTIVATIONS)
def test_an_empty_batch_gives_gradients_of_zero(spec):
    layer = keras_actfn.activation(spec)
    layer.build((None, 4))
    nothing = np.zeros((0, 4), "float32")
    output, to_x, *rest = compiled(layer, (4,))(nothing, nothing)
    assert output.shape == to_x.shape == nothing.shape
    for variable, gradient in zip(layer.trainable_variables, rest, strict=True):
        np.testing.assert_array_equal(gradient, np.zeros(variable.shape))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's graphs")
def test_half_precision_keeps_the_parameters_gradient_in_single():
    import tensorflow as tf

    layer = keras_actfn.activation("aff(identity,relu,tanh)", dtype="mixed_bfloat16")
    x = tf.constant(np.linspace(-2, 2, 512).reshape(2, 256), tf.bfloat16)

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            output = layer(x)
        return tape.gradient(output, layer.coefficients.value)

    numbers = np.asarray(tf.cast(x, tf.float64))
    expected = [numbers.sum(), np.maximum(numbers, 0).sum(), np.tanh(numbers).sum()]
    found = gradient()
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-2)
