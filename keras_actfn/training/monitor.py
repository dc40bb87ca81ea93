"""The Keras callback that watches a run by a recipe: loss, accuracy, seconds a step, divergence."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np


class RunMonitor(keras.callbacks.Callback):
    """Records every training step of a run and stops it when its loss is not finite.

    Keras hands out the means of the epoch so far; `curves` turns them back into the values
    of the steps. Reading them waits for the step to finish, so the time between the ends of
    two steps is the time of a step on asynchronous backends too.

    Args:
        on_step: Function that is called after each step with the number of steps taken: 1.
    """

    def __init__(self, on_step: Callable | None = None):
        super().__init__()
        self._on_step = on_step or (lambda count: None)
        self._epochs: list[list[tuple[float, float, float]]] = []
        self.diverged = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Begin a new list of steps."""
        self._epochs.append([])

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Record the step; stop training if the loss is NaN or infinite."""
        loss = float(logs["loss"])
        self._epochs[-1].append((time.perf_counter(), loss, float(logs["accuracy"])))
        if not math.isfinite(loss):
            self.diverged = True
            self.model.stop_training = True
        self._on_step(1)

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return sum(map(len, self._epochs))

    def step_seconds(self) -> float | None:
        """Median seconds of a step, or None if too few were taken.

        The first step of every epoch is left out (it has no step before it), and the two
        after the run's very first one, which may still compile.
        """
        parts = [np.diff([step[0] for step in epoch]) for epoch in self._epochs]
        durations = np.concatenate(parts)[2:] if parts else np.empty(0)
        return float(np.median(durations)) if len(durations) else None

    def curves(self, points: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean loss and accuracy of the steps in at most `points` blocks of equal length.

        Returns:
            `(step, loss, accuracy)`, arrays of one length; `step` is a block's last step,
            counted from 1.
        """
        loss = np.concatenate([_values_of_means([s[1] for s in e]) for e in self._epochs])
        accuracy = np.concatenate([_values_of_means([s[2] for s in e]) for e in self._epochs])
        edges = np.unique(np.linspace(0, len(loss), min(points, len(loss)) + 1).astype(int))
        count = np.diff(edges)
        return (
            edges[1:],
            np.add.reduceat(loss, edges[:-1]) / count,
            np.add.reduceat(accuracy, edges[:-1]) / count,
        )


def _values_of_means(means):
    """The sequence whose running means are given: v_k = k·m_k − (k−1)·m_{k−1}."""
    totals = np.arange(1, len(means) + 1) * np.asarray(means, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.diff(totals, prepend=0.0)
