"""What the learnable activations with evenly spaced knots share: where the knots are, the start."""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from keras import ops

from .. import constraints, expressions
from ..expressions.expression import shown
from .base import LearnableActivation, finite_in_float32, starting_again
from .knots import DEFAULT, EXTRAPOLATIONS, TOLERANCE, KnotRange, knot_range, pwl_values

#: Beyond this float32 resolves the position within a segment to less than a part in 256.
MOST_KNOTS = 1 << 16

#: Values of all knots and channels together: what a 32-bit index reaches.
MOST_VALUES = 1 << 31


class UniformKnots(LearnableActivation):
    """Base of activations that have a number for each of K evenly spaced knots.

    A subclass implements `activate(x, numbers)`; its attributes say what the numbers are. The
    arguments are those of `PWL`.
    """

    #: Name of the weight of shape (K, …).
    weight_name: ClassVar[str] = "values"

    #: The function through values at knots, as `knots.pwl_values`, that the layer starts as.
    interpolant: ClassVar[Callable[..., np.ndarray]] = staticmethod(pwl_values)

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
        self.knots = self._knots_argument(knots)
        if extrapolation not in EXTRAPOLATIONS:
            raise ValueError(
                f"{type(self).__name__}'s extrapolation is one of "
                f"{', '.join(map(repr, EXTRAPOLATIONS))}. Received: "
                f"extrapolation={extrapolation!r}."
            )
        self.extrapolation = extrapolation
        self.constraint = constraints.get(constraint)
        self.low, self.high = self._ends_argument(low, high)
        self.initial, self._initial_values = self._initial_argument(initial)
        self.create_shared_parameters()

    @classmethod
    def range_for(
        cls, initial: Any, inputs: Any, knots: int = 33, extrapolation: str = "linear"
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
        found = keras_actfn.layers.PWL.range_for("swish", keras.random.normal((1000,)))
        layer = keras_actfn.layers.PWL(initial="swish", low=found.low, high=found.high)
        ```
        """
        return knot_range(
            expressions.resolve(initial),
            cls._knots_argument(knots),
            inputs=inputs,
            extrapolation=extrapolation,
            interpolant=cls.interpolant,
        )

    @property
    def knot_positions(self) -> np.ndarray:
        """The K positions of the knots, as a float64 NumPy array."""
        return np.linspace(self.low, self.high, self.knots)

    def build(self, input_shape: Any) -> None:
        """Create the weight, of shape (K, …)."""
        super().build(input_shape)
        if self.knots * math.prod(self._own_sizes) >= MOST_VALUES:
            raise ValueError(
                f"{self._title()}: such a layer has fewer than {MOST_VALUES:,} values. Received: "
                f"{self.knots} knots for each of {self._own_sizes}. Take fewer knots, or leave "
                "an axis out of `axis`."
            )
        self.add_parameter(
            self.weight_name, self.knots, self._initialize, constraint=self.constraint
        )

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

    def _weight_of(self, values):
        """The weight with which f takes these values at the knots, NumPy arrays."""
        return values

    def _initialize(self, shape, dtype=None):
        column = self._weight_of(self._initial_values).reshape(-1, *(1 for _ in shape[1:]))
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
            function,
            self.knots,
            self.low,
            self.high,
            extrapolation=self.extrapolation,
            interpolant=self.interpolant,
        )
        self.low, self.high = found.low, found.high
        if not found.fits and np.isfinite(found.error):
            warnings.warn(
                f"{type(self).__name__} starts from {shown(initial)} interpolated at {self.knots} "
                f"knots on [{found.low:g}, {found.high:g}], which differs from it by "
                f"{found.difference:.3g} at x = {found.at:.4g}. The two agree to {TOLERANCE} "
                f"(1 + |f|) on [{found.agrees[0]:.4g}, {found.agrees[1]:.4g}]. Where inputs lie "
                "outside, give `low`, `high` or more `knots`.",
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
            self._check_order(self.low, self.high)
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
        if not finite_in_float32(values):
            bad = np.flatnonzero([not finite_in_float32(value) for value in values])
            raise ValueError(
                f"{type(self).__name__}'s initial values are finite at every knot, in float32. "
                f"Received: initial={initial!r}, which is {values[bad[0]]} at x = "
                f"{self.knot_positions[bad[0]]:g}. Choose another function or other ends."
            )
        return initial, values

    @classmethod
    def _knots_argument(cls, knots):
        if isinstance(knots, bool) or not isinstance(knots, (int, np.integer)) or knots < 2:
            raise ValueError(
                f"{cls.__name__} needs an integer number of knots, at least 2. Received: "
                f"knots={knots!r}. The default is 33."
            )
        if knots > MOST_KNOTS:
            raise ValueError(
                f"{cls.__name__} takes at most {MOST_KNOTS:,} knots; beyond, float32 does not "
                f"resolve them. Received: knots={shown(knots)}. The default is 33."
            )
        return int(knots)

    @classmethod
    def _ends_argument(cls, low, high):
        """`low` and `high` as numbers, None where they are left open."""
        ends = []
        for name, end in (("low", low), ("high", high)):
            try:
                ends.append(None if end is None else float(end))
            except (TypeError, ValueError, OverflowError):
                raise ValueError(
                    f"{cls.__name__}'s first and last knot are numbers. Received: "
                    f"{name}={shown(end)}. -3 and 3 are usual."
                ) from None
        given = [end for end in ends if end is not None]
        if len(given) < 2 and np.isfinite(given).all():
            return tuple(ends)
        cls._check_order(*ends)
        return tuple(ends)

    @classmethod
    def _check_order(cls, low, high):
        # The scale 1 / h of float32 positions has to be a finite number, too.
        open_ends = low is None or high is None
        if open_ends or not (np.isfinite([low, high, high - low]).all() and low < high):
            raise ValueError(
                f"{cls.__name__}'s first knot lies below its last, both finite. Received: "
                f"low={low}, high={high}. Swap or separate them; -3 and 3 are usual."
            )
