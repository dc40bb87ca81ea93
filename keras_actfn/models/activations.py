"""What counts as an activation, and the name it is shown by."""

import functools
import types

import keras

from ..expressions import Expression
from ..layers import ExpressionActivation, LearnableActivation

#: Layers that do nothing but apply an activation.
ACTIVATION_LAYERS = (
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ELU,
    keras.layers.Softmax,
    ExpressionActivation,
    LearnableActivation,
)

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

#: Activations that are learned by gradient descent.
LEARNED_LAYERS = (LearnableActivation, keras.layers.PReLU)

#: Functions that combine entries: no elementwise function stands in for them.
MIXING = ("softmax", "log_softmax", "sparsemax", "glu")

#: Bounded functions: multiplied by another tensor they are gates.
BOUNDED = ("sigmoid", "hard_sigmoid", "sparse_sigmoid", "tanh", "hard_tanh", "softsign", "relu6")

#: Functions that are features even where they are a model's output.
RECTIFIERS = (
    "celu",
    "elu",
    "gelu",
    "hard_silu",
    "leaky_relu",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "silu",
    "sparse_plus",
    "squareplus",
)

#: Operations of a functional graph that are activations: name, and the arguments' defaults.
_OPERATIONS = {
    "Celu": ("celu", {"alpha": 1.0}),
    "Elu": ("elu", {"alpha": 1.0}),
    "Gelu": ("gelu", {"approximate": False}),
    "Glu": ("glu", {"axis": -1}),
    "HardShrink": ("hard_shrink", {"threshold": 0.5}),
    "HardSigmoid": ("hard_sigmoid", {}),
    "HardSilu": ("hard_silu", {}),
    "HardTanh": ("hard_tanh", {}),
    "LeakyRelu": ("leaky_relu", {"negative_slope": 0.2}),
    "LogSigmoid": ("log_sigmoid", {}),
    "LogSoftmax": ("log_softmax", {"axis": -1}),
    "Mish": ("mish", {}),
    "ReLU": ("relu", {"negative_slope": 0.0, "max_value": None, "threshold": 0.0}),
    "Relu": ("relu", {}),
    "Relu6": ("relu6", {}),
    "Selu": ("selu", {}),
    "Sigmoid": ("sigmoid", {}),
    "Silu": ("silu", {}),
    "SoftShrink": ("soft_shrink", {"threshold": 0.5}),
    "Softmax": ("softmax", {"axis": -1}),
    "Softplus": ("softplus", {}),
    "Softsign": ("softsign", {}),
    "Sparsemax": ("sparsemax", {"axis": -1}),
    "SparsePlus": ("sparse_plus", {}),
    "SparseSigmoid": ("sparse_sigmoid", {}),
    "Squareplus": ("squareplus", {"b": 4}),
    "Tanh": ("tanh", {}),
    "TanhShrink": ("tanh_shrink", {}),
    "Threshold": ("threshold", {}),
}

#: The same for layers; `Softmax` and `ReLU` are above.
_LAYERS = {
    keras.layers.ELU: ("elu", {"alpha": 1.0}),
    keras.layers.LeakyReLU: ("leaky_relu", {"negative_slope": 0.2}),
    keras.layers.PReLU: ("prelu", {}),
    keras.layers.ReLU: _OPERATIONS["ReLU"],
    keras.layers.Softmax: _OPERATIONS["Softmax"],
}

#: Names that a layer's own code may call; `linear` and `threshold` mean other things there.
_NAMES_IN_CODE = {name for name, _ in _OPERATIONS.values()} - {"threshold"}
_NAMES_IN_CODE |= {"swish", "hard_swish"}


def base_name(activation):
    """The name without arguments: `"gelu"` of `"gelu(approximate=True)"`."""
    return activation.partition("(")[0]


def function_name(function):
    """The name of an activation function, of whatever type Keras accepts for one."""
    if isinstance(function, keras.layers.Layer):
        return layer_name(function) or type(function).__name__
    if isinstance(function, functools.partial):
        return function_name(function.func)
    if isinstance(function, Expression):
        return str(function)
    name = getattr(function, "__name__", None) or type(function).__name__
    return {"swish": "silu", "hard_swish": "hard_silu"}.get(name, name)


def layer_name(layer):
    """The activation that an activation layer applies, or None for any other layer."""
    if isinstance(layer, keras.layers.Lambda):
        return lambda_name(layer)
    if not isinstance(layer, ACTIVATION_LAYERS):
        return None
    if isinstance(layer, keras.layers.Activation):
        return function_name(layer.activation)
    if isinstance(layer, ExpressionActivation):
        return str(layer.expression)
    for kind, (name, defaults) in _LAYERS.items():
        if isinstance(layer, kind):
            return _with_arguments(name, defaults, layer)
    return type(layer).__name__


def lambda_name(layer):
    """The Keras activation that a Lambda layer applies, or None if it applies another function."""
    if layer.arguments:
        return None
    for module in (keras.activations, keras.ops):
        name = getattr(layer.function, "__name__", "")
        if name in _NAMES_IN_CODE and getattr(module, name, None) is layer.function:
            return name
    return None


def fused_name(layer):
    """The activation fused into a layer, or None where there is none."""
    function = getattr(layer, "activation", None)
    if not isinstance(layer, FUSED_LAYERS) or function is None:
        return None
    name = function_name(function)
    return None if name == "linear" else name


def splits(layer):
    """Whether a layer with a fused activation computes what Keras's class computes."""
    return type(layer).call.__module__.startswith("keras.")


def operation_name(operation, node):
    """The activation that a bare operation of a graph is, or None."""
    kind = type(operation)
    if kind.__module__.startswith("keras_actfn.expressions"):
        return operation.expression
    if not kind.__module__.startswith("keras."):
        return None
    if kind.__name__ == "Maximum" and len(node.input_tensors) == 1:
        others = [
            value for value in node.arguments.args if not isinstance(value, keras.KerasTensor)
        ]
        is_zero = len(others) == 1 and isinstance(others[0], (int, float)) and others[0] == 0
        return "relu" if is_zero else None
    if kind.__name__ not in _OPERATIONS:
        return None
    name, defaults = _OPERATIONS[kind.__name__]
    return _with_arguments(name, defaults, operation)


def functions_inside(layer):
    """Pairs of attribute and name of the activation functions that a layer holds."""
    found = []
    for attribute, value in vars(layer).items():
        if attribute.startswith("__") or isinstance(value, keras.layers.Layer):
            continue
        if isinstance(value, types.FunctionType):
            name = function_name(value)
            known = getattr(keras.activations, name, None) is value
            if name != "linear" and (known or "activation" in attribute):
                found.append((attribute, name))
    return found


def names_in_code(layer):
    """Activations that the methods of a layer's class mention, in alphabetical order."""
    if isinstance(layer, keras.layers.BatchNormalization):  # clips variances by a relu
        return []
    found = set()
    for kind in type(layer).__mro__:
        if kind in (keras.layers.Layer, keras.Model, keras.Operation, object):
            break
        for value in vars(kind).values():
            value = getattr(value, "__wrapped__", value)
            if isinstance(value, types.FunctionType):
                found |= _names_of(value.__code__)
    return sorted(found & _NAMES_IN_CODE)


def is_foreign(layer):
    """Whether neither Keras nor this package defines the layer's class."""
    return not type(layer).__module__.startswith(("keras.", "keras_actfn."))


def _names_of(code):
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names_of(constant)
    return names


def _with_arguments(name, defaults, owner):
    """`name(argument=value)` for the arguments of `owner` that are not the defaults."""
    values = {key: _plain(getattr(owner, key, value)) for key, value in defaults.items()}
    values = {key: value for key, value in values.items() if value != defaults[key]}
    if name == "relu" and values == {"max_value": 6}:
        return "relu6"
    if not values:
        return name
    return f"{name}({','.join(f'{key}={value}' for key, value in values.items())})"


def _plain(value):
    """A number as Python's own, so that names look the same on every backend."""
    if value is None or isinstance(value, (bool, int, float, str, list, tuple)):
        return value
    return keras.ops.convert_to_numpy(value).item()
