"""Keras's activations: the one table of their names, arguments, classes and kinds.

Every part of the package that must know what a Keras activation is reads this table. A test
compares it with everything that Keras has, so that an activation that is new in Keras has no
place until it has a row here. What is known of activations in general, this package's and
the user's included, is in `models.activations`.
"""

import dataclasses
from collections.abc import Callable, Mapping

import keras


@dataclasses.dataclass(frozen=True)
class KerasActivation:
    """One activation of Keras.

    Attributes:
        name: Its name in `keras.activations`; `prelu` exists as a layer only.
        arguments: The arguments of the function in `keras.activations` with their defaults;
            `...` where there is none.
        elementwise: Whether every output is a function of one input number.
        bounded: Whether its values are bounded; multiplied by another tensor it is a gate.
        feature: Whether its values are features, not predictions, at a model's output.
        operations: Names of the classes that it is in a functional graph. Empty where no
            operation is this activation alone: `keras.ops.exp` is arithmetic as well.
        layer: The Keras layer that computes it, if there is one of its own.
        aliases: Its other names in `keras.activations`.
    """

    name: str
    arguments: Mapping[str, object] = dataclasses.field(default_factory=dict)
    elementwise: bool = True
    bounded: bool = False
    feature: bool = False
    operations: tuple[str, ...] = ()
    layer: type | None = None
    aliases: tuple[str, ...] = ()

    @property
    def function(self) -> Callable | None:
        """The function in `keras.activations`; None for `prelu`."""
        return getattr(keras.activations, self.name, None)

    @property
    def needs_arguments(self) -> bool:
        """Whether its name alone is not yet a function."""
        return self.function is None or ... in self.arguments.values()


def _table(*rows):
    return {row.name: row for row in rows}


_Row = KerasActivation

#: Every activation of Keras by its name.
KERAS_ACTIVATIONS = _table(
    _Row("celu", {"alpha": 1.0}, feature=True, operations=("Celu",)),
    _Row("elu", {"alpha": 1.0}, feature=True, operations=("Elu",), layer=keras.layers.ELU),
    _Row("exponential"),
    _Row("gelu", {"approximate": False}, feature=True, operations=("Gelu",)),
    _Row("glu", {"axis": -1}, elementwise=False, operations=("Glu",)),
    _Row("hard_shrink", {"threshold": 0.5}, operations=("HardShrink",)),
    _Row("hard_sigmoid", bounded=True, operations=("HardSigmoid",)),
    _Row("hard_silu", feature=True, operations=("HardSilu",), aliases=("hard_swish",)),
    _Row("hard_tanh", bounded=True, operations=("HardTanh",)),
    _Row(
        "leaky_relu",
        {"negative_slope": 0.2},
        feature=True,
        operations=("LeakyRelu",),
        layer=keras.layers.LeakyReLU,
    ),
    _Row("linear"),
    _Row("log_sigmoid", operations=("LogSigmoid",)),
    _Row("log_softmax", {"axis": -1}, elementwise=False, operations=("LogSoftmax",)),
    _Row("mish", feature=True, operations=("Mish",)),
    _Row("prelu", feature=True, layer=keras.layers.PReLU),
    _Row(
        "relu",
        {"negative_slope": 0.0, "max_value": None, "threshold": 0.0},
        feature=True,
        operations=("ReLU", "Relu"),
        layer=keras.layers.ReLU,
    ),
    _Row("relu6", bounded=True, feature=True, operations=("Relu6",)),
    _Row("selu", feature=True, operations=("Selu",)),
    _Row("sigmoid", bounded=True, operations=("Sigmoid",)),
    _Row("silu", feature=True, operations=("Silu",), aliases=("swish",)),
    _Row("soft_shrink", {"threshold": 0.5}, operations=("SoftShrink",)),
    _Row(
        "softmax",
        {"axis": -1},
        elementwise=False,
        operations=("Softmax",),
        layer=keras.layers.Softmax,
    ),
    _Row("softplus", operations=("Softplus",)),
    _Row("softsign", bounded=True, operations=("Softsign",)),
    _Row("sparse_plus", feature=True, operations=("SparsePlus",)),
    _Row("sparse_sigmoid", bounded=True, operations=("SparseSigmoid",)),
    _Row("sparsemax", {"axis": -1}, elementwise=False, operations=("Sparsemax",)),
    _Row("squareplus", {"b": 4}, feature=True, operations=("Squareplus",)),
    _Row("tanh", bounded=True, operations=("Tanh",)),
    _Row("tanh_shrink", operations=("TanhShrink",)),
    _Row("threshold", {"threshold": ..., "default_value": ...}, operations=("Threshold",)),
)

_BY_NAME = {name: row for row in KERAS_ACTIVATIONS.values() for name in (row.name, *row.aliases)}
_BY_OPERATION = {
    operation: row for row in KERAS_ACTIVATIONS.values() for operation in row.operations
}


def keras_activation(activation: object) -> KerasActivation | None:
    """The row of an activation of Keras; None for anything else.

    Args:
        activation: A name or alias, or a function of `keras.activations` or `keras.ops`.
    """
    if isinstance(activation, str):
        return _BY_NAME.get(activation)
    name = getattr(activation, "__name__", None)
    row = _BY_NAME.get(name) if isinstance(name, str) else None
    if row is None and activation is keras.ops.exp:
        return KERAS_ACTIVATIONS["exponential"]
    if row is None or all(
        getattr(module, str(name), None) is not activation
        for module in (keras.activations, keras.ops)
    ):
        return None
    return row


def keras_operation(operation: object) -> KerasActivation | None:
    """The row of an operation of Keras in a functional graph; None if it is no activation."""
    kind = type(operation)
    if not kind.__module__.startswith("keras."):
        return None
    return _BY_OPERATION.get(kind.__name__)


def keras_layer(layer: object) -> KerasActivation | None:
    """The row of a layer that is one activation of Keras, such as `keras.layers.ELU`."""
    rows = (row for row in KERAS_ACTIVATIONS.values() if row.layer is not None)
    return next((row for row in rows if isinstance(layer, row.layer)), None)


def elementwise_names() -> list[str]:
    """The names in `keras.activations`, aliases too, that alone are functions of one number."""
    return sorted(
        name for name, row in _BY_NAME.items() if row.elementwise and not row.needs_arguments
    )
