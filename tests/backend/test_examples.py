"""Derivatives as a user meets them: penalties, Hessians of networks, rematerialisation."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_actfn
from keras_actfn.layers import PWL

BACKEND = keras.backend.backend()
pytestmark = pytest.mark.filterwarnings("ignore:(PWL|Spline) starts from")


def by_hand(layer):
    """The gradient of (∂f/∂x)² to the layer's parameters, at x = 0.5."""
    parameters = [variable.value for variable in layer.trainable_variables]
    x = ops.convert_to_tensor([0.5])
    if BACKEND == "jax":
        import jax

        def square(parameters):
            return jax.grad(lambda x: layer.stateless_call(parameters, [], x)[0].sum())(x) ** 2

        return jax.grad(lambda parameters: square(parameters).sum())(parameters)
    if BACKEND == "torch":
        import torch

        x.requires_grad_()
        (slope,) = torch.autograd.grad(layer(x).sum(), x, create_graph=True)
        (slope**2).sum().backward()
        return [parameter.grad for parameter in parameters]
    import tensorflow as tf

    with tf.GradientTape() as outer:
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x)
        square = tape.gradient(output, x) ** 2
    return outer.gradient(square, parameters)


def test_the_slope_penalty_of_three_knots():
    layer = PWL(knots=3, low=-1, high=1, initial=[0.0, 0.0, 2.0])
    (to_values,) = by_hand(layer)
    np.testing.assert_allclose(ops.convert_to_numpy(to_values), [0, -4, 4], rtol=1e-6)


def test_the_slope_penalty_of_a_hull():
    layer = keras_actfn.activation("aff(identity,tanh)")
    (found,) = by_hand(layer)
    slopes = np.array([1, 1 / np.cosh(0.5) ** 2])
    np.testing.assert_allclose(ops.convert_to_numpy(found), 2 * slopes.mean() * slopes, rtol=1e-5)


NETWORKS = ("crrelu(epsilon=0.3)", "aff(identity,relu,tanh)", "mul(x,erfc(x))")


class Plain(keras.layers.Layer):
    """The layers of `NETWORKS` from plain operations, with the same weights."""

    def __init__(self, spec, parameters):
        super().__init__()
        self.spec, self.parameters = spec, [ops.convert_to_tensor(p) for p in parameters]

    def call(self, x):
        if "crrelu" in self.spec:
            return ops.relu(x) + self.parameters[0] * x * ops.exp(-(x**2) / 2)
        if "aff" in self.spec:
            first, second, third = ops.unstack(self.parameters[0])
            return first * x + second * ops.relu(x) + third * ops.tanh(x)
        return x * ops.erfc(x)


def networks(spec):
    """A small network with the activation twice, and one of plain operations."""
    layer = keras_actfn.activation(spec)
    first, last = keras.layers.Dense(4), keras.layers.Dense(1)
    plain = Plain(spec, layer.get_weights())
    return [keras.Sequential([keras.Input((3,)), first, act, last]) for act in (layer, plain)]


@pytest.mark.skipif(BACKEND == "tensorflow", reason="tapes: in test_derivatives.py")
@pytest.mark.parametrize("spec", NETWORKS)
def test_the_hessian_of_a_network(spec):
    x = ops.convert_to_tensor(np.random.default_rng(0).normal(size=3).astype("float32"))
    if BACKEND == "jax":
        from jax import hessian
    else:
        from torch.func import hessian
    ours, plain = (
        ops.convert_to_numpy(hessian(lambda x, m=model: m(x[None])[0, 0])(x))
        for model in networks(spec)
    )
    np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-5 * np.abs(plain).max())


@pytest.mark.skipif(BACKEND == "torch", reason="Keras rematerialises on JAX and TensorFlow")
@pytest.mark.parametrize("spec", NETWORKS)
def test_a_rematerialised_layer_trains_alike(spec):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 3)).astype("float32"), rng.normal(size=(16, 1))
    trained = []
    for mode in (None, "full"):
        keras.utils.set_random_seed(0)
        if mode:
            with keras.RematScope(mode=mode):
                layer = keras_actfn.activation(spec)
        else:
            layer = keras_actfn.activation(spec)
        dense = keras.layers.Dense(4), keras.layers.Dense(1)
        model = keras.Sequential([keras.Input((3,)), dense[0], layer, dense[1]])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        trained.append(model.get_weights())
    for one, other in zip(*trained, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(BACKEND != "torch", reason="PyTorch's trainings")
@pytest.mark.parametrize("spec", ["pwl(initial=tanh)", "pwl(axis=-1)", "crrelu", "one(x)"])
def test_a_training_with_a_gradient_penalty(spec):
    import torch

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    model.add(keras_actfn.activation(spec))
    model.add(keras.layers.Dense(1))
    x = torch.randn(8, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True, materialize_grads=True)
    loss = (model(x) ** 2).mean() + ((slope.norm(dim=1) - 1) ** 2).mean()
    loss.backward()
    for variable in model.trainable_variables:
        assert np.isfinite(variable.value.grad.numpy()).all(), variable.path
