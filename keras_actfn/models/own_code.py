"""Activations that a layer applies in its own code, as far as they can be seen."""

import types

import keras

from .._keras_activations import KERAS_ACTIVATIONS, keras_activation
from . import activations

#: Names that a layer's own code may call; `linear` and `threshold` mean other things there.
_NAMES = {
    name
    for row in KERAS_ACTIVATIONS.values()
    if row.operations and row.name != "threshold"
    for name in (row.name, *row.aliases)
}


def functions_inside(layer: keras.layers.Layer) -> list[tuple[str, str]]:
    """Pairs of attribute and name of the activation functions that a layer holds."""
    found = []
    for attribute, value in vars(layer).items():
        if attribute.startswith("__") or isinstance(value, keras.layers.Layer):
            continue
        if isinstance(value, types.FunctionType):
            name = activations.function_name(value)
            known = keras_activation(value) is not None
            if name != "linear" and (known or "activation" in attribute):
                found.append((attribute, name))
    return found


def names_in_code(layer: keras.layers.Layer) -> list[str]:
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
    return sorted(found & _NAMES)


def is_foreign(layer: keras.layers.Layer) -> bool:
    """Whether neither Keras nor this package defines the layer's class."""
    return not type(layer).__module__.startswith(("keras.", "keras_actfn."))


def _names_of(code):
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names_of(constant)
    return names
