"""Max pooling with a gradient that is cheap when there are many backward passes.

Backends differentiate max pooling by a search for the maxima or a scatter, among the dearest
parts of a backward pass through a small network. Over disjoint windows the gradient is a
multiplication by a mask, which the forward pass leaves behind. Ties go to the first value of
the window, row by row, and NaN is passed on: the same function and gradient.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ..backend import compiled, keeping
from .treatments import first_argument

ops = keras.ops


def is_disjoint(layer: keras.Layer) -> bool:
    """Whether a layer is a max pooling of disjoint windows, channels last."""
    kinds = (
        keras.layers.MaxPooling1D,
        keras.layers.MaxPooling2D,
        keras.layers.MaxPooling3D,
    )
    return (
        type(layer) in kinds
        and tuple(layer.strides) == tuple(layer.pool_size)
        and layer.padding == "valid"
        and layer.data_format == "channels_last"
    )


def disjoint_max_pool(x: Any, pool_size: tuple[int, ...]) -> Any:
    """Return the maxima of disjoint windows.

    Args:
        x: Tensor of shape (N, *S, C).
        pool_size: Window sizes; what does not fill a window at an axis' end is left out.

    Returns:
        Tensor of shape (N, *(S // pool_size), C).
    """
    forward, backward = _functions(tuple(x.shape), pool_size)
    return keeping(forward, backward, x)


@functools.lru_cache(maxsize=32)
def _functions(shape, pool_size):
    """The function and its gradient, compiled for one shape; see `keeping`."""
    samples, *sizes, channels = shape
    counts = [size // width for size, width in zip(sizes, pool_size, strict=True)]
    kept = [n * width for n, width in zip(counts, pool_size, strict=True)]
    windows = [part for pair in zip(counts, pool_size, strict=True) for part in pair]
    axes = [2 + 2 * i for i in range(len(counts))]  # of the places within a window
    places = np.arange(math.prod(pool_size), dtype="int32").reshape(pool_size)

    def forward(x):
        x = ops.reshape(x[(slice(None), *map(slice, kept))], (samples, *windows, channels))
        best = chosen = None
        for index in np.ndindex(*pool_size):
            value = x[(slice(None), *(k for i in index for k in (slice(None), i)))]
            if best is None:
                best, chosen = value, ops.zeros(value.shape, "int32")
                continue
            better = ops.logical_or(value > best, value != value)
            best = ops.where(better, value, best)
            chosen = ops.where(better, places[index], chosen)
        place = np.expand_dims(places, [0, *(axis - 1 for axis in axes), -1])
        return best, ops.cast(ops.expand_dims(chosen, axes) == place, x.dtype)

    def backward(gradient, mask):
        gradient = ops.reshape(ops.expand_dims(gradient, axes) * mask, (samples, *kept, channels))
        rest = [[0, size - n] for size, n in zip(sizes, kept, strict=True)]
        return ops.pad(gradient, [[0, 0], *rest, [0, 0]]) if kept != sizes else gradient

    return compiled(forward), compiled(backward)


class PoolTreatment:
    """Runs a disjoint max pooling layer by comparisons."""

    def __init__(self, layer: keras.Layer):
        self.blocks: list = []
        self._pool_size = tuple(layer.pool_size)

    def run(self, call: Callable, recorder: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the layer's output."""
        return disjoint_max_pool(first_argument(args, kwargs), self._pool_size)
