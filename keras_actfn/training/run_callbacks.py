"""The callbacks of a run whose steps wait for nobody who reads their numbers."""

from collections.abc import Sequence
from typing import Any

import keras

from .fit_monitor import FitMonitor

#: What Keras calls at the steps of `fit` and of its validation.
_OF_STEPS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)


class RunCallbacks(keras.callbacks.CallbackList):
    """The callbacks of a `fit`, of which the monitor alone is called at the steps.

    Before it calls a callback at the end of a step, Keras makes Python numbers of what the step
    reports. It waits for the step, or lets a thread wait, which takes as long as a small step. Here
    the monitor gets what the step reports as the backend has it, and waits when it wants to.

    Args:
        monitor: The monitor of the run.
        callbacks: Others, for which `sees_steps` is false.
        model: The model that is trained.
        params: What Keras tells callbacks: `epochs`, `steps` (of an epoch) and `verbose`.
    """

    def __init__(
        self, monitor: FitMonitor, callbacks: Sequence, model: keras.Model, **params: Any
    ) -> None:
        super().__init__([monitor, *callbacks], add_history=True, model=model, **params)
        self._monitor = monitor

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Nobody asks."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Tell the monitor."""
        self._monitor.on_train_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Nobody asks."""

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Tell the monitor."""
        self._monitor.on_test_batch_end(batch, logs)


def sees_steps(callback: keras.callbacks.Callback) -> bool:
    """Whether a callback has code of its own for the steps of training or validation."""
    return any(
        getattr(getattr(callback, name), "__func__", None)
        is not getattr(keras.callbacks.Callback, name)
        for name in _OF_STEPS
    )
