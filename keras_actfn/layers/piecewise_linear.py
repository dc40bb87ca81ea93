"""The learnable piecewise-linear activation."""

import keras
import numpy as np
from keras import ops

from .. import backend, constraints, expressions
from .base import LearnableActivation

EXTRAPOLATIONS = ("linear", "clamp")


@keras.saving.register_keras_serializable(package="keras_actfn")
class PWL(LearnableActivation):
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

    Args:
        knots: Number of knots K, at least 2.
        low: Position of the first knot.
        high: Position of the last knot.
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
        ValueError: If there are fewer than two knots, `low` is not below `high`, `initial` is
            unknown or not finite at a knot, or `axis` does not fit the input.

    Example:
    ```python
    layer = PWL(knots=3, low=-1.0, high=1.0, initial=[0.0, 0.0, 2.0])
    layer(keras.ops.array([[-1.0, 0.5, 2.0]]))  # [[0.0, 1.0, 4.0]]
    ```
    """

    def __init__(
        self,
        knots=33,
        low=-3.0,
        high=3.0,
        initial="relu",
        extrapolation="linear",
        constraint=None,
        axis=None,
        **kwargs,
    ):
        super().__init__(axis=axis, **kwargs)
        self.knots, self.low, self.high = _grid_argument(knots, low, high)
        if extrapolation not in EXTRAPOLATIONS:
            raise ValueError(
                f"PWL's extrapolation is one of {', '.join(map(repr, EXTRAPOLATIONS))}. "
                f"Received: extrapolation={extrapolation!r}."
            )
        self.extrapolation = extrapolation
        self.constraint = constraints.get(constraint)
        self.initial, self._initial_values = self._initial_argument(initial)
        self.create_shared_parameters()

    @property
    def knot_positions(self):
        """The K positions of the knots, as a float64 NumPy array."""
        return np.linspace(self.low, self.high, self.knots)

    def build(self, input_shape):
        """Create `values`, of shape (K, …)."""
        super().build(input_shape)
        self.add_parameter("values", self.knots, self._initialize, constraint=self.constraint)

    def activate(self, x, values):
        """The formula above."""
        clamp = self.extrapolation == "clamp"
        return backend.piecewise_linear(x, values, self.low, self.high, clamp)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "knots": self.knots,
            "low": self.low,
            "high": self.high,
            "initial": self._saved_initial(),
            "extrapolation": self.extrapolation,
            "constraint": constraints.serialize(self.constraint),
        }

    def _initialize(self, shape, dtype=None):
        column = self._initial_values.reshape(-1, *(1 for _ in shape[1:]))
        values = ops.convert_to_tensor(np.broadcast_to(column, shape), dtype)
        return values if self.constraint is None else self.constraint(values)

    def _saved_initial(self):
        if isinstance(self.initial, (str, list)):
            return self.initial
        return expressions.serialize(expressions.resolve(self.initial))

    def _initial_argument(self, initial):
        """`initial` without arrays, and its values at the knots."""
        if isinstance(initial, (list, tuple, np.ndarray)):
            values = np.asarray(initial, dtype="float64")
            initial = values.tolist()
            if values.shape != (self.knots,):
                raise ValueError(
                    f"As a list, `initial` gives one value per knot, {self.knots} here. "
                    f"Received values of shape {values.shape}."
                )
        else:
            function = expressions.resolve(initial)
            with np.errstate(all="ignore"):
                values = np.asarray(function(self.knot_positions), dtype="float64")
        if not np.isfinite(values).all():
            bad = np.flatnonzero(~np.isfinite(values))
            raise ValueError(
                "PWL's initial values are finite at every knot. Received: "
                f"initial={initial!r}, which is {values[bad[0]]} at x = "
                f"{self.knot_positions[bad[0]]:g}. Choose another function or other ends."
            )
        return initial, values


def _grid_argument(knots, low, high):
    if isinstance(knots, bool) or not isinstance(knots, (int, np.integer)) or knots < 2:
        raise ValueError(
            f"PWL needs an integer number of knots, at least 2. Received: knots={knots!r}. The "
            "paper uses 33."
        )
    low, high = float(low), float(high)
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(
            "PWL's first knot lies below its last, both finite. Received: "
            f"low={low}, high={high}. Swap or separate them; the paper uses -3 and 3."
        )
    return int(knots), low, high
