"""Dynamic Tanh, which takes the place of a normalisation layer."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from .. import backend
from ..expressions.tensor_functions import finite, tanh
from .base import LearnableActivation, number_argument, working_dtype


@keras.saving.register_keras_serializable(package="keras_actfn")
class DynamicTanh(LearnableActivation):
    r"""Dynamic Tanh (DyT).

    $$f(x) = \gamma \tanh(\alpha x) + \beta$$

    with a learned scalar $\alpha$ for the layer, and learned $\gamma$ and $\beta$ for each channel.

    It is an activation by its form, but it **replaces a normalisation layer**: the paper puts it
    where a transformer has `LayerNormalization` or `RMSNormalization`, and leaves the activations
    as they are. It needs no statistics of the batch or of the token. To replace an activation
    instead, take `scaled(tanh)`, which has no offset.

    Source: Zhu, Chen, He, LeCun & Liu, Transformers without Normalization (CVPR 2025), section 4
    and algorithm 1. The paper starts from $\alpha = 0.5$; its language models start from other
    values (section 7).

    Args:
        alpha: The $\alpha$ to start from.
        gamma: The $\gamma$ to start from.
        beta: The $\beta$ to start from.
        axis: The axis or axes that keep their own $\gamma$ and $\beta$, or None for one for the
            layer.
        **kwargs: `keras.layers.Layer`'s.

    Input shape:
        Any; float.

    Output shape:
        The input's.

    Weights:
        `alpha`, float32, a scalar; `gamma` and `beta`, float32, of the sizes of `axis`, or scalars.

    Raises:
        ValueError: If an argument is no finite number or `axis` does not fit the input.

    Example:
    ```python
    layer = DynamicTanh()  # in the place of keras.layers.LayerNormalization()
    layer(keras.ops.array([[-2.0, 2.0]]))  # [[-0.7615942, 0.7615942]]
    ```
    """

    def __init__(
        self,
        alpha: float = 0.5,
        gamma: float = 1.0,
        beta: float = 0.0,
        axis: int | Sequence[int] | None = -1,
        **kwargs: Any,
    ):
        super().__init__(axis=axis, **kwargs)
        hint = "The paper starts from alpha=0.5, gamma=1, beta=0."
        given = {"alpha": alpha, "gamma": gamma, "beta": beta}
        self.starts = {
            name: number_argument("DynamicTanh", name, value, hint) for name, value in given.items()
        }
        self.create_shared_parameters()

    def build(self, input_shape: Any) -> None:
        """Create `alpha`, `gamma` and `beta`."""
        super().build(input_shape)
        for name, start in self.starts.items():
            initializer = keras.initializers.Constant(start)
            self.add_parameter(name, None, initializer, shared=name == "alpha")

    def activate(self, x: Any, alpha: Any, gamma: Any, beta: Any) -> Any:
        """The formula above."""
        return backend.elementwise(_value, x, alpha, gamma, beta)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), **self.starts}


def _value(x, alpha, gamma, beta):
    wide = finite(ops.cast(x, working_dtype(x, alpha)))
    return ops.cast(gamma * tanh(alpha * wide) + beta, x.dtype)
