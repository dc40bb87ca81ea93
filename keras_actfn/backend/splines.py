r"""Cubic B-splines on uniform knots: value and gradients by segment.

For knots $x_s = l + s h$, $s = 0 \dots K-1$, coefficients $c_s$ and the position
$t = (x - l) / h$,

$$f(x) = \sum_s c_s\,B(t - s), \qquad
B(t) = \begin{cases} \frac{2}{3} - t^2 + \frac{1}{2} |t|^3 & |t| \le 1 \\
\frac{1}{6} (2 - |t|)^3 & 1 < |t| \le 2 \\ 0 & \text{else} \end{cases}$$

has two continuous derivatives. The sum runs over all integers. Beyond the knots the coefficients
go on in a straight line on both sides, and so does f: its second derivative is 0 from the first
knot outwards, where $f(x_0) = c_0$ and $f'(x_0) = (c_1 - c_0) / h$, and likewise at the last.
Clamping repeats the first and the last coefficient instead: f is $c_0$ from one distance h before
the first knot downwards and $c_{K-1}$ from one behind the last upwards, and keeps its two
derivatives.

On segment s, with $u = t - s$ and the differences $d_j = c_{j+1} - c_j$, only four coefficients
count:

$$f = c_s - \frac{1}{6} (1-u)^3\,d_{s-1} + \frac{1}{6} (1 + 3u + 3u^2 - 2u^3)\,d_s
+ \frac{1}{6} u^3\,d_{s+1}$$

$$h f' = d_s + \frac{1}{2} (1-u)^2\,(d_{s-1} - d_s) + \frac{1}{2} u^2\,(d_{s+1} - d_s)$$

Infinite inputs count as $|t| = 10^{30}$, so that a flat end stays finite. NaN inputs give NaN and
add nothing to the gradient of the coefficients.

Source: de Boor, A Practical Guide to Splines, chapter IX, for uniform knots; the ends are those of
the natural spline, chapter IV.

Shapes: as in `piecewise`, with the coefficients for the values.
"""

from functools import partial

from keras import ops

from ._load import backend
from .elementwise import custom_gradient
from .protocol import Array
from .uniform_knots import (
    LARGEST_POSITION,
    look_up_neighbours,
    position_of,
    row_index,
    segment_of,
    sums_by_knot,
)


def cubic_spline(x: Array, coefficients: Array, low: float, high: float, clamp: bool) -> Array:
    """f(x) with the gradients above, keeping x only for the backward pass.

    Args:
        x: Float tensor; float16 and bfloat16 are computed in float32.
        coefficients: Float tensor (K, …) with K ≥ 2.
        low: Position of the first knot.
        high: Position of the last knot.
        clamp: Whether f is constant outside the knots, see above; else it goes on linearly.

    Returns:
        Tensor of the shape and dtype of x.
    """
    width = (high - low) / (coefficients.shape[0] - 1)
    table = continued(coefficients, clamp)
    bounds = (0, table.shape[0] - 3) if clamp else (-LARGEST_POSITION, LARGEST_POSITION)
    grid = {"low": low, "scale": 1 / width, "bounds": bounds}
    select = backend.selects(x)
    return custom_gradient(
        partial(interpolate, **grid, select=select),
        partial(interpolate_gradient, **grid, select=select),
        x,
        table,
        sums=sums_by_knot,
        in_place=backend.in_place_spline(**grid),
    )


def continued(coefficients: Array, clamp: bool) -> Array:
    """The coefficients with those beyond the knots that some segment needs.

    One on each side in a straight line, or two that repeat the first and the last one: with
    these, the segments next to the knots are part of the table too, and f is constant at both
    ends of it.
    """
    first, second = coefficients[:1], coefficients[1:2]
    last, next_to_last = coefficients[-1:], coefficients[-2:-1]
    if clamp:
        return ops.concatenate([first, first, coefficients, last, last])
    return ops.concatenate([2 * first - second, coefficients, 2 * last - next_to_last])


def interpolate(
    x: Array,
    table: Array,
    *,
    low: float,
    scale: float,
    bounds: tuple[float, float],
    select: bool = True,
) -> Array:
    """f(x) of a continued table (segments + 3, …).

    `scale` is 1 / h, and `bounds` clip the position, counted from the table's first segment: those
    that begin with 0 are a clamped function's. Otherwise f goes on beyond the segments in the line
    through the second and the third row of the table, and through the last but two and the last
    but one, as the ends that `continued` makes ask for. For `select` see `look_up_neighbours`.
    """
    beyond, offset, segment, _ = _locate(x, table, low, scale, bounds)
    a, b, c, d = look_up_neighbours(table, segment, 4, select)
    middle = 1 / 6 + offset * (0.5 + offset * (0.5 - offset / 3))
    if bounds[0] != 0:
        middle = middle + beyond
    # Not by products: TensorFlow's accumulators of accumulators get those of three wrong.
    outer = offset**3 * (d - c) - (1 - offset) ** 3 * (b - a)
    return ops.cast(b + middle * (c - b) + outer / 6, x.dtype)


def interpolate_gradient(
    gradient: Array,
    x: Array,
    table: Array,
    *,
    low: float,
    scale: float,
    bounds: tuple[float, float],
    select: bool = True,
) -> tuple[Array, ...]:
    """Gradient to x, given the one to f(x), and the arguments of `sums_by_knot`."""
    beyond, offset, segment, position = _locate(x, table, low, scale, bounds)
    left, middle, right = look_up_neighbours(table[1:] - table[:-1], segment, 3, select)
    gradient = ops.cast(gradient, position.dtype)
    rest, squared = 1 - offset, offset * offset
    slope = middle + 0.5 * (rest * rest * (left - middle) + squared * (right - middle))
    to_x = gradient * slope * scale
    to_x = ops.where(ops.equal(position, position), to_x, ops.zeros_like(to_x))
    first, fourth = rest**3 / 6, offset**3 / 6
    second = 2 / 3 + squared * (0.5 * offset - 1)
    third = 1 / 6 + offset * (0.5 + 0.5 * (offset - squared))
    if bounds[0] != 0:
        second, third = second - beyond, third + beyond
    terms = [gradient * weight for weight in (first, second, third, fourth)]
    index = row_index(position, segment, table.shape)
    return ops.cast(to_x, x.dtype), *terms, index


def _locate(x, table, low, scale, bounds):
    """What the position of x is beyond the segments, its offset, its segment, and itself."""
    segments = table.shape[0] - 3
    position = position_of(x, table, low, scale)
    if bounds[0] == 0:  # from the beginning of the segment before the first knot
        position = position + 1
    position = ops.clip(position, *bounds)
    # The derivative of `clip` at its ends differs between backends; f has the same one on
    # both sides.
    inside = ops.clip(position, 0, segments)
    segment = segment_of(inside, segments)
    return position - inside, inside - ops.cast(segment, inside.dtype), segment, position
