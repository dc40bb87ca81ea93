"""The learnable cubic spline."""

from typing import Any

import keras

from .. import backend
from .cubic_splines import interpolating_spline, spline_coefficients
from .uniform_knots import UniformKnots


@keras.saving.register_keras_serializable(package="keras_actfn")
class Spline(UniformKnots):
    r"""Cubic spline with learned coefficients at fixed, evenly spaced knots.

    $$f(x) = \sum_s c_s\,B\!\left(\frac{x - x_s}{h}\right), \qquad
    B(t) = \begin{cases} \frac{2}{3} - t^2 + \frac{1}{2} |t|^3 & |t| \le 1 \\
    \frac{1}{6} (2 - |t|)^3 & 1 < |t| \le 2 \\ 0 & \text{else} \end{cases}$$

    f has two continuous derivatives everywhere, so that it serves where derivatives of the network
    are trained, as in networks of coordinates and in physics-informed ones. Four coefficients
    count at each x: the cost does not grow with the number of knots beyond 64.

    The knots number from 0 to K − 1. Beyond them the coefficients go on in a straight line
    (`"linear"`), and so does f, from $c_0$ and $c_{K-1}$ at the outer knots: the ends of the
    natural spline, where $f'' = 0$. With `"clamp"` the outer coefficients are repeated: f becomes
    constant, $c_0$ and $c_{K-1}$, within one distance h of the knots beyond the outer ones.

    Infinite inputs count as $10^{30}$ segment widths away, so that a flat end stays finite; a
    NaN input gives NaN and adds nothing to the gradient of the coefficients.

    Source: de Boor, A Practical Guide to Splines, chapters IV and IX. As activations: Scardapane
    et al., Learning Activation Functions from Data Using Cubic Spline Interpolation, with one
    continuous derivative; Liu et al., KAN: Kolmogorov-Arnold Networks, section 2.2, with splines
    like this one that are 0 outside.

    The start takes the values of `initial` at the knots; between them it overshoots a kink: from
    ReLU, 33 knots on [−3, 3], by up to 0.016 next to 0. Where the knots lie, if `low` or
    `high` is not given, and what a start warns of, is as with `PWL`.

    Args:
        knots: Number of knots K, from 2 to 65,536.
        low: Position of the first knot; −3 or as above if None.
        high: Position of the last knot; 3 or as above if None.
        initial: The function to start from: an operator name, an expression in x, a callable,
            or a list of its K values at the knots.
        extrapolation: `"linear"` or `"clamp"`.
        constraint: None, or a constraint on `coefficients`, which the optimizer applies after
            every step; the initial coefficients are projected too.
        axis: None for one function for the layer, or the axis or axes that keep their own.
        **kwargs: `keras.layers.Layer`'s.

    Input shape:
        Any; float.

    Output shape:
        The input's.

    Weights:
        `coefficients`, float32, of shape (K,) followed by the sizes of `axis`.

    Raises:
        ValueError: If there are fewer than two knots or too many, `low` is not below `high`,
            `initial` is unknown or not finite at a knot, or `axis` does not fit the input.

    Example:
    ```python
    layer = Spline(knots=3, low=-1.0, high=1.0, initial=[0.0, 0.0, 2.0])
    layer(keras.ops.array([[-1.0, 0.5, 2.0]]))  # [[0.0, 0.8125, 4.5]]
    ```
    """

    weight_name = "coefficients"
    interpolant = staticmethod(interpolating_spline)

    def activate(self, x: Any, coefficients: Any) -> Any:
        """The formula above."""
        clamp = self.extrapolation == "clamp"
        return backend.cubic_spline(x, coefficients, self.low, self.high, clamp)

    def _weight_of(self, values):
        return spline_coefficients(values, self.extrapolation)
