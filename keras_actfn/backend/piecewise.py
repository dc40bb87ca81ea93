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

from functools import partial

from keras import ops

from ._load import backend
from .elementwise import custom_gradient
from .protocol import Array
from .uniform_knots import (
    LARGEST_POSITION,
    look_up,
    position_of,
    row_index,
    segment_of,
    sums_by_knot,
)


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
    """f(x), where `scale` is 1 / h, `bounds` clip the position t, and see `look_up`."""
    position, segment = _locate(x, values, low, scale, bounds)
    left, right = look_up((values[:-1], values[1:]), segment, select)
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
    (rise,) = look_up((values[1:] - values[:-1],), segment, select)
    gradient = ops.cast(gradient, position.dtype)
    to_x = gradient * rise * scale
    inside = ops.equal(position, position)
    if bounds[0] == 0:  # constant outside the knots
        inside = ops.logical_and(x >= low, x < low + (values.shape[0] - 1) / scale)
    to_x = ops.where(inside, to_x, ops.zeros_like(to_x))
    right = gradient * (position - ops.cast(segment, position.dtype))
    index = row_index(position, segment, values.shape)
    return ops.cast(to_x, x.dtype), gradient - right, right, index


def _locate(x, values, low, scale, bounds):
    """Position t of x on the grid, in values' precision, and its segment (0 where t is NaN)."""
    last = values.shape[0] - 1
    position = position_of(x, values, low, scale)
    if bounds[0] == 0:  # not by `clip`, whose derivative at its ends differs between backends
        for out, bound in (position < 0, 0), (position >= last, last):
            position = ops.where(out, ops.full_like(position, bound), position)
    else:
        position = ops.clip(position, *bounds)
    return position, segment_of(position, last)
