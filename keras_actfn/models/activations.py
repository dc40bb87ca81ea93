"""What an activation is, what it is called, and what it computes: questions with one answer.

An activation is met in four forms: a *layer* that does nothing else, a *fused* one, which a
layer applies to what it has computed (`Dense(activation=...)`), a bare *operation* of a
functional graph (`keras.ops.relu(x)`), and a *function* as Keras takes one. Every function of
this module that asks about "an activation" takes the first, the third and the fourth form;
`fused_activation` gives the second.

Keras's own are in the table `KERAS_ACTIVATIONS`. This package's layers are known by their base
classes. A layer of the user's is known as an activation if it derives from
`keras_actfn.layers.LearnableActivation` or from one of Keras's activation layers, or has a name
in `keras_actfn.activation`'s grammar.
"""

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

import keras

from .._activation import LAYERS
from .._keras_activations import (
    KERAS_ACTIVATIONS,
    KerasActivation,
    keras_activation,
    keras_layer,
    keras_operation,
)
from ..expressions import Expression
from ..layers import ExpressionActivation, LearnableActivation
from . import graph

__all__ = [
    "FUSED_LAYERS",
    "applied_by",
    "base_name",
    "elementwise_function",
    "function_name",
    "fused_activation",
    "fused_name",
    "is_activation_layer",
    "is_bounded",
    "is_elementwise",
    "is_feature",
    "is_learned",
    "lambda_name",
    "layer_name",
    "name_of",
    "operation_name",
    "splits",
    "takes_activation",
]

#: Layers whose last step is their `activation` argument.
FUSED_LAYERS = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)

#: Names that a Lambda may not be known by; `threshold` is another function in much user code.
_AMBIGUOUS = ("linear", "threshold")

#: Libraries whose functions of Keras's names compute what Keras's do.
_LIBRARIES = ("jax", "tensorflow", "torch")


def is_activation_layer(layer: object) -> bool:
    """Whether `layer` is a layer that does nothing but apply an activation."""
    if not isinstance(layer, keras.layers.Layer):
        return False
    if isinstance(layer, keras.layers.Lambda):
        return lambda_name(layer) is not None
    own = (keras.layers.Activation, ExpressionActivation, LearnableActivation, *_registered())
    return isinstance(layer, own) or keras_layer(layer) is not None


def is_learned(layer: object) -> bool:
    """Whether `layer` is an activation layer with parameters that gradient descent learns."""
    if isinstance(layer, (LearnableActivation, keras.layers.PReLU)):
        return True
    return is_activation_layer(layer) and bool(getattr(layer, "weights", ()))


def is_elementwise(activation: object) -> bool | None:
    """Whether every output of an activation is a function of one input number.

    Args:
        activation: A name, function, layer, or operation of a graph.

    Returns:
        True or False where it is known, None for a function or layer of the user's.
    """
    if isinstance(activation, (Expression, ExpressionActivation, LearnableActivation)):
        return True
    row = _row(activation)
    if row is not None:
        return row.elementwise
    function = _function_inside(activation)
    if function is not None:
        return is_elementwise(function)
    return True if _is_expression_operation(activation) else None


def is_bounded(name: str) -> bool:
    """Whether the values of the activation of this name are bounded, as a gate's are."""
    row = keras_activation(base_name(name))
    return row is not None and (row.bounded or (row.name == "relu" and "max_value" in name))


def is_feature(name: str) -> bool:
    """Whether the activation of this name leaves features, not predictions, at a model's output."""
    row = KERAS_ACTIVATIONS.get(base_name(name)) or keras_activation(base_name(name))
    return row.feature if row is not None else name in _learned_names()


def elementwise_function(activation: object) -> Callable | None:
    """The function of one number that an activation without parameters applies.

    Args:
        activation: A function or layer.

    Returns:
        A function of tensors, the same object for the same function, or an `Expression`; None
        where the activation is learned, combines entries, or is not known.
    """
    if isinstance(activation, Expression):
        return activation
    if isinstance(activation, ExpressionActivation):
        return activation.expression
    if isinstance(activation, functools.partial):
        if activation.args or elementwise_function(activation.func) is None:
            return None
        return _fixed(activation.func, tuple(sorted(activation.keywords.items())))
    inside = _function_inside(activation)
    if inside is not None:
        return elementwise_function(inside)
    row = _row(activation)
    if row is None or not row.elementwise or row.function is None:
        return None
    if isinstance(activation, keras.layers.Layer):
        given = _arguments(row, activation)
        return _fixed(row.function, tuple(sorted(given.items())))
    if not callable(activation) or row.needs_arguments:
        return None
    return activation if _defaults(activation, row) else row.function


def name_of(activation: object) -> str:
    """The name by which an activation of any form but an operation is shown."""
    if isinstance(activation, keras.layers.Layer):
        return layer_name(activation) or type(activation).__name__
    return function_name(activation)


def base_name(name: str) -> str:
    """The name without arguments: `"gelu"` of `"gelu(approximate=True)"`."""
    return name.partition("(")[0]


def function_name(function: object) -> str:
    """The name of an activation function, of whatever type Keras accepts for one.

    Keras's functions have their name in `keras.activations`, with the arguments that differ
    from its defaults; a function of the user's that is called like one of Keras's has its
    module before its name.
    """
    if isinstance(function, keras.layers.Layer):
        return name_of(function)
    if isinstance(function, functools.partial):
        return _with_arguments(function_name(function.func), function.keywords)
    if isinstance(function, Expression):
        return str(function)
    row = keras_activation(function) if callable(function) else None
    if row is not None:
        return _with_arguments(row.name, _defaults(function, row))
    name = getattr(function, "__name__", None) or type(function).__name__
    row = keras_activation(name)
    if row is None:
        return name
    module = getattr(function, "__module__", None) or ""
    if module.partition(".")[0] in _LIBRARIES:
        return row.name
    return f"{module}.{name}" if module else f"own {name}"


def layer_name(layer: object) -> str | None:
    """The activation that an activation layer applies; None for any other layer."""
    if isinstance(layer, keras.layers.Lambda):
        return lambda_name(layer)
    if not is_activation_layer(layer):
        return None
    if isinstance(layer, keras.layers.Activation) and _calls_kerass(layer):
        return function_name(layer.activation)
    if isinstance(layer, ExpressionActivation):
        return str(layer.expression)
    row = _row(layer)
    if row is not None:
        return _named(row, _arguments(row, layer))
    return type(layer).__name__


def lambda_name(layer: keras.layers.Lambda) -> str | None:
    """The Keras activation that a Lambda layer applies, or None if it applies another function."""
    if layer.arguments:
        return None
    row = keras_activation(layer.function)
    if row is None or row.name in _AMBIGUOUS or not row.operations:
        return None
    return function_name(layer.function)


def fused_activation(layer: object) -> Callable | None:
    """What a dense or convolutional layer applies at the end: a function or a layer.

    Returns:
        None where the layer is no such layer or its activation is the identity.
    """
    function = getattr(layer, "activation", None)
    if not isinstance(layer, FUSED_LAYERS) or function is None:
        return None
    return None if function_name(function) == "linear" else function


def fused_name(layer: object) -> str | None:
    """The name of `fused_activation(layer)`; None where there is none."""
    function = fused_activation(layer)
    return None if function is None else function_name(function)


def takes_activation(layer: object) -> bool:
    """Whether a layer has an activation other than the identity as its `activation` argument.

    Activation layers do not count, nor do recurrent layers and their cells: their function
    bounds what is fed back, and fixes which kernel computes them.
    """
    if not isinstance(layer, keras.layers.Layer) or is_activation_layer(layer):
        return False
    if isinstance(layer, keras.layers.RNN) or hasattr(layer, "state_size"):
        return False
    function = getattr(layer, "activation", None)
    if not callable(function) or function_name(function) == "linear":
        return False
    return "activation" in inspect.signature(type(layer).__init__).parameters


def splits(layer: keras.layers.Layer) -> bool:
    """Whether a layer's last step is its activation, so that another layer can take it over."""
    return isinstance(layer, FUSED_LAYERS) and _calls_kerass(layer)


def operation_name(operation: keras.Operation, node: Any) -> str | None:
    """The activation that a bare operation of a graph is, or None.

    Args:
        operation: The operation.
        node: One of its calls.
    """
    if _is_expression_operation(operation):
        return operation.expression
    if type(operation).__name__ == "Maximum" and len(node.input_tensors) == 1:
        others = [
            value for value in node.arguments.args if not isinstance(value, keras.KerasTensor)
        ]
        is_zero = len(others) == 1 and isinstance(others[0], (int, float)) and others[0] == 0
        return "relu" if is_zero and type(operation).__module__.startswith("keras.") else None
    row = keras_operation(operation)
    return None if row is None else _named(row, _arguments(row, operation))


def applied_by(operation: keras.Operation) -> Callable:
    """The function of one tensor that a bare operation of a graph applies in its first call."""
    arguments = graph.calls_of(operation)[0].arguments

    def apply(x):
        args, kwargs = keras.tree.map_structure(
            lambda value: x if isinstance(value, keras.KerasTensor) else value,
            (arguments.args, arguments.kwargs),
        )
        return operation(*args, **kwargs)

    return apply


def _registered():
    """Classes of the user's that the grammar of `keras_actfn.activation` has a name for."""
    return tuple(kind for kind in LAYERS.values() if isinstance(kind, type))


def _row(activation: Any) -> KerasActivation | None:
    """Keras's row of an activation of any form, where it computes what Keras's class computes."""
    if isinstance(activation, keras.layers.Layer):
        return keras_layer(activation) if _calls_kerass(activation) else None
    if isinstance(activation, keras.Operation):
        return keras_operation(activation)
    return keras_activation(activation)


def _function_inside(activation):
    """The function that an `Activation` or `Lambda` layer or a partial applies, or None."""
    if isinstance(activation, functools.partial):
        return activation.func
    if isinstance(activation, keras.layers.Activation) and _calls_kerass(activation):
        return activation.activation
    if isinstance(activation, keras.layers.Lambda) and lambda_name(activation) is not None:
        return activation.function
    return None


def _calls_kerass(layer):
    return type(layer).call.__module__.startswith("keras.")


def _is_expression_operation(operation):
    kind = type(operation)
    return isinstance(operation, keras.Operation) and (
        kind.__module__.startswith("keras_actfn.expressions")
    )


def _learned_names():
    kinds, names = [LearnableActivation, keras.layers.PReLU, *_registered()], set()
    while kinds:
        kind = kinds.pop()
        names.add(kind.__name__)
        kinds += kind.__subclasses__()
    return names


def _arguments(row, owner):
    """The arguments of a layer or operation that are not the defaults of the function."""
    values = {key: _plain(getattr(owner, key, value)) for key, value in row.arguments.items()}
    return {key: value for key, value in values.items() if value != row.arguments[key]}


def _defaults(function, row):
    """Arguments of a function whose defaults are not those of `keras.activations`."""
    if function is row.function:
        return {}
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
    found = {key: parameters[key].default for key in row.arguments if key in parameters}
    return {
        key: value
        for key, value in found.items()
        if value is not inspect.Parameter.empty and value != row.arguments[key]
    }


@functools.cache
def _fixed(function, arguments):
    """`function` with these arguments; one object for each, which compiled code is kept for."""
    return functools.partial(function, **dict(arguments)) if arguments else function


def _named(row, arguments):
    """The name of a row with the arguments that are not the defaults."""
    if row.name == "relu" and arguments == {"max_value": 6}:
        return "relu6"
    return _with_arguments(row.name, arguments)


def _with_arguments(name, arguments):
    if not arguments:
        return name
    listed = ",".join(f"{key}={_plain(value)}" for key, value in arguments.items())
    return f"{name}({listed})" if "(" not in name else f"{name[:-1]},{listed})"


def _plain(value):
    """A number as Python's own, so that names look the same on every backend."""
    if value is None or isinstance(value, (bool, int, float, str, list, tuple)):
        return value
    if isinstance(value, types.EllipsisType):
        return value
    return keras.ops.convert_to_numpy(value).item()
