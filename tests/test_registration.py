"""Operators and layers of a user's own, registered from outside the package."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_actfn
from keras_actfn._activation import LAYERS
from keras_actfn.expressions import register_operator
from keras_actfn.layers import LearnableActivation
from keras_actfn.testing import LAYER_CHECKS


@keras.saving.register_keras_serializable(package="test_registration")
class Snake(LearnableActivation):
    """f(x) = x + sin(a x)² / a with a learned a."""

    def __init__(self, frequency=1.0, axis=None, **kwargs):
        super().__init__(axis=axis, **kwargs)
        self.frequency = frequency
        self.create_shared_parameters()

    def build(self, input_shape):
        """Create `alpha`."""
        super().build(input_shape)
        self.add_parameter("alpha", None, keras.initializers.Constant(self.frequency))

    def activate(self, x, alpha):
        """The formula above."""
        alpha = ops.cast(alpha, x.dtype)
        return x + ops.square(ops.sin(alpha * x)) / alpha

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "frequency": self.frequency}


@pytest.fixture
def snake():
    keras_actfn.register_layer("snake", Snake)
    yield
    LAYERS.pop("snake")


def test_a_layer_of_ones_own(snake, tmp_path):
    x = np.linspace(-3, 3, 12, dtype="float32").reshape(3, 4)
    layer = keras_actfn.activation("snake(frequency=2.0,axis=-1)")
    assert isinstance(layer, Snake)
    expected = x + np.sin(2 * x) ** 2 / 2
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), expected, atol=1e-6)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, activation=layer)])
    model.compile("sgd", "mse")
    model.fit(x, x, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        ops.convert_to_numpy(again(x)), ops.convert_to_numpy(model(x)), atol=1e-6
    )
    keras_actfn.register_layer("snake", Snake)  # twice does no harm
    with pytest.raises(keras_actfn.expressions.SpecError, match="Did you mean 'snake'"):
        keras_actfn.activation("snak")
    with pytest.raises(keras_actfn.expressions.SpecError, match="has no argument 'frequncy'"):
        keras_actfn.activation("snake(frequncy=2)")


@pytest.mark.parametrize("check", ["elementwise", "config_round_trip", "masking"])
def test_it_keeps_the_contract(check):
    LAYER_CHECKS[check](Snake)


@pytest.mark.once
@pytest.mark.parametrize("word", ["relu", "conv", "x", "erfc", "add", "hard_sigmoid", "2d", None])
def test_words_that_are_taken(word):
    before = dict(LAYERS)
    with pytest.raises(ValueError, match=r"is taken|ASCII identifier"):
        keras_actfn.register_layer(word, Snake)
    with pytest.raises(TypeError, match=r"subclass of keras\.layers\.Layer"):
        keras_actfn.register_layer("own", np.sin)
    assert before == LAYERS


def test_an_operator_of_ones_own():
    operator = register_operator("test_own_sine", ops.sin, reference=np.sin, formula="sin(x)")
    x = np.linspace(-3, 3, 9, dtype="float32")[None]
    expected = x + np.sin(x) ** 2
    for spec in ("x+square(test_own_sine(x))", "aff(add(x,square(test_own_sine(x))))"):
        layer = keras_actfn.activation(spec)
        np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), expected, atol=1e-6)
    assert not operator.tame
    space = keras_actfn.expressions.SearchSpace(["unary(x)"], unary=["test_own_sine", "relu"])
    assert [str(f) for f in space] == ["test_own_sine(x)", "relu(x)"]
