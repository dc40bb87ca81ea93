"""The one table of activations: complete, right about each, and one answer for every form."""

import functools
import inspect

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_actfn
from keras_actfn._keras_activations import (
    KERAS_ACTIVATIONS,
    elementwise_names,
    keras_activation,
    keras_layer,
    keras_operation,
)
from keras_actfn.models import activations, graph
from keras_actfn.models.learned import learned_layers

HELPERS = {"get", "serialize", "deserialize"}
KERAS_NAMES = [n for n in dir(keras.activations) if not n.startswith("_") and n not in HELPERS]
#: Operations of `keras.ops.nn` that are no activations.
OTHER_OPERATIONS = set(
    """AdaptiveAveragePool AdaptiveMaxPool AveragePool BatchNorm BinaryCrossentropy CTCDecode
    CTCLoss CategoricalCrossentropy Conv ConvTranspose DepthToSpace DepthwiseConv
    DotProductAttention Fold LayerNorm MaxPool Moments MultiHot Normalize OneHot PSNR Polar RMSNorm
    SeparableConv SpaceToDepth SparseCategoricalCrossentropy Unfold""".split()  # noqa: SIM905
)
REQUIRED = {"threshold": (0.5, -1.0)}
X = np.linspace(-60, 60, 48, dtype="float32").reshape(4, 12)


def values(name, x=X):
    row = KERAS_ACTIVATIONS[name]
    function = row.function or layers.PReLU(alpha_initializer="ones")
    return ops.convert_to_numpy(function(ops.convert_to_tensor(x), *REQUIRED.get(name, ())))


def classes_of(module_end):
    """Classes that Keras defines in modules whose name ends so, and exports from `keras.layers`."""
    return [
        kind
        for _, kind in inspect.getmembers(keras.layers, inspect.isclass)
        if module_end in kind.__module__
    ]


@pytest.mark.once
@pytest.mark.parametrize("name", KERAS_NAMES)
def test_every_activation_of_keras_has_a_row(name):
    row = keras_activation(name)
    assert row is not None, f"keras.activations.{name} is new: add it to KERAS_ACTIVATIONS"
    function = getattr(keras.activations, name)
    assert row.function is function and keras_activation(function) is row
    parameters = list(inspect.signature(function).parameters.values())[1:]
    assert dict(row.arguments) == {
        p.name: ... if p.default is p.empty else p.default for p in parameters
    }


@pytest.mark.once
def test_every_row_is_an_activation_of_keras():
    named = {name for row in KERAS_ACTIVATIONS.values() for name in (row.name, *row.aliases)}
    assert named - {"prelu"} == set(KERAS_NAMES)
    assert all(row.name == name for name, row in KERAS_ACTIVATIONS.items())


@pytest.mark.once
def test_every_activation_layer_of_keras_has_a_row():
    kinds = classes_of(".layers.activations")
    assert len(kinds) >= 6
    rows = {row.layer for row in KERAS_ACTIVATIONS.values() if row.layer is not None}
    assert set(kinds) - {layers.Activation} == rows


@pytest.mark.once
def test_every_operation_of_keras_is_an_activation_or_known_to_be_none():
    module = __import__("keras.src.ops.nn", fromlist=["nn"])
    found = {
        name
        for name, kind in vars(module).items()
        if inspect.isclass(kind)
        and issubclass(kind, keras.Operation)
        and kind.__module__ == module.__name__
    }
    known = {name for row in KERAS_ACTIVATIONS.values() for name in row.operations}
    assert found - known == OTHER_OPERATIONS, "an operation is new in Keras: sort it in"
    assert known - found == {"Mish", "ReLU", "Tanh"}  # of other modules of Keras


#: Functions of a graph: Keras's own of these names in `keras.activations` take no symbolic tensors.
IN_GRAPHS = [
    (module, name)
    for module in ("activations", "ops")
    for name in KERAS_NAMES
    if hasattr(getattr(keras, module), name)
    and name not in ("exponential", "linear")  # no operations of their own
    and (module, name) not in {("activations", n) for n in ("hard_silu", "hard_swish", "sparsemax")}
    and (module, name) != ("activations", "mish")
]


@pytest.mark.once
@pytest.mark.parametrize(("module", "name"), IN_GRAPHS)
def test_every_function_is_recognised_in_a_graph(module, name):
    function = getattr(getattr(keras, module), name)
    row = keras_activation(name)
    inputs = keras.Input((12,))
    model = keras.Model(inputs, function(inputs, *REQUIRED.get(name, ())))
    node = next(n for n in graph.nodes(model) if n.input_tensors)
    assert keras_operation(node.operation) is row
    shown = activations.operation_name(node.operation, node)
    assert activations.base_name(shown) == row.name
    if not row.needs_arguments:
        assert shown == activations.function_name(function)


@pytest.mark.once
@pytest.mark.parametrize("name", KERAS_ACTIVATIONS)
def test_elementwise_is_what_moves_with_its_input(name):
    order = np.random.default_rng(0).permutation(X.size)
    y = values(name)
    same = y.shape == X.shape and np.allclose(
        values(name, X.reshape(-1)[order].reshape(X.shape)), y.reshape(-1)[order].reshape(y.shape)
    )
    assert same == KERAS_ACTIVATIONS[name].elementwise == activations.is_elementwise(name)


@pytest.mark.once
@pytest.mark.parametrize("name", [n for n, row in KERAS_ACTIVATIONS.items() if row.elementwise])
def test_bounded_is_what_stays_within_bounds(name):
    assert (np.abs(values(name)).max() <= 6) == activations.is_bounded(name)


@pytest.mark.once
def test_elementwise_names():
    found = elementwise_names()
    assert {"swish", "silu", "squareplus", "exponential", "linear", "hard_sigmoid"} <= set(found)
    assert not {"softmax", "glu", "sparsemax", "log_softmax", "threshold", "prelu"} & set(found)


def half_elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)) / 2)


def own(x):
    return 2 * x


def relu(x):
    return x - 1


class OwnActivation(keras_actfn.layers.LearnableActivation):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.create_shared_parameters()

    def build(self, input_shape):
        super().build(input_shape)
        self.add_parameter("slope", None, "ones")

    def activate(self, x, slope):
        return slope * x


class OwnReLU(layers.ReLU):
    """Called like Keras's, but with code of its own."""

    def call(self, inputs):
        return ops.sin(inputs)


#: form, is it an activation layer, learned, elementwise, name
FORMS = [
    (lambda: layers.Activation("hard_swish"), True, False, True, "hard_silu"),
    (lambda: layers.Activation("softmax"), True, False, False, "softmax"),
    (lambda: layers.Activation(own), True, False, None, "own"),
    (lambda: layers.Activation(relu), True, False, None, f"{__name__}.relu"),
    (lambda: layers.ReLU(max_value=6), True, False, True, "relu6"),
    (lambda: layers.LeakyReLU(), True, False, True, "leaky_relu(negative_slope=0.3)"),
    (lambda: layers.Softmax(), True, False, False, "softmax"),
    (lambda: layers.PReLU(), True, True, True, "prelu"),
    (lambda: OwnReLU(), True, False, None, "OwnReLU"),
    (lambda: OwnActivation(), True, True, True, "OwnActivation"),
    (lambda: keras_actfn.activation("aff(tanh)"), True, True, True, "AffineHullActivation"),
    (lambda: keras_actfn.activation("x*tanh(x)"), True, False, True, "mul(x,tanh(x))"),
    (lambda: layers.Lambda(keras.activations.relu), True, False, True, "relu"),
    (lambda: layers.Lambda(own), False, False, None, None),
    (lambda: layers.Dense(3, activation="relu"), False, False, None, None),
    (lambda: layers.Dropout(0.5), False, False, None, None),
]  # fmt: skip


@pytest.mark.once
@pytest.mark.parametrize(("make", "is_one", "learned", "elementwise", "name"), FORMS)
def test_layers(make, is_one, learned, elementwise, name):
    layer = make()
    assert activations.is_activation_layer(layer) is is_one
    assert activations.is_learned(layer) is learned
    assert activations.is_elementwise(layer) is elementwise
    assert activations.layer_name(layer) == name


@pytest.mark.once
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (keras.activations.swish, "silu"),
        (keras.ops.gelu, "gelu(approximate=True)"),
        (keras.activations.gelu, "gelu"),
        (functools.partial(keras.activations.gelu, approximate=True), "gelu(approximate=True)"),
        (keras_actfn.expressions.parse("x*x"), "mul(x,x)"),
        (own, "own"),
        (relu, f"{__name__}.relu"),
        (layers.ELU(alpha=0.5), "elu(alpha=0.5)"),
        (lambda x: x, "<lambda>"),
    ],
)
def test_function_names(function, name):
    assert activations.function_name(function) == name


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (layers.ReLU(max_value=6.0), lambda x: np.clip(x, 0, 6)),
        (layers.LeakyReLU(), lambda x: np.where(x > 0, x, 0.3 * x)),
        (layers.Activation("softsign"), lambda x: x / (1 + np.abs(x))),
        (functools.partial(keras.activations.elu, alpha=0.5), half_elu),
        (keras.ops.relu6, lambda x: np.clip(x, 0, 6)),
        (keras_actfn.activation("x*x"), np.square),
    ],
)  # fmt: skip
def test_elementwise_functions(activation, expected):
    function = activations.elementwise_function(activation)
    assert activations.elementwise_function(activation) is function
    np.testing.assert_allclose(
        ops.convert_to_numpy(function(ops.convert_to_tensor(X))), expected(X), rtol=1e-5, atol=1e-6
    )


@pytest.mark.once
@pytest.mark.parametrize(
    "activation",
    [
        own,
        keras.activations.softmax,
        keras.activations.threshold,
        layers.PReLU(),
        layers.Activation(own),
        keras_actfn.activation("pwl"),
        layers.Dropout(0.5),
        OwnReLU(),
        "relu",
    ],
)
def test_no_elementwise_function(activation):
    assert activations.elementwise_function(activation) is None


@pytest.mark.once
def test_fused_activations():
    pwl = keras_actfn.activation("pwl")
    dense = layers.Dense(3, activation=pwl)
    assert activations.fused_activation(dense) is pwl
    assert activations.fused_name(dense) == "PWL"
    assert activations.fused_activation(layers.Dense(3, "linear")) is None
    assert activations.fused_activation(layers.LSTM(3)) is None


@pytest.mark.once
def test_learned_layers_wherever_they_are():
    one, other = keras_actfn.activation("pwl"), keras_actfn.activation("crrelu")
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, activation=one), layers.PReLU()])
    model = keras.Sequential([inner, layers.Reshape((4, 1)), layers.LSTM(3, other), layers.ReLU()])
    found = learned_layers(model)
    assert len(found) == 3 and {id(layer) for layer in found} == {
        id(one),
        id(other),
        id(inner.layers[1]),
    }


@pytest.mark.once
def test_a_class_with_a_name_in_the_grammar_is_an_activation(monkeypatch):
    class Slope(layers.Layer):
        def build(self, input_shape):
            self.slope = self.add_weight(shape=(), initializer="ones")

        def call(self, x):
            return self.slope * x

    layer = Slope()
    layer.build((None, 3))
    assert not activations.is_activation_layer(layer)
    import sys

    monkeypatch.setitem(sys.modules["keras_actfn._activation"].LAYERS, "slope", Slope)
    assert activations.is_learned(layer) and activations.layer_name(layer) == "Slope"


@pytest.mark.once
@pytest.mark.parametrize("name", KERAS_ACTIVATIONS)
def test_rows_with_a_layer(name):
    row = KERAS_ACTIVATIONS[name]
    if row.layer is None:
        return
    layer = row.layer()
    assert (
        keras_layer(layer) is row and activations.base_name(activations.layer_name(layer)) == name
    )
    x = ops.convert_to_tensor(X)
    arguments = {key: getattr(layer, key, value) for key, value in row.arguments.items()}
    if row.function is not None:
        np.testing.assert_allclose(
            ops.convert_to_numpy(layer(x)), ops.convert_to_numpy(row.function(x, **arguments))
        )
