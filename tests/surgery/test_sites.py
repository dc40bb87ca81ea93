"""`find_activations`: what is found, where, its role, and why some can't be replaced."""

import keras
import pytest
from keras import layers, ops

import keras_actfn
from keras_actfn.surgery import find_activations


@keras.saving.register_keras_serializable(package="tests")
class Shrink(layers.Layer):
    """Applies an activation that only its code tells of."""

    def call(self, x):
        return ops.nn.relu(x) * 0.5


class Holder(layers.Layer):
    """Holds a function, an activation layer and a layer with a fused activation."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.act_function = keras.activations.gelu
        self.act_layer = layers.ReLU(name="inner_relu")
        self.dense = layers.Dense(3, activation="tanh", name="inner_dense")

    def call(self, x):
        return self.act_function(self.act_layer(self.dense(x)))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="own")
        self.dense = layers.Dense(2, activation="relu", name="dense")

    def call(self, x):
        return ops.sigmoid(self.dense(x))


def table(model):
    """The sites as (path, kind, activation, role), those out of reach with role None."""
    return [
        (s.path, s.kind, s.activation, s.role if s.replaceable else None)
        for s in find_activations(model)
    ]


def chain(*steps, shape=(4,)):
    inputs = x = keras.Input(shape, name="in")
    for step in steps:
        x = step(x)
    return keras.Model(inputs, x)


def test_sequential_with_every_replaceable_kind():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(2, 3, activation="relu", name="conv"),
            layers.Activation("swish", name="act"),
            layers.SeparableConv2D(2, 3, activation="elu", name="separable"),
            layers.DepthwiseConv2D(3, activation="selu", name="depthwise"),
            layers.Flatten(name="flat"),
            layers.EinsumDense("ab,bc->ac", output_shape=6, activation="mish", name="einsum"),
            layers.Dense(3, name="plain"),
            layers.Lambda(keras.activations.relu, name="lambda"),
            layers.Dense(3, activation="softmax", name="out"),
        ]
    )
    assert table(model) == [
        ("conv", "fused", "relu", "hidden"),
        ("act", "layer", "silu", "hidden"),
        ("separable", "fused", "elu", "hidden"),
        ("depthwise", "fused", "selu", "hidden"),
        ("einsum", "fused", "mish", "hidden"),
        ("lambda", "layer", "relu", "hidden"),
        ("out", "fused", "softmax", "output"),
    ]
    assert all(site.reason is None for site in find_activations(model))


@pytest.mark.parametrize("built", [True, False])
def test_sequential_before_and_after_it_is_built(built):
    model = keras.Sequential(
        [layers.Dense(3, activation="relu", name="a"), layers.Dense(2, "sigmoid", name="b")]
    )
    if built:
        model.build((None, 4))
    assert table(model) == [("a", "fused", "relu", "hidden"), ("b", "fused", "sigmoid", "output")]


LAYERS = [
    (layers.ReLU, {}, "relu"),
    (layers.ReLU, {"max_value": 6.0}, "relu6"),
    (layers.ReLU, {"max_value": 1.0}, "relu(max_value=1.0)"),
    (layers.ReLU, {"negative_slope": 0.5}, "relu(negative_slope=0.5)"),
    (layers.LeakyReLU, {}, "leaky_relu(negative_slope=0.3)"),
    (layers.LeakyReLU, {"negative_slope": 0.2}, "leaky_relu"),
    (layers.ELU, {}, "elu"),
    (layers.PReLU, {}, "prelu"),
    (layers.Activation, {"activation": "hard_swish"}, "hard_silu"),
    (layers.Activation, {"activation": "gelu"}, "gelu"),
    (keras_actfn.layers.PWL, {}, "PWL"),
    (keras_actfn.layers.ExpressionActivation, {"expression": "x*sigmoid(x)"}, "mul(x,sigmoid(x))"),
]


@pytest.mark.parametrize(("kind", "arguments", "name"), LAYERS)
def test_names_of_activation_layers(kind, arguments, name):
    model = chain(kind(name="act", **arguments), layers.Dense(1))
    assert table(model) == [("act", "layer", name, "hidden")]


OPERATIONS = [
    (ops.relu, "relu"),
    (ops.relu6, "relu6"),
    (ops.silu, "silu"),
    (ops.tanh, "tanh"),
    (ops.gelu, "gelu(approximate=True)"),
    (lambda x: ops.gelu(x, approximate=False), "gelu"),
    (lambda x: ops.leaky_relu(x, 0.1), "leaky_relu(negative_slope=0.1)"),
    (lambda x: ops.maximum(x, 0), "relu"),
    (lambda x: ops.maximum(0.0, x), "relu"),
    (keras.activations.relu, "relu"),
    (lambda x: keras.activations.relu(x, max_value=6), "relu6"),
    (keras.activations.elu, "elu"),
    (keras_actfn.expressions.parse("x*tanh(x)"), "mul(x,tanh(x))"),
]


@pytest.mark.parametrize(("function", "name"), OPERATIONS)
def test_names_of_bare_operations(function, name):
    (site,) = find_activations(chain(function, layers.Dense(1)))
    assert (site.kind, site.activation, site.role, site.replaceable) == ("op", name, "hidden", True)


@pytest.mark.parametrize("function", [lambda x: ops.maximum(x, 1), ops.exp, lambda x: x + 1])
def test_other_operations_are_no_activations(function):
    assert find_activations(chain(function, layers.Dense(1))) == []


def gated(x):
    """Squeeze-and-excitation: a swish that is hidden, a sigmoid that is a gate."""
    gate = layers.Dense(2, activation="swish", name="squeeze")(x)
    gate = layers.Dense(4, activation="sigmoid", name="excite")(gate)
    return layers.Multiply(name="scale")([x, gate])


def hard_gate(x):
    gate = layers.ReLU(6, name="clip")(x + 3.0) * (1 / 6)
    return layers.Multiply()([x, layers.Reshape((4,))(gate)])


ROLES = [
    ([gated, layers.Dense(1)], {"squeeze": "hidden", "excite": "gate"}),
    ([hard_gate, layers.Dense(1)], {"clip": "gate"}),
    ([layers.Activation("tanh", name="a"), layers.Dense(1)], {"a": "hidden"}),
    ([layers.Activation("tanh", name="a")], {"a": "output"}),
    ([layers.Activation("sigmoid", name="a"), layers.Reshape((2, 2))], {"a": "output"}),
    ([layers.Activation("softmax", name="a"), layers.Dense(1)], {"a": "mixing"}),
    ([layers.Activation("linear", name="a"), layers.Dense(1)], {"a": "linear"}),
    ([layers.Activation("relu", name="a")], {"a": "hidden"}),
    ([keras_actfn.layers.PWL(name="a")], {"a": "hidden"}),
    ([layers.Dense(2, "tanh", name="a"), lambda x: [x, layers.Dense(1)(x)]], {"a": "hidden"}),
    ([lambda x: x * layers.Activation("sigmoid", name="a")(x)], {"a": "gate"}),
    ([lambda x: x * layers.Activation("relu", name="a")(x)], {"a": "hidden"}),
]


@pytest.mark.parametrize(("steps", "roles"), ROLES)
def test_roles(steps, roles):
    assert {s.path: s.role for s in find_activations(chain(*steps))} == roles


def test_roles_through_nested_models():
    inner_in = keras.Input((4,), name="inner_in")
    first = layers.Dense(4, activation="sigmoid", name="first")(inner_in)
    second = layers.Dense(3, activation="softmax", name="second")(first)
    inner = keras.Model(inner_in, [first, second], name="inner")
    outer_in = keras.Input((4,), name="outer_in")
    gate, prediction = inner(outer_in)
    scaled = layers.Dense(1, name="head")(outer_in * gate)
    model = keras.Model(outer_in, [scaled, prediction])
    roles = {s.path: s.role for s in find_activations(model)}
    assert roles == {"inner/first": "hidden", "inner/second": "output"}  # first also feeds second
    model = keras.Model(outer_in, scaled)
    assert {s.path: s.role for s in find_activations(model)}["inner/second"] == "mixing"


def test_shared_layers_are_one_site():
    act = layers.ReLU(name="act")
    dense = layers.Dense(4, activation="tanh", name="twice")
    model = chain(act, dense, act, dense, act, layers.Dense(1))
    sites = find_activations(model)
    assert [(s.path, s.calls) for s in sites] == [("act", 3), ("twice", 2)]


def test_a_nested_model_called_twice_is_listed_once():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, "relu", name="d")], name="inner")
    assert table(chain(inner, inner)) == [("inner/d", "fused", "relu", "hidden")]


OUT_OF_REACH = [
    (
        layers.LSTM(2, name="lstm"),
        (3, 4),
        {"lstm/lstm_cell.activation", "lstm/lstm_cell.recurrent_activation"},
    ),
    (
        layers.Bidirectional(layers.SimpleRNN(2, name="rnn"), name="both"),
        (3, 4),
        {
            "both/forward_rnn/simple_rnn_cell.activation",
            "both/backward_rnn/simple_rnn_cell.activation",
        },
    ),
    (
        layers.TimeDistributed(layers.Dense(2, activation="relu", name="dense"), name="each"),
        (3, 4),
        {"each/dense"},
    ),
    (Shrink(name="shrink"), (4,), {"shrink.call"}),
    (
        Holder(name="holder"),
        (4,),
        {"holder.call", "holder.act_function", "holder/inner_relu", "holder/inner_dense"},
    ),
    (layers.Lambda(lambda x: ops.relu(x), name="own"), (4,), {"own.call"}),
]


@pytest.mark.parametrize(("layer", "shape", "paths"), OUT_OF_REACH)
def test_what_is_out_of_reach_is_listed_with_its_reason(layer, shape, paths):
    sites = find_activations(chain(layer, shape=shape))
    assert {s.path for s in sites} == paths
    for site in sites:
        assert not site.replaceable and not site.replaced_by_default
        assert f"'{layer.name}'" in site.reason


def test_the_softmax_of_attention_is_listed():
    x = keras.Input((3, 4))
    y = layers.MultiHeadAttention(1, 2, name="mha")(x, x)
    (site,) = find_activations(keras.Model(x, y))
    assert (site.activation, site.replaceable) == ("softmax(axis=(3,))", False)
    assert "'mha'" in site.reason


def test_code_tells_of_its_activations():
    (site,) = find_activations(chain(Shrink(name="shrink")))
    assert site.activation == "relu"
    assert "its code names relu" in site.reason


def test_subclassed_model():
    model = Subclassed()
    model(ops.ones((1, 3)))
    sites = find_activations(model)
    assert [(s.path, s.activation) for s in sites] == [("call", "sigmoid"), ("dense", "relu")]
    assert all("subclassed model" in s.reason for s in sites)


def test_paths_are_unique():
    layer = Holder(name="holder")
    layer.extra = layers.ReLU(name="inner_relu")
    paths = [s.path for s in find_activations(chain(layer))]
    assert len(set(paths)) == len(paths)
    assert "holder/inner_relu#2" in paths


def test_sites_are_values():
    model = chain(layers.ReLU(name="a"), layers.Dense(1))
    assert find_activations(model) == find_activations(keras.models.clone_model(model))
    with pytest.raises(AttributeError):
        find_activations(model)[0].path = "b"


def test_no_model():
    with pytest.raises(TypeError, match=r"take a keras.Model. Received: <Dense"):
        find_activations(layers.Dense(1))
