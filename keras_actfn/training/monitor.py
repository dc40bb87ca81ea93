"""The Keras callback that watches a run by a recipe: every step's loss and accuracy."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .fit_monitor import FitMonitor


class RunMonitor(FitMonitor):
    """Records every training step of a run, and stops a run that diverges.

    Keras hands out the means of the epoch so far; `curves` turns them back into the values
    of the steps. They are read when the monitor looks at the loss, and at the end of an epoch, so
    that no step waits for them. What followed the first loss that is not finite is left out.

    Args:
        on_step: Function of the number of steps taken since it was called last.
        before_epoch: Function of the epoch, from 0, called before its first step.
        after_epoch: As for `FitMonitor`.
    """

    def __init__(
        self,
        on_step: Callable | None = None,
        before_epoch: Callable | None = None,
        after_epoch: Callable | None = None,
    ):
        super().__init__(None, None, on_step=on_step, after_epoch=after_epoch)
        self._before_epoch = before_epoch
        self._means: list[list[tuple]] = []
        self._read = 0  # steps of this epoch whose means are numbers

    @property
    def steps(self) -> int:
        """Steps taken so far, up to the first one whose loss is not finite."""
        return sum(map(len, self._means))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin a new list of steps."""
        if self._before_epoch is not None:
            self._before_epoch(epoch)
        super().on_epoch_begin(epoch)
        self._means.append([])
        self._read = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keep what the step reports; look at it now and then."""
        self._means[-1].append((logs["loss"], logs["accuracy"]))
        super().on_train_batch_end(batch, logs)

    def _look(self):
        super()._look()
        means = self._means[-1]
        for number in range(self._read, len(means)):
            means[number] = loss, _ = tuple(map(float, means[number]))
            if not math.isfinite(loss):
                del means[number + 1 :]
                break
        self._read = len(means)

    def curves(self, points: int = 200) -> dict[str, np.ndarray]:
        """Mean loss and accuracy of the steps in at most `points` blocks of equal length.

        Returns:
            `step`, `loss` and `accuracy`, arrays of one length; `step` is a block's last step,
            counted from 1.
        """
        loss = np.concatenate([_values_of_means([s[0] for s in e]) for e in self._means])
        accuracy = np.concatenate([_values_of_means([s[1] for s in e]) for e in self._means])
        edges = np.unique(np.linspace(0, len(loss), min(points, len(loss)) + 1).astype(int))
        count = np.diff(edges)
        return {
            "step": edges[1:],
            "loss": np.add.reduceat(loss, edges[:-1]) / count,
            "accuracy": np.add.reduceat(accuracy, edges[:-1]) / count,
        }


def _values_of_means(means):
    """The sequence whose running means are given: v_k = k·m_k − (k−1)·m_{k−1}."""
    totals = np.arange(1, len(means) + 1) * np.asarray(means, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.diff(totals, prepend=0.0)
