"""Optimisers that Keras has no class for."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_actfn")
class CoupledSGD(keras.optimizers.SGD):
    """SGD with momentum whose weight decay is part of the gradient, as in Caffe.

    With the gradient g of the loss, rate α, momentum μ and decay λ,

        v ← μ v − α (g + λ w),    w ← w + v,

    the step for the loss plus λ/2 · |w|². Keras's `weight_decay` takes α λ w from the weights
    without putting it into v, and pulls about 1 − μ times as much.

    Args:
        learning_rate: A number or a `LearningRateSchedule`.
        momentum: μ, from 0 to 1.
        l2: λ, at least 0.
        **kwargs: As in `keras.optimizers.SGD`.

    Raises:
        ValueError: If `l2` is negative.

    Example:
    ```python
    CoupledSGD(0.01, momentum=0.9, l2=5e-4)
    ```
    """

    def __init__(
        self, learning_rate: Any = 0.01, momentum: float = 0.0, l2: float = 0.0, **kwargs: Any
    ):
        super().__init__(learning_rate, momentum=momentum, **kwargs)
        if not l2 >= 0:
            raise ValueError(f"CoupledSGD: l2 is at least 0. Received: l2={l2!r}.")
        self.l2 = l2

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One step of one variable."""
        if self.l2:
            gradient = ops.cast(gradient, variable.dtype) + self.l2 * variable
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "l2": self.l2}
