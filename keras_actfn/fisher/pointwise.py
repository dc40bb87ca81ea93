"""Elementwise activations without parameters, run by `keras_actfn.backend.pointwise`.

That costs one compilation a function on JAX, where every operation, derivative and shape would
cost one of its own, and changes nothing elsewhere.
"""

import keras

from ..backend import pointwise
from ..expressions import function_names
from ..layers import ExpressionActivation

#: Functions of `keras.activations` that act on each number by itself.
_ELEMENTWISE = tuple(
    getattr(keras.activations, name)
    for name in function_names()
    if hasattr(keras.activations, name)
)


def elementwise_function(activation):
    """Return the function of one number behind an activation; `None` if none is known.

    Args:
        activation: A function or layer.
    """
    if type(activation) is keras.layers.Activation:
        activation = activation.activation
    if type(activation) is ExpressionActivation:
        return activation.expression
    return next((known for known in _ELEMENTWISE if activation is known), None)


def apply(activation, x, call=None):
    """Return `activation(x)`, by one kernel where `elementwise_function` knows one.

    Args:
        activation: A function or layer.
        x: Tensor.
        call: What to call otherwise; `activation` itself if None.
    """
    function = elementwise_function(activation)
    if function is keras.activations.linear:
        return x
    if function is None or keras.backend.standardize_dtype(x.dtype) != "float32":
        return (call or activation)(x)
    return pointwise(function, x)
