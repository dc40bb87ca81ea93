"""ACON-C, a smooth maximum of two learned lines."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from .. import backend
from ..expressions.tensor_functions import finite
from .base import LearnableActivation, number_argument, working_dtype

#: The sigmoid is 0 or 1 to float64 beyond these arguments; so no product overflows on its way.
_REACH = 800.0


@keras.saving.register_keras_serializable(package="keras_actfn")
class ACON(LearnableActivation):
    r"""ACON-C: activate or not.

    $$f(x) = (p_1 - p_2)\, x\, \sigma(\beta (p_1 - p_2) x) + p_2 x$$

    with learned $p_1, p_2, \beta$. It is a smooth maximum of the lines $p_1 x$ and $p_2 x$, with
    $\beta$ as its sharpness: $\beta = 0$ gives their mean, which is linear, $\beta \to \infty$
    their maximum. $p_1 = 1, p_2 = 0, \beta = 1$ is swish, where the layer starts.

    Source: Ma, Zhang, Liu & Sun, Activate or Not: Learning Customized Activation (CVPR 2021),
    section 3, ACON-C. The parameters are one for each channel, as in the paper, so `axis` is −1 by
    default. The published code draws $p_1$ and $p_2$ from N(0, 1); assign such values to
    `layer.p1` and `layer.p2` to start as it does. Where $p_1 = p_2$, neither $\beta$ nor the
    difference has an influence beyond first order.

    Args:
        p1: The $p_1$ to start from.
        p2: The $p_2$ to start from.
        beta: The $\beta$ to start from.
        axis: The axis or axes that keep their own parameters, or None for one set for the layer.
        **kwargs: `keras.layers.Layer`'s.

    Input shape:
        Any; float.

    Output shape:
        The input's.

    Weights:
        `p1`, `p2` and `beta`, float32, of the sizes of `axis`, or scalars.

    Raises:
        ValueError: If an argument is no finite number or `axis` does not fit the input.

    Example:
    ```python
    layer = ACON(p1=1.0, p2=0.25)
    layer(keras.ops.array([[-2.0, 2.0]]))  # [[-0.7736383, 1.7263617]]
    ```
    """

    def __init__(
        self,
        p1: float = 1.0,
        p2: float = 0.0,
        beta: float = 1.0,
        axis: int | Sequence[int] | None = -1,
        **kwargs: Any,
    ):
        super().__init__(axis=axis, **kwargs)
        hint = "p1=1, p2=0, beta=1 is swish."
        given = {"p1": p1, "p2": p2, "beta": beta}
        self.starts = {
            name: number_argument("ACON", name, value, hint) for name, value in given.items()
        }
        self.create_shared_parameters()

    def build(self, input_shape: Any) -> None:
        """Create `p1`, `p2` and `beta`."""
        super().build(input_shape)
        for name, start in self.starts.items():
            self.add_parameter(name, None, keras.initializers.Constant(start))

    def activate(self, x: Any, p1: Any, p2: Any, beta: Any) -> Any:
        """The formula above."""
        return backend.elementwise(_value, x, p1, p2, beta)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), **self.starts}


def _value(x, p1, p2, beta):
    wide = finite(ops.cast(x, working_dtype(x, p1)))
    difference = p1 - p2
    gate = ops.sigmoid(ops.clip((beta * difference) * wide, -_REACH, _REACH))
    return ops.cast((difference * gate + p2) * wide, x.dtype)
