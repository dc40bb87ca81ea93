"""Elementwise functions by one kernel: the same function and gradient, of any shape."""

import keras
import numpy as np
import pytest
from keras_actfn.applications import LeNet5
from scipy import special

from keras_actfn import activation
from keras_actfn.backend import GradientTaps, pointwise
from keras_actfn.fisher import fisher_spectrum
from keras_actfn.models.activations import elementwise_function

ERF = activation("mul(x,erf(x))").expression
CASES = {
    "erf": (
        ERF,
        lambda x: x * special.erf(x),
        lambda x: special.erf(x) + x * 2 / np.sqrt(np.pi) * np.exp(-(x**2)),
    ),
    "tanh": (keras.activations.tanh, np.tanh, lambda x: 1 / np.cosh(x) ** 2),
}


@pytest.mark.parametrize("shape", [(3,), (2, 5, 7), (3, 40_000), (0, 4)])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradient_are_the_closed_form(name, shape):
    function, values, slope = CASES[name]
    generator = np.random.default_rng(0)
    x = generator.normal(size=shape).astype("float32")
    cotangent = generator.normal(size=shape).astype("float32")
    taps = GradientTaps(lambda tap: (pointwise(function, tap(keras.ops.convert_to_tensor(x))), []))
    output = keras.ops.convert_to_numpy(taps.output)
    np.testing.assert_allclose(output, values(x.astype("float64")), rtol=1e-5, atol=1e-6)
    ((gradient,),) = taps.pullback([cotangent])
    expected = cotangent * slope(x.astype("float64"))
    found = keras.ops.convert_to_numpy(gradient)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_only_functions_of_one_number_are_taken():
    assert elementwise_function(keras.layers.Activation("gelu")) is keras.activations.gelu
    assert elementwise_function(keras.activations.relu) is keras.activations.relu
    assert elementwise_function(activation("mul(x,erf(x))")) == ERF
    assert elementwise_function(keras.layers.Activation("softmax")) is None
    assert elementwise_function(keras.layers.Activation(lambda x: x - 1)) is None
    assert elementwise_function(activation("pwl")) is None
    assert elementwise_function(keras.layers.Dropout(0.5)) is None


def test_an_activation_gives_the_spectrum_of_its_function():
    # The function of the model runs by `pointwise`; one that is not known by itself does not.
    x = np.random.default_rng(0).normal(size=(6, 28, 28, 1)).astype("float32")
    spectra = []
    for function in (keras.activations.gelu, lambda x: keras.activations.gelu(x)):
        model = LeNet5(function)
        for number, weight in enumerate(model.trainable_variables):
            generator = np.random.default_rng(number)
            weight.assign(0.1 * generator.normal(size=weight.shape))
        spectra.append(fisher_spectrum(model, x))
    assert elementwise_function(keras.activations.gelu) is not None
    for one, other in zip(*(spectrum.blocks for spectrum in spectra), strict=True):
        np.testing.assert_allclose(one.summary()["trace"], other.summary()["trace"], rtol=1e-5)
        np.testing.assert_allclose(one.summary()["max"], other.summary()["max"], rtol=1e-5)
