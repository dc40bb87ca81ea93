"""Elementwise activations without parameters, run by `keras_actfn.backend.pointwise`.

That costs one compilation a function on JAX, where every operation, derivative and shape would
cost one of its own, and changes nothing elsewhere.
"""

from collections.abc import Callable
from typing import Any

import keras

from ..backend import pointwise
from ..models.activations import elementwise_function


def apply(activation: Callable, x: Any, call: Callable | None = None) -> Any:
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
