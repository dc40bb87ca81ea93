"""The sums of `knot_sums` by comparing each element with every knot: no scatter, no atomics."""

import math

from keras import ops

from .protocol import Array


def knot_sums_by_comparison(
    gradient: Array, right: Array, index: Array, shape: tuple[int, ...]
) -> Array:
    """`knot_sums` in operations that XLA and PyTorch's compiler fuse; one reduction a knot.

    Where operations run one by one it takes several for each knot.

    Args:
        gradient: As in `knot_sums`.
        right: As in `knot_sums`.
        index: As in `knot_sums`.
        shape: As in `knot_sums`.

    Returns:
        Tensor of the shape given, summed up in the gradient's dtype in a fixed order.
    """
    rank, channels = len(gradient.shape), math.prod(shape[1:])
    reduced = [a for a in range(rank) if not (0 < a < len(shape) and shape[a] > 1)]
    row, left, zero = index, gradient - right, ops.zeros_like(gradient)
    if channels > 1:
        channel = ops.arange(channels, dtype=index.dtype)
        row = index - ops.reshape(channel, shape[1:])
    sums = [
        ops.sum(
            ops.where(
                ops.equal(row, knot * channels),
                left,
                ops.where(ops.equal(row, (knot - 1) * channels), right, zero),
            ),
            axis=reduced,
        )
        for knot in range(shape[0])
    ]
    return ops.reshape(ops.stack(sums), shape)
