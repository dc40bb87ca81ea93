"""What the formulas of `knot_sums` have in common, and the one that compares with every knot.

Each element has terms for some knots in a row, the first of them that of its index.
"""

import math
from collections.abc import Callable, Sequence

from keras import ops

from .protocol import Array


def knot_sums_by_comparison(terms: Sequence[Array], index: Array, shape: tuple[int, ...]) -> Array:
    """`knot_sums` in operations that XLA and PyTorch's compiler fuse; one reduction a knot.

    No scatter and no atomics. Where operations run one by one it takes several for each knot.

    Args:
        terms: As in `knot_sums`.
        index: As in `knot_sums`.
        shape: As in `knot_sums`.

    Returns:
        Tensor of the shape given, summed up in the terms' dtype in a fixed order.
    """
    rank, channels = len(index.shape), math.prod(shape[1:])
    reduced = [a for a in range(rank) if not (0 < a < len(shape) and shape[a] > 1)]
    row = index
    if channels > 1:
        channel = ops.arange(channels, dtype=index.dtype)
        row = index - ops.reshape(channel, shape[1:])
    sums = [
        ops.sum(term_of_knot(terms, row, knot, channels), axis=reduced) for knot in range(shape[0])
    ]
    return ops.reshape(ops.stack(sums), shape)


def term_of_knot(terms: Sequence[Array], row: Array, knot: int, channels: int) -> Array:
    """The term of each element for a knot, 0 where it has none.

    Args:
        terms: Tensors of the terms for the first, the second, … of an element's knots.
        row: The number of the first of them, times that of the channels.
        knot: A knot.
        channels: The number of channels.
    """
    found = ops.zeros_like(terms[0])
    for number, term in reversed(list(enumerate(terms))):
        found = ops.where(ops.equal(row, (knot - number) * channels), term, found)
    return found


def sums_in_a_row(sums: Sequence[Array], pad: Callable, channels: int) -> Array:
    """Sums by knot, from the sums of the first, the second, … terms by index.

    Args:
        sums: Tensors of one row for each knot and one for NaN, flattened.
        pad: Function of a flat tensor and the numbers of zeros in front of it and behind.
        channels: The number of channels.
    """
    # What the last rows give lies beyond the knots.
    return sum(
        pad(each[: -(number + 1) * channels], (number * channels, 0))
        for number, each in enumerate(sums)
    )
