"""Euclidean projections as pure functions of `keras.ops`.

Each works on slices along `axis`: for an array of shape (N, …) and `axis=0`, every
column of N numbers is projected on its own. The result keeps shape and dtype.
"""

from keras import ops


def project_simplex(values, axis=0):
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


def project_unit_sum(values, axis=0):
    r"""Nearest point of the hyperplane $\sum_i w_i = 1$.

    $$\operatorname{argmin}_w \|w - v\|_2 \;\text{ s.t. }\; \sum_i w_i = 1
    \quad=\quad v + \frac{1 - \sum_i v_i}{N}$$

    Args:
        values: Float array.
        axis: The axis that sums to one.

    Returns:
        The projection, of the shape and dtype of `values`.
    """
    size = values.shape[axis]
    return values + (1 - ops.sum(values, axis=axis, keepdims=True)) / size


def anchored_unit_norm(values):
    r"""Shift the first entry of each column to zero, then scale the column to L2 norm one.

    $$w = \frac{v - v_0}{\|v - v_0\|_2}$$

    A constant column has no direction and becomes all zeros. Neither step changes the
    correlation objective, which ignores an offset and a positive factor.

    Source: Learning Activation Functions via Correlation Objectives, section 3.2.

    Args:
        values: Float array of shape (knots, …).

    Returns:
        The projection, of the shape and dtype of `values`.
    """
    anchored = values - values[:1]
    # Scaling by the largest entry first keeps the squares from overflowing or vanishing.
    largest = ops.max(ops.abs(anchored), axis=0, keepdims=True)
    scaled = anchored / ops.where(largest == 0, ops.ones_like(largest), largest)
    norm = ops.sqrt(ops.sum(ops.square(scaled), axis=0, keepdims=True))
    return scaled / ops.where(largest == 0, ops.ones_like(norm), norm)


def _counting_along(values, axis):
    """1, 2, …, N along `axis`, broadcastable against `values`."""
    shape = [1] * len(values.shape)
    shape[axis] = values.shape[axis]
    return ops.reshape(ops.arange(1, values.shape[axis] + 1, dtype=values.dtype), shape)
