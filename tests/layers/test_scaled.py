"""Learned scales around functions and around layers that learn their shape."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_actfn
from keras_actfn import activation
from keras_actfn.layers import PWL, ExpressionActivation, LearnableActivation, ScaledActivation
from keras_actfn.testing import output_and_gradients

X = np.random.default_rng(0).normal(size=(4, 3, 5)).astype("float32")
PWL_9 = "pwl(knots=9,initial=tanh,low=-4,high=4)"


@pytest.mark.parametrize(
    ("spec", "axis"), [(PWL_9, None), ("aff(identity,tanh)", -1), ("acon", -1), ("crrelu", 1)]
)
def test_a_learned_function_keeps_its_parameters_beside_the_scales(spec, axis):
    alone = activation(spec)
    layer = activation(f"scaled({spec},a=2,b=-0.5,axis={axis})")
    for each in (alone, layer):
        each.build(X.shape)
    assert [w.name for w in layer.weights] == ["a", "b", *(w.name for w in alone.weights)]
    shapes = [tuple(w.shape) for w in layer.weights]
    assert shapes[2:] == [tuple(w.shape) for w in alone.weights]
    rng = np.random.default_rng(1)
    moved = [w + rng.normal(scale=0.2, size=w.shape) for w in layer.get_weights()]
    layer.set_weights(moved)
    alone.set_weights(moved[2:])
    own = {None: (1, 1), -1: (1, 5), 1: (3, 1)}[axis]
    a, b = (np.reshape(value, own) for value in moved[:2])
    upstream = rng.normal(size=X.shape).astype("float32")
    value, slope, to_inner = output_and_gradients(alone, b * X, a * upstream)
    output, to_x, (to_a, to_b, *others) = output_and_gradients(layer, X, upstream)
    np.testing.assert_allclose(output, a * value, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(to_x, b * slope, rtol=1e-5, atol=1e-5)
    for found, wanted in zip(others, to_inner, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    shared = {None: (0, 1, 2), -1: (0, 1), 1: (0, 2)}[axis]
    np.testing.assert_allclose(to_a, (upstream * value).sum(shared), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(to_b, (X * slope).sum(shared), rtol=1e-4, atol=1e-5)


def test_one_function_for_the_layer_and_scales_for_each_channel():
    layer = ScaledActivation(PWL(knots=3, low=-1, high=1, initial="relu"), axis=-1)
    layer.build((None, 2))
    layer.a.assign([1.0, 3.0])
    layer.b.assign([2.0, -1.0])
    assert tuple(layer.values.shape) == (3,)
    found = ops.convert_to_numpy(layer(np.array([[0.5, -0.5]], "float32")))
    np.testing.assert_allclose(found, [[1.0, 1.5]], rtol=1e-6)
    np.testing.assert_allclose(layer.evaluate([0.5, -0.5]), [[1.0, 0.0], [0.0, 1.5]], rtol=1e-6)


def test_constraints_of_the_function_hold_while_training():
    layer = activation("scaled(conv(identity,relu,tanh))")
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4), layer])
    model.compile("sgd", "mse")
    model.fit(X[:, 0], X[:, 1, :4], verbose=0)
    coefficients = ops.convert_to_numpy(layer.coefficients)
    np.testing.assert_allclose(coefficients.sum(), 1, rtol=1e-6)
    assert not np.allclose(coefficients, 1 / 3, atol=1e-7)


@pytest.mark.once
def test_a_function_that_is_fixed_stays_fixed():
    layer = ScaledActivation(keras_actfn.layers.SegmentedLinear([0.0], [0.0, 1.0]))
    assert [w.name for w in layer.trainable_variables] == ["a", "b"]
    assert len(layer.weights) == 4


@pytest.mark.once
def test_functions_of_every_kind():
    x = np.array([-0.5, 2.0])
    for given in (
        "tanh",
        keras_actfn.expressions.parse("tanh(x)"),
        keras.activations.tanh,
        keras.layers.Activation("tanh"),
        ExpressionActivation("tanh"),
    ):
        layer = ScaledActivation(given, a=2.0, b=0.5)
        np.testing.assert_allclose(layer.evaluate(x), 2 * np.tanh(x / 2), rtol=1e-5)
        assert layer.get_config()["activation"] == "tanh(x)"
    assert activation("scaled").get_config()["activation"] == "tanh(x)"
    assert activation("scaled(activation=sin(x))").get_config()["activation"] == "sin(x)"
    silu = activation("scaled(silu)")
    assert silu.get_config()["activation"] == "silu"


@pytest.mark.once
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("scaled(scaled(tanh))", "not scaled already"),
        ("scaled(acon)", r"along the same axes. Received: axis=None and ACON with axis=-1"),
        ("scaled(softmax)", r"not elementwise.*\n  scaled\(softmax\)\n         \^"),
        ("scaled(tanh,relu)", r"'scaled' takes one function.*\n.*\n {14}\^"),
        ("scaled(pwl(knotz=3))", r"'pwl' has no argument 'knotz'.*\n.*\n {13}\^"),
        ("scaled(tanh,c=1)", "'scaled' has no argument 'c'; it has activation, a, b, axis"),
        ("scaled(tanh,a=large)", "starts from a finite a"),
    ],
)
def test_bad_specifications(spec, message):
    with pytest.raises(ValueError, match=message):
        activation(spec)


class OwnWeights(LearnableActivation):
    def build(self, input_shape):
        super().build(input_shape)
        self.mine = self.add_weight(name="mine", shape=())


class NamedA(LearnableActivation):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.create_shared_parameters()

    def build(self, input_shape):
        super().build(input_shape)
        self.add_parameter("a", None, keras.initializers.Constant(3.0))

    def activate(self, x, a):
        return a * x


@pytest.mark.once
def test_layers_of_the_users():
    layer = ScaledActivation(NamedA(), a=2.0)
    assert [w.name for w in layer.weights] == ["a", "b", "inner_a"]
    np.testing.assert_allclose(layer.evaluate([1.0]), [6.0])
    with pytest.raises(ValueError, match="weights come from `add_parameter`"):
        ScaledActivation(OwnWeights())
    with pytest.raises(ValueError, match=r"derived from LearnableActivation\. Received: a PReLU"):
        ScaledActivation(keras.layers.PReLU())
