"""Gradients to numbers that all elements of a tensor share, in a form that XLA adds up quickly.

XLA adds up a tensor slowly on a CPU, and several tensors quickly. So each sample is folded into
equal parts, and the parts' gradients are added elementwise before all is added up.
"""

import math
from collections.abc import Callable

from keras import ops

from .protocol import Array

#: Parts of a sample, at most.
_MOST_PARTS = 8


def folded_gradients(
    vector_jacobian_product: Callable,
    function: Callable[..., Array],
    gradient: Array,
    x: Array,
    *parameters: Array,
) -> list[Array]:
    """Gradients to scalar `parameters`, as tensors whose elements are still to be added up.

    Args:
        vector_jacobian_product: The backend's function of that name.
        function: Elementwise function of x and the parameters.
        gradient: Gradient to its value, of the shape of x.
        x: Tensor (batch, …) whose axes behind the batch are known.
        *parameters: Tensors without axes.
    """
    size = math.prod(x.shape[1:])
    count = max(count for count in range(1, _MOST_PARTS + 1) if size % count == 0)
    gradients, parts = (
        ops.unstack(ops.reshape(tensor, (-1, count, size // count)), axis=1)
        for tensor in (gradient, x)
    )
    spread = [parameter * ops.ones_like(parts[0], parameter.dtype) for parameter in parameters]
    found = [
        vector_jacobian_product(function, *each, *spread)[1:]
        for each in zip(gradients, parts, strict=True)
    ]
    return [sum(each) for each in zip(*found, strict=True)]
