"""The Keras callback that watches a run of `fit`: what it reports, its steps and its ends."""

import inspect
import math
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ..models.seeds import order_drawn_from

#: Seconds between two looks at the loss. A look waits for the step, which costs small models time
#: on backends that work ahead.
_LOOK_SECONDS = 0.05
#: Steps before the clock starts: the first ones compile.
_UNTIMED_STEPS = 3


class FitMonitor(keras.callbacks.Callback):
    """Records what `fit` reports after each epoch, and stops a run that diverges.

    Args:
        seed: Seed of the order in which `fit` shuffles arrays; None leaves the generators as they
            are.
        train: What the run reads.
        steps_per_epoch: Steps that an epoch was asked to have, or None.
        on_step: Function of the number of steps taken since it was called last.
        after_epoch: Function of the epoch, from 1, and the validation part's metrics, called where
            they were measured, unless the training diverged. It may raise, which ends the run.

    Attributes:
        diverged: Whether a loss was not finite.
        epochs: For each epoch: steps taken so far, and what `fit` reports.
    """

    def __init__(
        self,
        seed: int | None,
        train: Any,
        steps_per_epoch: int | None = None,
        on_step: Callable | None = None,
        after_epoch: Callable | None = None,
    ):
        super().__init__()
        self._seed = seed
        self._generator = inspect.isgenerator(train)
        self._asked = steps_per_epoch
        self._on_step = on_step or (lambda count: None)
        self._after_epoch = after_epoch
        self._before = self._epoch_steps = self._test_steps = 0
        self._first_test: int | None = None
        self._marks: list[tuple[float, int]] = []
        self._durations: list[float] = []
        self._looked = 0.0
        self._logs: dict[str, Any] = {}
        self.diverged = False
        self.epochs: list[tuple[int, dict[str, float]]] = []

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return self._before + self._epoch_steps

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin to count; the epoch's order depends on the seed and its number alone."""
        if self._seed is not None:
            order_drawn_from(self._seed, epoch)
        self._before, self._epoch_steps = self.steps, 0
        now = time.perf_counter()
        self._marks = [(now, self._before)] if self._before >= _UNTIMED_STEPS else []
        self._looked = now

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count the steps; look at the loss now and then."""
        taken = batch + 1 - self._epoch_steps  # more than one with steps_per_execution
        self._epoch_steps = batch + 1
        self._logs = logs or {}
        timed = bool(self._marks) or self.steps < _UNTIMED_STEPS
        if not timed or time.perf_counter() - self._looked > _LOOK_SECONDS:
            self._look()
        self._on_step(taken)

    def _look(self):
        """Wait for the last step, note the time, and stop if its loss is not finite."""
        loss = self._logs.get("loss")
        if loss is not None and not math.isfinite(float(loss)):
            self.diverged = True
            self.model.stop_training = True
        self._looked = time.perf_counter()
        if self.steps >= _UNTIMED_STEPS:
            if self._marks and self.steps > self._marks[-1][1]:
                since, before = self._marks[-1]
                self._durations.append((self._looked - since) / (self.steps - before))
            self._marks.append((self._looked, self.steps))

    def on_test_begin(self, logs: Any = None) -> None:
        """The epoch's training has ended."""
        self._close()
        self._test_steps = 0

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count the steps of the validation."""
        self._test_steps = batch + 1

    def on_test_end(self, logs: Any = None) -> None:
        """Check that the validation data did not end early."""
        if self._first_test is None:
            self._first_test = self._test_steps
        if self._test_steps < self._first_test or not self._test_steps:
            raise _ended_early("validation", self._test_steps, self._first_test)

    def _close(self):
        if self._logs:
            self._look()
        self._marks, self._logs = [], {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Record what `fit` reports and check that the data did not end early."""
        self._close()
        expected = self._asked or (self.epochs[0][0] if self.epochs else self._epoch_steps)
        stopped = self.diverged or self.model.stop_training
        short = self._generator and self._epoch_steps < expected
        if (short and not stopped) or not self._epoch_steps:
            raise _ended_early("train", self._epoch_steps, expected)
        found = numbers_of(logs or {})
        self.epochs.append((self.steps, found))
        measured = {n[4:]: value for n, value in found.items() if n.startswith("val_")}
        losses = (found.get("loss", 0.0), measured.get("loss", 0.0))
        if not all(map(math.isfinite, losses)):
            self.diverged = True
            self.model.stop_training = True
        elif measured and self._after_epoch is not None and not self.diverged:
            self._after_epoch(epoch + 1, measured)

    def step_seconds(self) -> float | None:
        """Median seconds of a step without validation, or None if too few were taken."""
        return float(np.median(self._durations)) if self._durations else None

    def curves(self) -> dict[str, np.ndarray]:
        """What `fit` reported by name, with `validation_` in front for the validation part.

        `step` is the last step of each epoch, `validation_epoch` the epochs with a validation.
        """
        found: dict[str, Any] = {"step": np.array([step for step, _ in self.epochs])}
        names = dict.fromkeys(name for _, logs in self.epochs for name in logs)
        for name in names:
            values = np.array([logs.get(name, np.nan) for _, logs in self.epochs])
            if name.startswith("val_"):
                epochs = [i for i, (_, logs) in enumerate(self.epochs) if name in logs]
                found["validation_epoch"] = np.array(epochs) + 1
                found[f"validation_{name[4:]}"] = values[epochs]
            else:
                found[name] = values
        return found


def numbers_of(logs: dict[str, Any]) -> dict[str, float]:
    """What `fit` or `evaluate` reports, without metrics that are not one number."""
    arrays = {
        name: value if np.isscalar(value) else np.asarray(keras.ops.convert_to_numpy(value))
        for name, value in logs.items()
        if not isinstance(value, dict | list | tuple)
    }
    return {name: float(np.reshape(a, ())) for name, a in arrays.items() if np.size(a) == 1}


def _ended_early(name, steps, expected):
    return ValueError(
        "Data gives every epoch as many batches as it asks for. Received: "
        f"{steps} batches of {name} in an epoch, where {expected} were expected: its generator has "
        "ended, and what follows would see nothing. Let the generator go on for ever and say how "
        "many batches an epoch has with fit={'steps_per_epoch': …, 'validation_steps': …}, or "
        "return a dataset that can be read again."
    )
