"""The grammar of activations: every row of its table, and the place of every error."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_actfn import activation, layers
from keras_actfn.expressions import SpecError, parse

X = np.linspace(-3, 3, 13, dtype="float32")[None]


def values(layer):
    return ops.convert_to_numpy(layer(X))


@pytest.mark.parametrize(
    ("spec", "cls"),
    [
        ("relu", keras.layers.Activation),
        (" gelu ", keras.layers.Activation),
        ("conv(identity,relu,tanh)", layers.ConvexHullActivation),
        ("aff( identity , max(relu(x),tanh(x)) )", layers.AffineHullActivation),
        ("aff(identity,relu,axis=-1)", layers.AffineHullActivation),
        ("conv(identity,relu,initializer=[0.25,0.75])", layers.ConvexHullActivation),
        ("pwl", layers.PWL),
        ("pwl(knots=17,initial=tanh,axis=-1)", layers.PWL),
        ("pwl(initial=max(relu(x),tanh(x)),extrapolation=clamp)", layers.PWL),
        ("crrelu", layers.CRReLU),
        ("crrelu(epsilon=0.05)", layers.CRReLU),
        ("max(relu(x),cosh(elu(x)))", layers.ExpressionActivation),
        ("erfc", layers.ExpressionActivation),
        ("x", layers.ExpressionActivation),
        (parse("mul(x,tanh(x))"), layers.ExpressionActivation),
        (keras.ops.sin, keras.layers.Activation),
        (keras.layers.LeakyReLU, keras.layers.LeakyReLU),
        (keras.layers.LeakyReLU(negative_slope=0.3), keras.layers.LeakyReLU),
        (lambda: layers.PWL(knots=5), layers.PWL),
    ],
)
def test_every_kind_of_spec(spec, cls):
    first, second = activation(spec), activation(spec, name="mine")
    assert type(first) is cls
    assert first is not second
    assert second.name == "mine"
    assert np.isfinite(values(first)).all()


def test_arguments_arrive():
    layer = activation("pwl(knots=17, initial=tanh, low=-2, high=2.5, axis=-1)")
    assert (layer.knots, layer.low, layer.high, layer.axis) == (17, -2.0, 2.5, -1)
    np.testing.assert_allclose(
        values(activation("conv(identity,relu,initializer=[0.25,0.75])")),
        np.where(X < 0, 0.25 * X, X),
        atol=1e-6,
    )
    np.testing.assert_allclose(values(activation(parse("mul(x,x)"))), X**2, rtol=1e-6)
    assert activation("relu", dtype="bfloat16").compute_dtype == "bfloat16"


def test_an_instance_is_copied():
    original = layers.PWL(knots=5, name="original", dtype="mixed_bfloat16")
    original.build((None, 2))
    copy = activation(original)
    assert copy is not original
    assert copy.name != "original"
    assert (copy.knots, copy.compute_dtype) == (5, "bfloat16")


def hidden_arguments(function):
    """A decorator that does not say which arguments the function takes."""

    def call(*args, **kwargs):
        return function(*args, **kwargs)

    return call


def relu(x):
    """Called like Keras's, and another function."""
    return x - 3


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (hidden_arguments(keras.ops.square), X**2),
        (hidden_arguments(lambda: layers.PWL(initial="abs")), np.abs(X)),
        (keras.layers.Activation(lambda x: 2 * x), 2 * X),
        (keras.layers.Activation(relu), X - 3),
        (keras.layers.Lambda(lambda x, by: by * x, arguments={"by": 3.0}, name="own"), 3 * X),
    ],
)
def test_functions_in_memory(spec, expected):
    """They need no name that leads back to them, and no signature."""
    np.testing.assert_allclose(values(activation(spec)), expected, atol=1e-6)
    assert activation(spec).name != "own" and activation(spec, name="mine").name == "mine"


@pytest.mark.parametrize("kind", [keras.layers.Activation, keras.layers.Lambda])
def test_a_copy_of_functions_in_memory_keeps_every_layers_arguments(kind):
    copied = activation(kind(relu, activity_regularizer="l2", trainable=False, dtype="float64"))
    assert isinstance(copied.activity_regularizer, keras.regularizers.L2)
    assert (copied.trainable, copied.dtype) == (False, "float64")


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="modules are PyTorch's")
def test_modules_of_torch_are_copied():
    import torch

    for module in (torch.nn.PReLU(), torch.jit.script(torch.nn.PReLU())):
        made = [activation(module), activation(keras.layers.TorchModuleWrapper(module))]
        if not isinstance(module, torch.jit.ScriptModule):
            made.append(activation(made[0]))
        with torch.no_grad():
            module.weight.fill_(3.0)
        for layer in made:
            np.testing.assert_allclose(values(layer), np.where(X < 0, 0.25 * X, X))
            assert len(layer.trainable_variables) == 1


@pytest.mark.parametrize(
    ("spec", "position", "message"),
    [
        ("rellu", 0, "Unknown activation 'rellu'. Did you mean 'relu'"),
        ("  pwll", 2, "Did you mean 'pwl'"),
        ("conv(identity,rellu)", 14, "Unknown function 'rellu'"),
        ("conv(identity,max(x))", 14, "max"),
        ("conv(identity,relu", 18, "closing bracket '\\)' is missing"),
        ("conv(identity]", 13, "closes another kind"),
        ("conv(identity,,relu)", 14, "An argument is missing"),
        ("pwl(knotz=9)", 4, "has no argument 'knotz'.*Did you mean 'knots'"),
        ("pwl(9)", 4, "takes named arguments only"),
        ("pwl(knots=9, knots=5)", 12, "'knots' is given twice"),
        ("scaled(sin,activation=cos)", 7, "takes one function"),
        ("pwl(knots=9)x", 12, "Nothing may follow"),
        ("aff(axis=-1,relu)", 12, "come before those with one"),
        ("max(relu(x)", 11, "Expected"),
        ("", 0, "not empty"),
    ],
)
def test_errors_show_the_place(spec, position, message):
    with pytest.raises(SpecError, match=message) as caught:
        activation(spec)
    assert (caught.value.text, caught.value.position) == (spec, position)
    assert str(caught.value).endswith("\n  " + " " * position + "^")


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("pwl(knots=1)", ValueError, r"'pwl\(knots=1\)' is not valid: .*at least 2"),
        ("pwl(knots=many)", ValueError, "integer number of knots"),
        (3, TypeError, "Received: 3"),
        (None, TypeError, "Received: None"),
        (lambda: "relu", ValueError, "returns a new Keras layer"),
    ],
)
def test_other_errors(spec, error, message):
    with pytest.raises(error, match=message):
        activation(spec)
