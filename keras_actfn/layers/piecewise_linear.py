"""The learnable piecewise-linear activation."""

from typing import Any

import keras

from .. import backend
from .uniform_knots import UniformKnots


@keras.saving.register_keras_serializable(package="keras_actfn")
class PWL(UniformKnots):
    r"""Piecewise-linear activation with learned values at fixed, evenly spaced knots.

    $$f(x) = v_s + \frac{x - x_s}{x_{s+1} - x_s}\,(v_{s+1} - v_s)
    \quad\text{for } x_s \le x < x_{s+1}$$

    Outside the knots f follows its end segments (`"linear"`) or stays constant (`"clamp"`).
    At a knot the derivative is the slope to its right. The cost does not grow with the
    number of knots beyond 64; below, it grows slowly.

    Infinite inputs count as $10^{30}$ segment widths away, so that a flat end stays finite; a
    NaN input gives NaN and adds nothing to the gradient of the values.

    Source: Learning Activation Functions via Correlation Objectives, sections 2.2 and 3.2
    (33 knots on [−3, 3], from ReLU). The paper leaves the function outside the knots open.

    The start interpolates `initial`. The knots lie on [−3, 3] where that function goes on in
    straight lines outside; where it does not, and `low` or `high` is not given, they reach out
    until the start agrees with it: |start − f| ≤ 0.02 (1 + |f|) on [−20, 20] (33 knots for
    swish lie on [−9, 6], for tanh on [−4, 4], for relu6 on [−3, 9]; see
    `keras_actfn.layers.knots.knot_range`). A start that does not agree warns and says where.

    Args:
        knots: Number of knots K, from 2 to 65,536.
        low: Position of the first knot; −3 or as above if None.
        high: Position of the last knot; 3 or as above if None.
        initial: The function to start from: an operator name, an expression in x, a callable,
            or a list of K values.
        extrapolation: `"linear"` or `"clamp"`.
        constraint: None, or a constraint on `values` such as `"anchored_unit_norm"`, which the
            optimizer applies after every step; the initial values are projected too.
        axis: None for one function for the layer, or the axis or axes that keep their own.
        **kwargs: `keras.layers.Layer`'s.

    Input shape:
        Any; float.

    Output shape:
        The input's.

    Weights:
        `values`, float32, of shape (K,) followed by the sizes of `axis`.

    Raises:
        ValueError: If there are fewer than two knots or too many, `low` is not below `high`,
            `initial` is unknown or not finite at a knot, or `axis` does not fit the input.

    Example:
    ```python
    layer = PWL(knots=3, low=-1.0, high=1.0, initial=[0.0, 0.0, 2.0])
    layer(keras.ops.array([[-1.0, 0.5, 2.0]]))  # [[0.0, 1.0, 4.0]]
    ```
    """

    def activate(self, x: Any, values: Any) -> Any:
        """The formula above."""
        clamp = self.extrapolation == "clamp"
        return backend.piecewise_linear(x, values, self.low, self.high, clamp)
