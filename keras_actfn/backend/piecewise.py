r"""Piecewise-linear interpolation on uniform knots: value and gradients by segment.

For knots $x_s = l + s h$, $s = 0 \dots K-1$, values $v_s$ and the position
$t = (x - l) / h$, with $s = \lfloor t \rfloor$ held within $0 \dots K-2$:

$$f(x) = v_s + (t - s)(v_{s+1} - v_s), \qquad
\frac{\partial f}{\partial x} = \frac{v_{s+1} - v_s}{h}, \qquad
\frac{\partial f}{\partial v_s} = 1 - (t - s), \quad
\frac{\partial f}{\partial v_{s+1}} = t - s$$

Linear extrapolation is the same formula with t outside $[0, K-1]$; clamping first clips t to
it. At a knot the slope is that of the segment to its right (of the last segment at the last
knot). Infinite inputs count as $|t| = 10^{30}$, so that a flat end stays finite. NaN inputs
give NaN and add nothing to the gradient of the values.

Shapes: x is any array with the batch first; `values` is (K, …) whose trailing axes broadcast
against x (one for each axis of x but the batch's, or none at all).
"""

import math
from functools import partial

from keras import ops

from ._load import backend
from .elementwise import custom_gradient
from .protocol import Array

#: The position that infinite inputs are given.
LARGEST_POSITION = 1e30

#: Up to this many rows and channels a tree of selects beats a gather, where `selects`.
_SELECT_ROWS, _SELECT_CHANNELS = 64, 128


def piecewise_linear(x: Array, values: Array, low: float, high: float, clamp: bool) -> Array:
    """f(x) with the gradients above, keeping x only for the backward pass.

    Args:
        x: Float tensor; float16 and bfloat16 are computed in float32.
        values: Float tensor (K, …) as described at the top of the module.
        low: Position of the first knot.
        high: Position of the last knot.
        clamp: Whether f is constant outside the knots; else its end segments go on.

    Returns:
        Tensor of the shape and dtype of x.
    """
    last = values.shape[0] - 1
    bounds = (0, last) if clamp else (-LARGEST_POSITION, LARGEST_POSITION)
    grid = {"low": low, "scale": last / (high - low), "bounds": bounds}
    select = backend.selects(x)
    return custom_gradient(
        partial(interpolate, **grid, select=select),
        partial(interpolate_gradient, **grid, select=select),
        x,
        values,
        sums=sums_by_knot,
        in_place=backend.in_place_interpolation(**grid),
    )


def interpolate(
    x: Array,
    values: Array,
    *,
    low: float,
    scale: float,
    bounds: tuple[float, float],
    select: bool = True,
) -> Array:
    """f(x), where `scale` is 1 / h, `bounds` clip the position t, and see `_look_up`."""
    position, segment = _locate(x, values, low, scale, bounds)
    left, right = _look_up((values[:-1], values[1:]), segment, select)
    offset = position - ops.cast(segment, position.dtype)
    return ops.cast(left + offset * (right - left), x.dtype)


def interpolate_gradient(
    gradient: Array,
    x: Array,
    values: Array,
    *,
    low: float,
    scale: float,
    bounds: tuple[float, float],
    select: bool = True,
) -> tuple[Array, Array, Array, Array]:
    """Gradient to x, given the one to f(x), and the arguments of `sums_by_knot`."""
    position, segment = _locate(x, values, low, scale, bounds)
    (rise,) = _look_up((values[1:] - values[:-1],), segment, select)
    gradient = ops.cast(gradient, position.dtype)
    to_x = gradient * rise * scale
    number = ops.equal(position, position)
    inside = number
    if bounds[0] == 0:  # constant outside the knots
        inside = ops.logical_and(x >= low, x < low + (values.shape[0] - 1) / scale)
    to_x = ops.where(inside, to_x, ops.zeros_like(to_x))
    right = gradient * (position - ops.cast(segment, position.dtype))
    row = ops.where(number, segment, ops.full_like(segment, values.shape[0]))
    index = ops.cast(_flat_index(row, values.shape), backend.INDEX_DTYPE)
    return ops.cast(to_x, x.dtype), gradient, right, index


def sums_by_knot(gradient: Array, right: Array, index: Array, values: Array) -> tuple[Array]:
    """Gradient to the values, each from the gradients to the f(x) on both sides of its knot.

    Args:
        gradient: Gradient to each f(x).
        right: The part of it that belongs to the knot to the right of x.
        index: Index of the knot to the left and of the channel in `values`, flattened; where x
            is NaN, of a knot beyond the last one.
        values: The values at the knots.

    Returns:
        A tuple of one tensor, shaped as `values`.
    """
    sums = backend.knot_sums(gradient, right, index, tuple(values.shape))
    return (ops.cast(sums, values.dtype),)


def _locate(x, values, low, scale, bounds):
    """Position t of x on the grid, in values' precision, and its segment (0 where t is NaN)."""
    dtype = "float64" if x.dtype == "float64" else values.dtype
    last = values.shape[0] - 1
    position = (ops.cast(x, dtype) - low) * scale
    if bounds[0] == 0:  # not by `clip`, whose derivative at its ends differs between backends
        for out, bound in (position < 0, 0), (position >= last, last):
            position = ops.where(out, ops.full_like(position, bound), position)
    else:
        position = ops.clip(position, *bounds)
    # PyTorch's compiler would take the numbers one by one for `isnan`.
    number = ops.where(ops.equal(position, position), position, ops.zeros_like(position))
    return position, ops.cast(ops.clip(number, 0, last - 1), "int32")


def _look_up(tables, segment, select):
    """`table[segment]` for each table (segments, …), its trailing axes broadcast.

    With `select`, by a tree of selects if the table is small.
    """
    rows, channels = tables[0].shape[0], math.prod(tables[0].shape[1:])
    if not select or rows > _SELECT_ROWS or channels > _SELECT_CHANNELS:
        index = _flat_index(segment, tables[0].shape)
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


def _flat_index(segment, shape):
    """Index of (segment, channel) in a table of `shape`, flattened."""
    channels = math.prod(shape[1:])
    if channels == 1:
        return segment
    return segment * channels + ops.reshape(ops.arange(channels, dtype="int32"), shape[1:])
