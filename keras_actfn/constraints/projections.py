"""Euclidean projections as pure functions of `keras.ops`.

Each works on slices along `axis`: for an array of shape (N, …) and `axis=0`, every
column of N numbers is projected on its own. The result keeps shape and dtype.
"""

from typing import Any

import numpy as np
from keras import ops


def project_simplex(values: Any, axis: int = 0) -> Any:
    r"""Nearest point of the probability simplex.

    $$\operatorname{argmin}_w \|w - v\|_2 \;\text{ s.t. }\; w_i \ge 0,\ \sum_i w_i = 1
    \quad=\quad \max(v - \tau, 0), \qquad
    \tau = \max_k \frac{\sum_{i \le k} v_{(i)} - 1}{k}$$

    with $v_{(1)} \ge v_{(2)} \ge \dots$ the sorted entries. The maximum over k is the usual
    threshold rule without its search: the quotient rises while $v_{(k+1)}$ exceeds it and
    falls after.

    Source: Duchi et al. (2008), Efficient projections onto the l1-ball, Fig. 1.

    Args:
        values: Float array.
        axis: The axis that sums to one.

    Returns:
        The projection, of the shape and dtype of `values`.
    """
    # The projection does not change under a shift of all entries; with the largest at zero
    # the sum is exact to rounding for values of any size.
    values = values - ops.max(values, axis=axis, keepdims=True)
    descending = -ops.sort(-values, axis=axis)
    count = _counting_along(values, axis)
    threshold = ops.max((ops.cumsum(descending, axis=axis) - 1) / count, axis=axis, keepdims=True)
    return ops.cast(ops.maximum(values - threshold, 0), values.dtype)


def project_unit_sum(values: Any, axis: int = 0) -> Any:
    r"""Nearest point of the hyperplane $\sum_i w_i = 1$.

    $$\operatorname{argmin}_w \|w - v\|_2 \;\text{ s.t. }\; \sum_i w_i = 1
    \quad=\quad v + \frac{1 - \sum_i v_i}{N}$$

    Large entries of both signs round the sum by more than 1e-7: entries of 10⁶ are multiples of
    1/16 in float32. So sums are taken without rounding, and what the stored entries miss is
    added once more, the rest of it to the entry of least magnitude, which has the digits for
    it. Beyond 2²⁴, where all entries are even numbers, no sum of them is 1.

    Args:
        values: Float array.
        axis: The axis that sums to one.

    Returns:
        The projection, of the shape and dtype of `values`.
    """
    size = values.shape[axis]
    once = values + _missing(values, axis) / size
    missing = _missing(once, axis)
    twice = once + missing / size
    missing = missing - ops.sum(twice - once, axis=axis, keepdims=True)
    least = ops.argmin(ops.abs(twice), axis=axis, keepdims=True)
    chosen = ops.equal(_counting_along(twice, axis), ops.cast(least + 1, twice.dtype))
    return ops.where(chosen, twice + missing, twice)


def _missing(values, axis):
    """1 minus the sum of `values`, whose rounding does not grow with the values.

    Added to a number that exceeds all sums, the values round to multiples of its last digit,
    which add up exactly; what they lose is small.

    Source: Rump, Ogita & Oishi (2008), Accurate floating-point summation, section 3.
    """
    size = values.shape[axis]
    ceiling = 4 * size * ops.max(ops.abs(values), axis=axis, keepdims=True)
    high = (ceiling + values) - ceiling
    low = values - high
    return (1 - ops.sum(high, axis=axis, keepdims=True)) - ops.sum(low, axis=axis, keepdims=True)


def anchored_unit_norm(values: Any, axis: int = 0) -> Any:
    r"""Shift the first entry of each slice to zero, then scale the slice to L2 norm one.

    $$w = \frac{v - v_0}{\|v - v_0\|_2}$$

    A constant slice has no direction and becomes all zeros. Neither step changes the
    correlation objective, which ignores an offset and a positive factor.

    Source: Learning Activation Functions via Correlation Objectives, section 3.2.

    Args:
        values: Float tensor or NumPy array; an array stays one, in its precision.
        axis: The axis of the knots.

    Returns:
        The projection, of the shape and dtype of `values`.
    """
    numbers = np if isinstance(values, np.ndarray) else ops
    anchored = values - numbers.take(values, [0], axis=axis)
    # Scaling by the largest entry first keeps the squares from overflowing or vanishing.
    largest = numbers.max(numbers.abs(anchored), axis=axis, keepdims=True)
    one = numbers.ones_like(largest)
    scaled = anchored / numbers.where(largest == 0, one, largest)
    norm = numbers.sqrt(numbers.sum(numbers.square(scaled), axis=axis, keepdims=True))
    return scaled / numbers.where(largest == 0, one, norm)


def _counting_along(values, axis):
    """1, 2, …, N along `axis`, broadcastable against `values`."""
    shape = [1] * len(values.shape)
    shape[axis] = values.shape[axis]
    return ops.reshape(ops.arange(1, values.shape[axis] + 1, dtype=values.dtype), shape)
