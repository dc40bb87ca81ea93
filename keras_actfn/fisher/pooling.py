"""Max pooling with a gradient that is cheap on JAX's CPU backend.

XLA differentiates max pooling by a scalar select-and-scatter, on a CPU the dearest part of a
backward pass through a small network. Over disjoint windows it is a chain of comparisons
instead. Ties go to the first value of the window, row by row, and NaN is passed on: the same
function and gradient.
"""

import keras

ops = keras.ops


def is_disjoint(layer) -> bool:
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


def disjoint_max_pool(x, pool_size: tuple[int, ...]):
    """Return the maxima of disjoint windows.

    Args:
        x: Tensor of shape (N, *S, C).
        pool_size: Window sizes; what does not fill a window at an axis' end is left out.

    Returns:
        Tensor of shape (N, *(S // pool_size), C).
    """
    samples, *sizes, channels = x.shape
    counts = [size // width for size, width in zip(sizes, pool_size, strict=True)]
    kept = tuple(slice(n * width) for n, width in zip(counts, pool_size, strict=True))
    windows = [part for pair in zip(counts, pool_size, strict=True) for part in pair]
    x = ops.reshape(x[(slice(None), *kept)], (samples, *windows, channels))
    for axis in reversed(range(len(counts))):
        best, *rest = ops.split(x, pool_size[axis], axis=2 + 2 * axis)
        for part in rest:
            best = ops.where(ops.logical_or(part > best, part != part), part, best)
        x = best
    return ops.reshape(x, (samples, *counts, channels))


class PoolTreatment:
    """Runs a disjoint max pooling layer by comparisons."""

    def __init__(self, layer):
        self.blocks = []
        self._pool_size = tuple(layer.pool_size)

    def run(self, call, recorder, *args, **kwargs):
        """Return the layer's output."""
        return disjoint_max_pool(args[0] if args else kwargs["inputs"], self._pool_size)
