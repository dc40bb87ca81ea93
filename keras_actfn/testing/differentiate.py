"""Outputs and gradients of a layer as NumPy arrays, on any backend."""

from typing import Any

import keras
import numpy as np
from keras import ops

from ..backend import compiled, vector_jacobian_product


def output_and_gradients(
    layer: keras.Layer, x: Any, weight: Any = None, *, jit_compile: bool = False
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Output of a built layer and the gradients of `sum(weight * layer(x))`.

    Args:
        layer: A built `keras.layers.Layer`.
        x: Array of inputs.
        weight: Array of the output's shape; ones if None.
        jit_compile: Whether JAX compiles all of it at once, instead of each operation, which
            takes less time for a layer and a shape that are new. Others compute as they do.

    Returns:
        `(output, gradient to x, [gradient to each trainable variable])`, NumPy arrays.
    """
    x = ops.convert_to_tensor(x, layer.compute_dtype)
    variables = [_tensor(variable) for variable in layer.trainable_variables]
    fixed = [_tensor(variable) for variable in layer.non_trainable_variables]

    def call(x, *variables):
        return layer.stateless_call(list(variables), fixed, x)[0]

    def differentiate(x, *variables):
        output = call(x, *variables)
        ones = np.ones(output.shape) if weight is None else weight
        upstream = ops.convert_to_tensor(ones, layer.compute_dtype)
        return output, vector_jacobian_product(call, upstream, x, *variables)

    if jit_compile and keras.backend.backend() == "jax":
        differentiate = compiled(differentiate)
    output, (to_x, *to_variables) = differentiate(x, *variables)
    numpy = ops.convert_to_numpy
    return numpy(output), numpy(to_x), [numpy(gradient) for gradient in to_variables]


def _tensor(variable):
    """The variable's value, detached from it."""
    return ops.convert_to_tensor(ops.convert_to_numpy(variable), variable.dtype)
