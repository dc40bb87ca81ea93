"""In TensorFlow's graphs gradients are kernels of XLA; the numbers stay those of the formulas."""

import keras
import numpy as np
import pytest
from reference.activations import ACTIVATIONS, output_and_gradients

import keras_actfn

if keras.backend.backend() != "tensorflow":
    pytest.skip("only TensorFlow has graphs", allow_module_level=True)

import tensorflow as tf


@pytest.mark.parametrize("spec", ACTIVATIONS)
def test_values_and_gradients(spec):
    layer = keras_actfn.activation(spec)
    layer.build((None, 7, 5, 4))
    sources = [variable.value for variable in layer.trainable_variables]

    @tf.function(
        input_signature=[tf.TensorSpec((None, *shape)) for shape in 2 * [(7, 5, 4)] + 2 * [(13,)]]
    )
    def step(x, upstream, flat, flat_upstream):
        results = []
        for inputs, gradient in ((x, upstream), (flat, flat_upstream)):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                output = layer(inputs)
            results.append([output, *tape.gradient(output, [inputs, *sources], gradient)])
        return results

    parameters = [keras.ops.convert_to_numpy(v) for v in layer.trainable_variables]
    rng = np.random.default_rng(0)
    for batch in (3, 1):  # 140 = 7 · 20 numbers a sample, and 13, which only 1 divides
        arrays = [
            rng.normal(size=(batch, *shape)).astype("float32")
            for shape in ((7, 5, 4), (7, 5, 4), (13,), (13,))
        ]
        for found, (x, upstream) in zip(step(*arrays), (arrays[:2], arrays[2:]), strict=True):
            expected = output_and_gradients(spec, x.astype("float64"), upstream, parameters)
            for result, wanted in zip(found, expected, strict=True):
                scale = np.abs(wanted).max()
                wanted = np.reshape(wanted, result.shape)
                np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-5 * scale)


def test_half_precision_keeps_the_parameters_gradient_in_single():
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
