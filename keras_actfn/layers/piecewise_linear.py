"""The learnable piecewise-linear activation."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from .. import backend, constraints, expressions
from ..expressions.expression import shown
from .base import LearnableActivation, starting_again
from .knots import DEFAULT, EXTRAPOLATIONS, TOLERANCE, KnotRange, knot_range

#: Beyond this float32 resolves the position within a segment to less than a part in 256.
MOST_KNOTS = 1 << 16

#: Values of all knots and channels together: what a 32-bit index reaches.
MOST_VALUES = 1 << 31


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

    def __init__(
        self,
        knots: int = 33,
        low: float | None = None,
        high: float | None = None,
        initial: Any = "relu",
        extrapolation: str = "linear",
        constraint: Any = None,
        axis: int | Sequence[int] | None = None,
        **kwargs: Any,
    ):
        super().__init__(axis=axis, **kwargs)
        self.knots = _knots_argument(knots)
        if extrapolation not in EXTRAPOLATIONS:
            raise ValueError(
                f"PWL's extrapolation is one of {', '.join(map(repr, EXTRAPOLATIONS))}. "
                f"Received: extrapolation={extrapolation!r}."
            )
        self.extrapolation = extrapolation
        self.constraint = constraints.get(constraint)
        self.low, self.high = _ends_argument(low, high)
        self.initial, self._initial_values = self._initial_argument(initial)
        self.create_shared_parameters()

    @staticmethod
    def range_for(
        initial: Any, inputs: Any, knots: int = 33, extrapolation: str = "linear"
    ) -> KnotRange:
        """Where the knots of a start should lie for what an activation is applied to.

        Args:
            initial: As in the constructor, but not a list.
            inputs: Samples of the pre-activations, any shape; NaN and infinity are left out.
            knots: Number of knots.
            extrapolation: As in the constructor.

        Returns:
            A `keras_actfn.layers.knots.KnotRange`, whose `low` and `high` are the
            constructor's, and whose `error` and `agrees` say how well the start fits. The
            constructor compares on [−20, 20] and may warn; `from_config` does not.

        Raises:
            ValueError: If the inputs hold fewer than two different finite numbers.

        Example:
        ```python
        found = PWL.range_for("swish", keras.random.normal((1000,)))
        layer = PWL(initial="swish", low=found.low, high=found.high)
        ```
        """
        function = expressions.resolve(initial)
        return knot_range(
            function, _knots_argument(knots), inputs=inputs, extrapolation=extrapolation
        )

    @property
    def knot_positions(self) -> np.ndarray:
        """The K positions of the knots, as a float64 NumPy array."""
        return np.linspace(self.low, self.high, self.knots)

    def build(self, input_shape: Any) -> None:
        """Create `values`, of shape (K, …)."""
        super().build(input_shape)
        if self.knots * math.prod(self._own_sizes) >= MOST_VALUES:
            raise ValueError(
                f"{self._title()}: a PWL layer has fewer than {MOST_VALUES:,} values. Received: "
                f"{self.knots} knots for each of {self._own_sizes}. Take fewer knots, or leave "
                "an axis out of `axis`."
            )
        self.add_parameter("values", self.knots, self._initialize, constraint=self.constraint)

    def activate(self, x: Any, values: Any) -> Any:
        """The formula above."""
        clamp = self.extrapolation == "clamp"
        return backend.piecewise_linear(x, values, self.low, self.high, clamp)

    def get_config(self) -> dict[str, Any]:
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

    def _choose_range(self, initial, function):
        """Set the ends left open, and warn where the start is not the function."""
        both = self.low is not None and self.high is not None
        if both and (starting_again() or self.extrapolation == "clamp"):
            return
        found = knot_range(
            function, self.knots, self.low, self.high, extrapolation=self.extrapolation
        )
        self.low, self.high = found.low, found.high
        if not found.fits and np.isfinite(found.error):
            warnings.warn(
                f"PWL starts from {shown(initial)} interpolated at {self.knots} knots on "
                f"[{found.low:g}, {found.high:g}], which differs from it by {found.difference:.3g} "
                f"at x = {found.at:.4g}. The two agree to {TOLERANCE} (1 + |f|) on "
                f"[{found.agrees[0]:.4g}, {found.agrees[1]:.4g}]. Where inputs lie outside, give "
                "`low`, `high` or more `knots`.",
                stacklevel=4,
            )

    def _initial_argument(self, initial):
        """`initial` without arrays, and its values at the knots; sets the ends left open."""
        if isinstance(initial, (list, tuple, np.ndarray)):
            try:
                values = np.asarray(initial, dtype="float64")
            except (TypeError, ValueError, OverflowError):
                raise ValueError(
                    "As a list, `initial` gives one finite number per knot. Received: "
                    f"{shown(initial)}."
                ) from None
            initial = values.tolist()
            self.low = -DEFAULT if self.low is None else self.low
            self.high = DEFAULT if self.high is None else self.high
            _check_order(self.low, self.high)
            if values.shape != (self.knots,):
                raise ValueError(
                    f"As a list, `initial` gives one value per knot, {self.knots} here. "
                    f"Received values of shape {values.shape}."
                )
        else:
            function = expressions.resolve(initial)
            self._choose_range(initial, function)
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


def _knots_argument(knots):
    if isinstance(knots, bool) or not isinstance(knots, (int, np.integer)) or knots < 2:
        raise ValueError(
            f"PWL needs an integer number of knots, at least 2. Received: knots={knots!r}. The "
            "paper uses 33."
        )
    if knots > MOST_KNOTS:
        raise ValueError(
            f"PWL takes at most {MOST_KNOTS:,} knots; beyond, float32 does not resolve them. "
            f"Received: knots={shown(knots)}. The paper uses 33."
        )
    return int(knots)


def _ends_argument(low, high):
    """`low` and `high` as numbers, None where they are left open."""
    ends = []
    for name, end in (("low", low), ("high", high)):
        try:
            ends.append(None if end is None else float(end))
        except (TypeError, ValueError, OverflowError):
            raise ValueError(
                f"PWL's first and last knot are numbers. Received: {name}={shown(end)}. The "
                "paper uses -3 and 3."
            ) from None
    given = [end for end in ends if end is not None]
    if len(given) < 2 and np.isfinite(given).all():
        return tuple(ends)
    _check_order(*ends)
    return tuple(ends)


def _check_order(low, high):
    # The scale 1 / h of float32 positions has to be a finite number, too.
    open_ends = low is None or high is None
    if open_ends or not (np.isfinite([low, high, high - low]).all() and low < high):
        raise ValueError(
            "PWL's first knot lies below its last, both finite. Received: "
            f"low={low}, high={high}. Swap or separate them; the paper uses -3 and 3."
        )
