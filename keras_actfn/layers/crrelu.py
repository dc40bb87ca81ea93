"""ReLU with a learned correction, derived from entropy."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from .. import backend
from .base import LearnableActivation, number_argument, working_dtype

#: Beyond this |x| the correction is zero in float64 too; it keeps inf · 0 from turning into NaN.
_REACH = 40.0


@keras.saving.register_keras_serializable(package="keras_actfn")
class CRReLU(LearnableActivation):
    r"""Correction Regularized ReLU.

    $$f(x) = \max(0, x) + \varepsilon\, x\, e^{-x^2/2}$$

    with a learned $\varepsilon$. f is monotonic on $x > 0$ for
    $-1 < \varepsilon < e^{3/2}/2 \approx 2.24$.

    The paper derives the correction as a step that lowers the entropy of the output for
    standard normal inputs, but drops a sign on the way: the step that lowers it has
    $\varepsilon < 0$, and the initial $\varepsilon = 0.01$ raises it (by 0.0035 nats for the
    identity's step). As $\varepsilon$ is learned, the layer is the paper's; for the step in
    the true direction see `keras_actfn.theory.entropy`.

    Source: Sun et al., A Method on Searching Better Activation Functions, section 4.4 and
    algorithm 1.

    Args:
        epsilon: Initial $\varepsilon$; the paper's 0.01 by default.
        axis: None for one $\varepsilon$ for the layer, or the axis or axes that keep their own.
        **kwargs: `keras.layers.Layer`'s.

    Input shape:
        Any; float.

    Output shape:
        The input's.

    Weights:
        `epsilon`, float32, a scalar or of the sizes of `axis`.

    Raises:
        ValueError: If `epsilon` is no finite number or `axis` does not fit the input.

    Example:
    ```python
    layer = CRReLU(epsilon=0.5)
    layer(keras.ops.array([[-1.0, 1.0]]))  # [[-0.30326533, 1.3032653]]
    ```
    """

    def __init__(
        self, epsilon: float = 0.01, axis: int | Sequence[int] | None = None, **kwargs: Any
    ):
        super().__init__(axis=axis, **kwargs)
        hint = "The paper's value is 0.01."
        self.initial_epsilon = number_argument("CRReLU", "epsilon", epsilon, hint)
        self.create_shared_parameters()

    def build(self, input_shape: Any) -> None:
        """Create `epsilon`."""
        super().build(input_shape)
        initializer = keras.initializers.Constant(self.initial_epsilon)
        self.add_parameter("epsilon", None, initializer)

    def activate(self, x: Any, epsilon: Any) -> Any:
        """The formula above."""
        return backend.custom_gradient(_value, _gradient, x, epsilon)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "epsilon": self.initial_epsilon}


def _value(x, epsilon):
    wide, near, bell = _input_and_bell(x, epsilon)
    return ops.cast(ops.relu(wide) + epsilon * (near * bell), x.dtype)


def _gradient(gradient, x, epsilon):
    wide, near, bell = _input_and_bell(x, epsilon)
    gradient = ops.cast(gradient, wide.dtype)
    slope = ops.cast(wide > 0, wide.dtype) + epsilon * ((1 - near * near) * bell)
    to_epsilon = gradient * (near * bell)
    shared = [0, *(axis for axis in range(1, len(x.shape)) if not _own(epsilon, axis))]
    to_epsilon = ops.reshape(ops.sum(to_epsilon, axis=shared), epsilon.shape)
    return ops.cast(gradient * slope, x.dtype), ops.cast(to_epsilon, epsilon.dtype)


def _input_and_bell(x, epsilon):
    """X in the precision of epsilon or its own, whichever is wider, within reach, exp(−x²/2)."""
    wide = ops.cast(x, working_dtype(x, epsilon))
    near = ops.clip(wide, -_REACH, _REACH)
    return wide, near, ops.exp(-0.5 * near * near)


def _own(parameter, axis):
    """Whether `parameter`, aligned with the input's axes behind the batch, varies along `axis`."""
    return len(parameter.shape) > 0 and parameter.shape[axis - 1] != 1
