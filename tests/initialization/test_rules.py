"""AutoInit's rules: one, or a reason, for every layer of Keras's with weights; and some of them."""

import inspect

import keras
import numpy as np
import pytest

from keras_actfn.initialization.rules import REASONS, RULES, Unknown, propagate
from keras_actfn.initialization.signal_moments import Signal
from keras_actfn.models import activations

pytestmark = pytest.mark.once

LAYERS = {
    name: kind
    for name, kind in vars(keras.layers).items()
    if inspect.isclass(kind) and issubclass(kind, keras.layers.Layer)
}
#: Bases that are no layers themselves, and layers whose weights are not of the signal's path.
NONE = {"Layer", "InputLayer", "StringLookup", "IntegerLookup", "TextVectorization"}


def adds_weights(code):
    """Whether a function, or one inside it, calls what adds weights to a layer."""
    inside = [constant for constant in code.co_consts if inspect.iscode(constant)]
    own = {"add_weight", "_add_existing_weight"} & set(code.co_names)
    return bool(own) or any(map(adds_weights, inside))


def keeps_weights(kind):
    """Whether the methods of a layer's class create weights, or it holds what does."""
    own = kind.__mro__[: kind.__mro__.index(keras.layers.Layer)]
    holds = keras.layers.Wrapper, keras.layers.RNN, keras.layers.StackedRNNCells
    holds += (keras.layers.Bidirectional,)
    methods = [inspect.unwrap(f) for c in own for f in vars(c).values() if inspect.isfunction(f)]
    return issubclass(kind, holds) or any(adds_weights(f.__code__) for f in methods)


def classes(table):
    return tuple(k for kinds, _ in table for k in (kinds if isinstance(kinds, tuple) else (kinds,)))


@pytest.mark.parametrize("name", [n for n in LAYERS if n not in NONE and keeps_weights(LAYERS[n])])
def test_every_layer_with_weights_has_a_rule_or_a_reason(name):
    ruled, reasoned = (issubclass(LAYERS[name], classes(table)) for table in (RULES, REASONS))
    assert ruled != reasoned, "one of both, in initialization/rules.py"


def test_the_search_for_weights_finds_them():
    found = {name for name, kind in LAYERS.items() if keeps_weights(kind)}
    assert {"Dense", "SeparableConv2D", "LSTM", "Bidirectional", "PReLU", "Embedding"} <= found
    assert not {"Flatten", "MaxPooling2D", "Dropout", "Softmax"} & found
    assert activations.is_activation_layer(keras.layers.PReLU())


def test_a_reason_is_given_to_the_user():
    layer = keras.layers.EinsumDense("ab,bc->ac", output_shape=3)
    with pytest.raises(Unknown, match="no rule for a EinsumDense: which axes"):
        propagate(layer, [Signal.gaussian()], [keras.KerasTensor((None, 4))])


CHANNELS = 512
DRAWN = {
    "RMSNormalization": (keras.layers.RMSNormalization, {}, 0.7, 2.0),
    "Normalization": (
        keras.layers.Normalization,
        {"mean": np.full(CHANNELS, 0.3), "variance": np.full(CHANNELS, 4.0)},
        0.7,
        2.0,
    ),
    "its inverse": (
        keras.layers.Normalization,
        {"mean": np.full(CHANNELS, 0.3), "variance": np.full(CHANNELS, 4.0), "invert": True},
        0.7,
        2.0,
    ),
    "GaussianNoise": (keras.layers.GaussianNoise, {"stddev": 0.8}, 0.7, 2.0),
    "GaussianDropout": (keras.layers.GaussianDropout, {"rate": 0.3}, 0.7, 2.0),
}


@pytest.mark.parametrize("case", DRAWN)
def test_moments_are_those_of_many_draws(case):
    kind, arguments, mean, variance = DRAWN[case]
    layer = kind(**arguments)
    layer.build((None, CHANNELS))
    if case == "RMSNormalization":
        layer.scale.assign(np.linspace(0.5, 1.5, CHANNELS))
    x = np.random.default_rng(0).normal(mean, variance**0.5, (1000, CHANNELS)).astype("float32")
    y = keras.ops.convert_to_numpy(layer(x, training=True) if "Gauss" in case else layer(x))
    tensor = keras.KerasTensor((None, CHANNELS))
    found = propagate(layer, [Signal.gaussian(mean, variance)], [tensor])
    assert found.mean == pytest.approx(y.mean(), abs=0.01)
    assert found.variance == pytest.approx(y.var(), rel=0.01)
