"""A piecewise-linear activation with breakpoints at any places, for networks that are done."""

import functools
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from .. import backend
from .base import LearnableActivation, finite_in_float32

#: Inputs count as no farther from zero than this.
_FARTHEST = 1e30

#: Most segments that a layer takes.
MOST_SEGMENTS = 1024


@keras.saving.register_keras_serializable(package="keras_actfn")
class SegmentedLinear(LearnableActivation):
    r"""Continuous piecewise-linear activation of K segments between given breakpoints.

    $$f(x) = s_k\,x + c_k \quad\text{for } t_k \le x < t_{k+1},\qquad
    c_{k+1} = c_k + (s_k - s_{k+1})\,t_{k+1}$$

    with $t_0 = -\infty$ and $t_K = \infty$. Inputs beyond $\pm 10^{30}$ count as that, so that a
    flat end stays finite at infinity; NaN gives NaN. It is what a network is deployed with:
    `keras_actfn.surgery.compile_activations` fits it to any other activation. A comparison for
    each breakpoint and two table look-ups compute it; `PWL` is the layer to learn with.

    Args:
        breakpoints: The K − 1 positions where a segment ends, rising; may be empty.
        slopes: The K slopes.
        intercept: c₀, the value at zero of the first segment's line.
        trainable: Whether the slopes and the intercept are trained. The breakpoints never are.
        **kwargs: `keras.layers.Layer`'s.

    Input shape:
        Any; float.

    Output shape:
        The input's.

    Weights:
        `slopes`, (K,), and `intercept`, (), float32.

    Raises:
        ValueError: If the numbers are not finite, the breakpoints do not rise, or there is not
            one more slope than there are breakpoints.

    Example:
    ```python
    relu6 = SegmentedLinear([0.0, 6.0], [0.0, 1.0, 0.0])
    relu6(keras.ops.array([-1.0, 2.0, 7.0]))  # [0.0, 2.0, 6.0]
    ```
    """

    def __init__(
        self,
        breakpoints: ArrayLike,
        slopes: ArrayLike,
        intercept: float = 0.0,
        trainable: bool = False,
        **kwargs: Any,
    ):
        super().__init__(axis=None, trainable=trainable, **kwargs)
        self.breakpoints = _numbers("breakpoints", breakpoints)
        self.initial_slopes = _numbers("slopes", slopes)
        self.initial_intercept = _numbers("intercept", [intercept])[0]
        if len(self.initial_slopes) != len(self.breakpoints) + 1:
            raise ValueError(
                "SegmentedLinear has one more slope than breakpoints. Received: "
                f"{len(self.breakpoints)} breakpoints and {len(self.initial_slopes)} slopes."
            )
        if len(self.initial_slopes) > MOST_SEGMENTS:
            raise ValueError(
                f"SegmentedLinear has at most {MOST_SEGMENTS} segments. Received: "
                f"{len(self.initial_slopes)}."
            )
        if (np.diff(self.breakpoints) <= 0).any():
            raise ValueError(
                "SegmentedLinear's breakpoints rise from each to the next. Received: "
                f"{self.breakpoints}. Sort them and leave out what stands twice."
            )
        self.create_shared_parameters()

    @classmethod
    def of(cls, segments: Any, **kwargs: Any) -> "SegmentedLinear":
        """The layer of a `keras_actfn.theory.segments.Segments`.

        Args:
            segments: The function.
            **kwargs: The constructor's other arguments.
        """
        return cls(
            segments.breakpoints.tolist(),
            segments.slopes.tolist(),
            float(segments.intercepts[0]),
            **kwargs,
        )

    def build(self, input_shape: Any) -> None:
        """Create `slopes` and `intercept`."""
        super().build(input_shape)
        constant = keras.initializers.Constant
        slopes = np.asarray(self.initial_slopes)
        self.add_parameter("slopes", len(slopes), lambda shape, dtype: ops.cast(slopes, dtype))
        self.add_parameter("intercept", None, constant(self.initial_intercept))

    def activate(self, x: Any, slopes: Any, intercept: Any) -> Any:
        """The formula above."""
        rules = (functools.partial(f, self.breakpoints) for f in (_value, _gradient, _sums))
        forward, backward, sums = rules
        return backend.custom_gradient(forward, backward, x, slopes, intercept, sums=sums)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        config.pop("axis")
        return {
            **config,
            "breakpoints": self.breakpoints,
            "slopes": self.initial_slopes,
            "intercept": self.initial_intercept,
        }


def _value(breakpoints, x, slopes, intercept):
    wide, slope, start, _ = _line(breakpoints, x, slopes, intercept)
    return ops.cast(slope * wide + start, x.dtype)


def _gradient(breakpoints, gradient, x, slopes, intercept):
    """Gradient to x, and what `_sums` takes."""
    wide, slope, _, index = _line(breakpoints, x, slopes, intercept)
    gradient = ops.cast(gradient, wide.dtype)
    within = ops.absolute(ops.cast(x, wide.dtype)) <= _FARTHEST
    to_x = ops.where(within, gradient * slope, ops.zeros_like(gradient))
    return ops.cast(to_x, x.dtype), gradient, gradient * wide, index


def _sums(breakpoints, gradient, moment, index, slopes, intercept):
    """Gradients to the slopes and the intercept, from those to each segment's line."""
    nothing, shape = ops.zeros_like(gradient), tuple(slopes.shape)
    index = ops.cast(index, backend.INDEX_DTYPE)
    to_slopes, to_starts = (
        backend.knot_sums([each, nothing], index, shape) for each in (moment, gradient)
    )
    if breakpoints:
        # Each start is the one before it plus (slope before - slope behind) * breakpoint.
        behind = ops.flip(ops.cumsum(ops.flip(to_starts[1:])))
        moved = behind * ops.convert_to_tensor(breakpoints, slopes.dtype)
        to_slopes = to_slopes + ops.pad(moved, [[0, 1]]) - ops.pad(moved, [[1, 0]])
    return ops.cast(to_slopes, slopes.dtype), ops.cast(ops.sum(to_starts), intercept.dtype)


def _line(breakpoints, x, slopes, intercept):
    """X in the slopes' precision, the slope and start of its segment, and the segment's index."""
    wide = ops.clip(ops.cast(x, slopes.dtype), -_FARTHEST, _FARTHEST)
    if not breakpoints:
        return wide, slopes[0], intercept, ops.zeros_like(wide, dtype="int32")
    positions = ops.convert_to_tensor(breakpoints, slopes.dtype)
    steps = (slopes[:-1] - slopes[1:]) * positions
    starts = intercept + ops.concatenate([ops.zeros_like(slopes[:1]), ops.cumsum(steps)])
    index = ops.searchsorted(positions, ops.reshape(wide, (-1,)), side="right")
    index = ops.reshape(index, ops.shape(wide))
    chosen = ops.take(ops.stack([slopes, starts], axis=1), index, axis=0)
    return wide, chosen[..., 0], chosen[..., 1], index


def _numbers(name: str, values: ArrayLike) -> list[float]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not finite_in_float32(array):
        raise ValueError(
            f"SegmentedLinear's {name} is a list of finite numbers. Received: {values!r}."
        )
    return array.tolist()
