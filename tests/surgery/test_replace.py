"""`replace_activations`: the new function everywhere it should be, and nothing else changed."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_actfn
from keras_actfn.surgery import find_activations, replace_activations

SEED = 7


class Scale(layers.Layer):
    """A layer that can't be copied: its argument is no part of its configuration."""

    def __init__(self, function):
        super().__init__(name="scale")
        self.applied = function

    def call(self, x):
        return self.applied(x)


def numbers(shape, seed=SEED):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def out(model, x):
    return keras.tree.map_structure(ops.convert_to_numpy, model(x, training=False))


def assert_same(one, other, x):
    for a, b in zip(
        keras.tree.flatten(out(one, x)), keras.tree.flatten(out(other, x)), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def sequential():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(3, 3, activation="relu", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.DepthwiseConv2D(2, activation="relu", name="depthwise"),
            layers.SeparableConv2D(2, 2, activation="relu", name="separable"),
            layers.Flatten(name="flat"),
            layers.Dense(4, activation="relu", name="dense"),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(3, activation="softmax", name="out"),
        ],
        name="stack",
    )


def functional():
    """Two inputs, two outputs, shared layers, bare operations."""
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    shared = layers.Dense(5, activation="relu", name="shared")
    act = layers.Activation("relu", name="act")
    x = act(shared(a) - 0.3)
    y = act(ops.relu(shared(b)) - 0.3)
    z = ops.maximum(layers.Dense(5, name="mix")(layers.Concatenate(name="cat")([x, y])), 0)
    one = layers.Dense(2, activation="softmax", name="one")(z)
    two = layers.Dense(1, name="two")(layers.Add(name="add")([z, x]))
    return keras.Model({"a": a, "b": b}, {"one": one, "two": two}, name="graph")


def nested():
    """A Sequential and a functional model in a functional one, both called twice."""
    inner = keras.Input((4,), name="inner_in")
    core = keras.Model(
        inner, layers.Dense(4, activation="relu", name="core_dense")(ops.relu(inner)), name="core"
    )
    stack = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="d"), layers.ReLU(name="r"), core], name="stack"
    )
    inputs = keras.Input((4,), name="in")
    x = core(stack(inputs))
    return keras.Model(inputs, layers.Dense(2, name="out")(stack(x) + x), name="outer")


MODELS = {"sequential": sequential, "functional": functional, "nested": nested}
INPUTS = {
    "sequential": lambda: numbers((5, 6, 6, 2)),
    "functional": lambda: {"a": numbers((5, 4)), "b": numbers((5, 4), 8)},
    "nested": lambda: numbers((5, 4)),
}
COUNTS = {"sequential": 5, "functional": 4, "nested": 3}


def randomized(name):
    """A model whose weights are all random, moving averages included."""
    model = MODELS[name]()
    for index, weight in enumerate(model.weights):
        weight.assign(
            0.2 + np.abs(numbers(weight.shape, index)) * 0.5 - 0.3 * ("kernel" in weight.path)
        )
    return model


@pytest.mark.parametrize("name", MODELS)
def test_relu_by_relu_changes_no_output_bit(name):
    model = randomized(name)
    new = replace_activations(model, "relu", match="relu")
    assert_same(model, new, INPUTS[name]())
    assert new is not model and type(new) is type(model) and new.name == model.name


@pytest.mark.parametrize("name", MODELS)
def test_another_function_is_applied_at_each_site_and_the_old_model_stays(name):
    model, x = randomized(name), INPUTS[name]()
    before = out(model, x)
    new = replace_activations(model, "negative(x)")
    keras.tree.map_structure(np.testing.assert_array_equal, out(model, x), before)
    replaced = [s for s in find_activations(new) if s.activation == "negative(x)"]
    assert len(replaced) == COUNTS[name]
    assert all(s.kind == "layer" for s in replaced)
    assert not any(s.activation == "relu" for s in find_activations(new))
    assert not np.allclose(keras.tree.flatten(out(new, x))[-1], keras.tree.flatten(before)[-1])


def test_values_against_numpy():
    inputs = keras.Input((4,), name="in")
    x = layers.Dense(3, activation="relu", name="dense")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="out")(ops.relu(x - 0.1)))
    new = replace_activations(model, "tanh", sites="dense")
    kernel, bias, last, last_bias = map(ops.convert_to_numpy, model.weights)
    x = numbers((6, 4))
    hidden = np.maximum(np.tanh(x @ kernel + bias) - 0.1, 0)
    np.testing.assert_allclose(out(new, x), hidden @ last + last_bias, rtol=1e-5, atol=1e-6)


def test_names_and_order():
    new = replace_activations(sequential(), "crrelu")
    assert [layer.name for layer in new.layers] == [
        "conv",
        "conv_activation",
        "norm",
        "relu",
        "depthwise",
        "depthwise_activation",
        "separable",
        "separable_activation",
        "flat",
        "dense",
        "dense_activation",
        "drop",
        "out",
    ]
    assert isinstance(new.get_layer("relu"), keras_actfn.layers.CRReLU)
    assert new.get_layer("conv").activation is keras.activations.linear
    assert new.get_layer("out").activation is keras.activations.softmax


def test_a_taken_name_gets_a_number():
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(2, activation="relu", name="d"),
            layers.Dense(2, name="d_activation"),
        ]
    )
    new = replace_activations(model, "tanh")
    assert [layer.name for layer in new.layers] == ["d", "d_activation_1", "d_activation"]


def test_bare_operations_keep_their_name():
    model = functional()
    paths = [s.path for s in find_activations(model) if s.kind == "op"]
    new = replace_activations(model, "pwl", sites=paths)
    assert all(isinstance(new.get_layer(path), keras_actfn.layers.PWL) for path in paths)


def test_shared_sites_share_one_new_layer_and_others_do_not():
    new = replace_activations(functional(), "conv(identity,relu)")
    hulls = [layer for layer in new.layers if "Hull" in type(layer).__name__]
    assert len(hulls) == COUNTS["functional"]
    assert len({id(h) for h in hulls}) == len(hulls)
    calls = {s.path: s.calls for s in find_activations(new)}
    assert calls["act"] == calls["shared_activation"] == 2
    assert new.get_layer("shared_activation").trainable_variables[0].shape == (2,)


def test_shared_nested_models_stay_shared():
    model = nested()
    new = replace_activations(model, "crrelu")
    core = new.get_layer("core")
    assert core in new.get_layer("stack").layers
    assert new.count_params() == model.count_params() + 3
    assert len(new.weights) == len(model.weights) + 3


def test_the_layer_shared_between_containers_is_copied_once():
    act = layers.ReLU(name="act")
    inner = keras.Sequential([keras.Input((4,)), act], name="inner")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(1)(inner(act(inputs) - 1)))
    new = replace_activations(model, "crrelu")
    assert new.get_layer("act") is new.get_layer("inner").get_layer("act")


@pytest.mark.parametrize(
    ("arguments", "paths"),
    [
        ({}, {"conv", "relu", "depthwise", "separable", "dense"}),
        ({"sites": "conv"}, {"conv"}),
        ({"sites": ["conv", "out"]}, {"conv", "out"}),
        ({"sites": "*e*"}, {"relu", "depthwise", "separable", "dense"}),
        ({"sites": lambda site: site.kind == "layer"}, {"relu"}),
        ({"match": "softmax", "sites": lambda site: True}, {"out"}),
        ({"match": ["relu", "tanh"], "sites": ["out", "relu"]}, {"relu"}),
    ],
)
def test_selection(arguments, paths):
    new = replace_activations(sequential(), "x*sigmoid(x)", **arguments)
    names = {s.path for s in find_activations(new) if s.activation == "mul(x,sigmoid(x))"}
    assert {name.removesuffix("_activation") for name in names} == paths


def test_sites_of_one_model_select_in_another():
    sites = [s for s in find_activations(sequential()) if s.kind == "fused"]
    new = replace_activations(sequential(), "tanh", sites=sites)
    assert [s.activation for s in find_activations(new)] == ["tanh", "relu", *["tanh"] * 4]


def test_gates_and_output_stay_and_swish_is_matched_by_either_name():
    inputs = keras.Input((4,))
    gate = layers.Dense(4, activation="sigmoid", name="gate")(
        layers.Dense(2, activation="swish", name="squeeze")(inputs)
    )
    outputs = layers.Dense(1, activation="sigmoid", name="out")(inputs * gate)
    model = keras.Model(inputs, outputs)
    for arguments in ({}, {"match": "swish"}, {"match": "silu"}):
        new = replace_activations(model, "tanh", **arguments)
        found = {s.path: s.activation for s in find_activations(new)}
        assert found == {"squeeze_activation": "tanh", "gate": "sigmoid", "out": "sigmoid"}


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"sites": "convv"}, ValueError, "no activation at 'convv'. Did you mean 'conv'?"),
        ({"sites": "z*"}, ValueError, r"no activation at 'z\*'"),
        ({"sites": []}, ValueError, "No activation is left to replace. The model has: 5 × relu"),
        ({"match": "gelu"}, ValueError, r"1 × softmax \(output\)"),
        ({"sites": 3}, TypeError, "Received: 3"),
        ({"activation": "rellu"}, ValueError, "Unknown activation 'rellu'"),
    ],
)
def test_bad_arguments(arguments, error, match):
    with pytest.raises(error, match=match):
        replace_activations(sequential(), **{"activation": "tanh", **arguments})


def test_what_is_out_of_reach_is_refused_with_the_reason():
    model = keras.Sequential([keras.Input((3, 2)), layers.GRU(2, name="gru")])
    with pytest.raises(ValueError, match=r"'gru/gru_cell.activation' can't .* own code of the GRU"):
        replace_activations(model, "relu", sites="gru/gru_cell.activation")
    with pytest.raises(ValueError, match=r"No activation is left .*out of reach"):
        replace_activations(model, "relu")


def test_a_factory_that_shares_its_layer_is_refused():
    layer = keras_actfn.layers.PWL()
    with pytest.raises(ValueError, match=r"gives every site a new layer.*'conv' and for 'relu'"):
        replace_activations(sequential(), lambda: layer)


def test_a_layer_that_cannot_be_copied_is_named():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, layers.ReLU()(Scale(lambda x: 2 * x)(inputs)))
    with pytest.raises(ValueError, match=r"(?s)'scale' of class Scale does not.* Define get_"):
        replace_activations(model, "tanh")


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch's modules")
def test_a_module_that_cannot_be_copied_is_named():
    import torch

    class Scripted(torch.nn.Module):
        def forward(self, x):
            return x

        def __deepcopy__(self, memo):
            raise TypeError("a script stays where it is")

    module = layers.TorchModuleWrapper(Scripted(), name="script")
    model = keras.Sequential([keras.Input((2,)), module, layers.ReLU()])
    with pytest.raises(ValueError, match=r"'script' of class .*it is\. Give it what can be copied"):
        replace_activations(model, "tanh")


def test_recurrent_masked_and_wrapped_layers_are_copied():
    inputs = keras.Input((5,), dtype="int32", name="words")
    x = layers.Embedding(9, 4, mask_zero=True, name="embedding")(inputs)
    x = layers.Dense(4, activation="relu", name="dense")(x)
    x = layers.Bidirectional(layers.LSTM(3), name="both")(x)
    model = keras.Model(inputs, layers.Dense(2, name="out")(x))
    words = np.array([[1, 2, 3, 0, 0], [4, 0, 0, 0, 0]])
    assert_same(model, replace_activations(model, "relu"), words)
