"""What functions on evenly spaced knots share: where an input is, look-ups, and sums by knot.

The position of an input is counted in distances of knots from the first one. Segment s reaches
from knot s to knot s + 1. A table holds a row for each knot or segment; its trailing axes, those
of the channels, broadcast against the axes of the input behind the batch's.
"""

import math
from collections.abc import Sequence

from keras import ops

from ._load import backend
from .protocol import Array

#: The position that infinite inputs are given.
LARGEST_POSITION = 1e30

#: Up to this many rows and channels selects beat a gather, where `selects`.
_SELECT_ROWS, _SELECT_CHANNELS = 64, 128


def position_of(x: Array, table: Array, low: float, scale: float) -> Array:
    """The position of x, in the table's precision or in float64; `scale` is 1 / h."""
    dtype = "float64" if x.dtype == "float64" else table.dtype
    return (ops.cast(x, dtype) - low) * scale


def segment_of(position: Array, segments: int) -> Array:
    """The segment of each position, of so many; the first one where it is NaN."""
    # PyTorch's compiler would take the numbers one by one for `isnan`.
    number = ops.where(ops.equal(position, position), position, ops.zeros_like(position))
    return ops.cast(ops.clip(number, 0, segments - 1), "int32")


def look_up(tables: Sequence[Array], segment: Array, select: bool) -> list[Array]:
    """`table[segment]` for each table (segments, …).

    With `select`, by a tree of selects if the table is small; that of one segment as it is, to be
    broadcast.
    """
    shape = tables[0].shape
    if not select or _is_large(shape[0], shape):
        index = flat_index(segment, shape)
        return [ops.take(ops.reshape(table, (-1,)), index) for table in tables]
    levels, bit = [list(ops.unstack(table)) for table in tables], 1
    while len(levels[0]) > 1:
        odd = ops.not_equal(segment & bit, 0)  # `bitwise_and` makes a float of a number
        levels, bit = [_halve(level, odd) for level in levels], bit * 2
    return [level[0] for level in levels]


def _halve(level, odd):
    """One level of the tree of selects: the odd entry of each pair where `odd`."""
    chosen = [ops.where(odd, b, a) for a, b in zip(level[::2], level[1::2], strict=False)]
    return chosen + level[2 * len(chosen) :]


def look_up_neighbours(table: Array, segment: Array, count: int, select: bool) -> list[Array]:
    """`[table[segment], …, table[segment + count - 1]]` of a table (segments + count − 1, …).

    A table of one segment has its rows as they are, to be broadcast.

    With `select`, all are found together if the table is small: the highest bit of the segment
    says in which half of the table they lie, which leaves half as many rows to the next bit, and
    so on. 32 segments take 46 selects for four neighbours; four trees would take 124.
    """
    segments = int(table.shape[0]) - count + 1  # a tensor while PyTorch traces
    if not select or _is_large(segments, table.shape):
        flat, index = ops.reshape(table, (-1,)), flat_index(segment, table.shape)
        channels = math.prod(table.shape[1:])
        return [ops.take(flat, index + number * channels) for number in range(count)]
    rows, bit = list(ops.unstack(table)), 1 << max(segments - 1, 0).bit_length() >> 1
    while bit:
        upper = ops.not_equal(segment & bit, 0)
        kept, others = rows[: bit + count - 1], rows[bit:]
        # A row whose other one is beyond the table is needed only where it stays.
        found = [ops.where(upper, b, a) for a, b in zip(kept, others, strict=False)]
        rows, bit = found + kept[len(found) :], bit // 2
    return rows


def _is_large(rows, shape):
    return rows > _SELECT_ROWS or math.prod(shape[1:]) > _SELECT_CHANNELS


def flat_index(segment: Array, shape: tuple[int, ...]) -> Array:
    """Index of (segment, channel) in a table of `shape`, flattened."""
    channels = math.prod(shape[1:])
    if channels == 1:
        return segment
    return segment * channels + ops.reshape(ops.arange(channels, dtype="int32"), shape[1:])


def row_index(position: Array, segment: Array, shape: tuple[int, ...]) -> Array:
    """The index that `knot_sums` takes for a table of `shape`; beyond it where NaN."""
    number = ops.equal(position, position)
    row = ops.where(number, segment, ops.full_like(segment, shape[0]))
    return ops.cast(flat_index(row, shape), backend.INDEX_DTYPE)


def sums_by_knot(*arrays: Array) -> tuple[Array]:
    """Gradient to a table, from each element's gradients to the rows that it takes.

    Args:
        *arrays: The gradients to the row of `index`, to the one behind it, and so on; `index`, as
            `row_index` gives it; and the table.

    Returns:
        A tuple of one tensor, shaped as the table.
    """
    *terms, index, table = arrays
    sums = backend.knot_sums(terms, index, tuple(table.shape))
    return (ops.cast(sums, table.dtype),)
