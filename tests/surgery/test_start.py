"""How new activations start: the range of their knots from data, and whether they learn."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_actfn.layers import PWL, Spline
from keras_actfn.surgery import replace_activations


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


class Block(layers.Layer):
    """Takes its activation as an argument and applies it to five times its inputs."""

    def __init__(self, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)

    def call(self, x):
        return self.activation(5 * x)

    def get_config(self):
        return {
            **super().get_config(),
            "activation": keras.activations.serialize(self.activation),
        }


def model_of_all_kinds():
    """A fused activation, a layer, an operation and an argument, one behind the other."""
    inputs = keras.Input((4,))
    x = layers.Dense(3, activation="tanh", name="fused")(inputs)
    x = layers.LeakyReLU(name="layer")(layers.Rescaling(10.0)(x))
    x = Block("relu", name="argument")(ops.maximum(x - 20.0, 0))
    return keras.Model(inputs, layers.Dense(1, name="out")(x))


def test_knots_reach_from_quantile_to_quantile_of_what_arrives():
    model, x = model_of_all_kinds(), numbers(100, 4) * 20
    model.get_layer("fused").kernel.assign(numbers(4, 3, seed=1) * 5)
    w, b = map(ops.convert_to_numpy, model.get_layer("fused").weights)
    before = x @ w + b
    arrived = {"fused_activation": before, "layer": 10 * np.tanh(before)}
    leaky = np.where(arrived["layer"] > 0, 1.0, 0.3) * arrived["layer"]
    arrived["maximum"] = leaky - 20.0
    arrived["argument"] = 5 * np.maximum(arrived["maximum"], 0)
    new = replace_activations(model, "pwl(knots=9,extrapolation=clamp)", data=x)
    found = {
        "fused_activation": new.get_layer("fused_activation"),
        "layer": new.get_layer("layer"),
        "maximum": next(layer for layer in new.layers if layer.name.startswith("maximum")),
        "argument": new.get_layer("argument").activation,
    }
    for name, layer in found.items():
        assert isinstance(layer, PWL) and layer.knots == 9 and layer.extrapolation == "clamp"
        low, high = np.quantile(arrived[name], [0.001, 0.999])
        room = max(0.5 * (1e-3 * max(abs(low), abs(high), 1) - (high - low)), 0)
        assert [layer.low, layer.high] == pytest.approx([low - room, high + room], rel=1e-4)
        values = ops.convert_to_numpy(layer.values)
        np.testing.assert_allclose(values, np.maximum(layer.knot_positions, 0), rtol=1e-6)


def test_the_model_and_what_it_shares_stay_as_they_are():
    model, x = model_of_all_kinds(), numbers(20, 4)
    before = ops.convert_to_numpy(model(x))
    replace_activations(model, "pwl", data=x)
    np.testing.assert_array_equal(ops.convert_to_numpy(model(x)), before)


def test_few_and_structured_examples():
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    model = keras.Model({"a": a, "b": b}, layers.ReLU(name="act")(a + 3 * b))
    data = {"a": np.zeros((1, 2), "float32"), "b": np.array([[1.0, 2.0]], "float32")}
    for spec, kind in {"pwl": PWL, "spline": Spline}.items():
        layer = replace_activations(model, spec, data=data).get_layer("act")
        assert isinstance(layer, kind)
        assert [layer.low, layer.high] == pytest.approx([3.003, 5.997])


@pytest.mark.parametrize(
    ("spec", "data", "match"),
    [
        (
            "crrelu",
            numbers(5, 4),
            r"places the knots of PWL and Spline layers\. Received .* CRReLU",
        ),
        ("pwl(knots=2,initial=[0,1])", numbers(5, 4), "Received: a list as `initial`"),
        ("pwl", np.zeros((0, 4)), r"equally many examples\. Received: \[0\]"),
        ("pwl", np.full((5, 4), np.nan), "inputs of the activation at 'fused' are finite"),
    ],
)
def test_data_that_place_no_knots_are_refused(spec, data, match):
    with pytest.raises(ValueError, match=match):
        replace_activations(model_of_all_kinds(), spec, data=data)


def frozen_base():
    base = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, "relu", name="a"), layers.Dense(3, "relu", name="b")],
        name="base",
    )
    base.trainable = False
    return keras.Sequential([keras.Input((4,)), base, layers.Dense(1, name="head")])


def test_new_activations_in_a_frozen_base_start_frozen_and_say_so():
    with pytest.warns(UserWarning, match=r"'base/a', 'base/b' start frozen.*trainable=True"):
        new = replace_activations(frozen_base(), "crrelu")
    assert [v.path.split("/")[-2] for v in new.trainable_variables] == ["head", "head"]


@pytest.mark.parametrize(
    ("trainable", "learned"), [(True, ["a_activation", "b_activation"]), (False, [])]
)
def test_whether_new_activations_learn_is_an_argument(trainable, learned):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        new = replace_activations(frozen_base(), "crrelu", trainable=trainable)
    names = [v.path.split("/")[-2] for v in new.trainable_variables]
    assert names == [*learned, "head", "head"]
    new.compile("sgd", "mse")
    before = [np.array(ops.convert_to_numpy(v)) for v in new.variables]
    new.fit(numbers(8, 4), numbers(8, 1), verbose=0)
    moved = {
        v.path.split("/")[-2]
        for v, old in zip(new.variables, before, strict=True)
        if not np.array_equal(ops.convert_to_numpy(v), old)
    }
    assert moved == {*learned, "head"}


def test_no_warning_where_nothing_is_learned_or_nothing_is_frozen():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        replace_activations(frozen_base(), "tanh")
        replace_activations(model_of_all_kinds(), "crrelu")
        new = replace_activations(model_of_all_kinds(), "crrelu", trainable=False)
    assert len(new.trainable_variables) == 4
