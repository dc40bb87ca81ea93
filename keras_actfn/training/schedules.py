"""Learning rates over the steps of training that Keras has no schedule for."""

from typing import Any, Self

import keras
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule


@keras.saving.register_keras_serializable(package="keras_actfn")
class LinearWarmUpAndDecay(LearningRateSchedule):
    """From zero to `peak` in a straight line, then in another to zero at `total_steps`.

    The AQuaSurF paper's schedule on CIFAR (Table 5).

    Args:
        peak: Largest learning rate.
        warmup_steps: Steps until it is reached.
        total_steps: Steps until the learning rate is zero again; it stays there.

    Raises:
        ValueError: Unless 0 ≤ warmup_steps < total_steps.

    Example:
    ```python
    steps_per_epoch = 100
    keras.optimizers.SGD(LinearWarmUpAndDecay(0.1, 5 * steps_per_epoch, 25 * steps_per_epoch))
    ```
    """

    def __init__(self, peak: float, warmup_steps: int, total_steps: int):
        super().__init__()
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(
                "LinearWarmUpAndDecay: the steps of warm-up are at least 0 and fewer than all. "
                f"Received: warmup_steps={warmup_steps}, total_steps={total_steps}."
            )
        self.peak, self.warmup_steps, self.total_steps = peak, warmup_steps, total_steps

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step."""
        step = ops.cast(step, "float32")
        rise = (step + 1) / max(self.warmup_steps, 1)
        fall = (self.total_steps - step) / (self.total_steps - self.warmup_steps)
        part = ops.where(step < self.warmup_steps, rise, fall)
        return self.peak * ops.clip(part, 0.0, 1.0)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("peak", "warmup_steps", "total_steps")
        return {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable(package="keras_actfn")
class FrozenUntil(LearningRateSchedule):
    """Zero for the first `steps` steps, then another schedule from where it would be.

    Args:
        learning_rate: A number or a `LearningRateSchedule`.
        steps: Steps without learning.

    Example:
    ```python
    keras.optimizers.Adam(FrozenUntil(1e-2, 500))  # five epochs of 100 steps
    ```
    """

    def __init__(self, learning_rate: Any, steps: int):
        super().__init__()
        self.learning_rate, self.steps = learning_rate, steps

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step."""
        rate = self.learning_rate
        rate = rate(step) if callable(rate) else ops.convert_to_tensor(rate, "float32")
        return ops.where(ops.cast(step, "float32") < self.steps, ops.zeros_like(rate), rate)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        rate = self.learning_rate
        if isinstance(rate, LearningRateSchedule):
            rate = keras.saving.serialize_keras_object(rate)
        return {"learning_rate": rate, "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The schedule of a configuration."""
        if isinstance(config["learning_rate"], dict):
            rate = keras.saving.deserialize_keras_object(config["learning_rate"])
            config = {**config, "learning_rate": rate}
        return cls(**config)
