"""Finished runs as files, one pair a run, so that a comparison can be killed at any time.

`runs/<key>.npz` has the curves, `runs/<key>.json` everything else. Both are written under
another name and then moved, the JSON last: it exists only if the run is complete.
"""

import dataclasses
import math
import os
from pathlib import Path
from typing import ClassVar

from .._files import DamagedFile, read_json, read_npz, write_json, write_npz

_REMEDY = "Move the run's .json and .npz files away to train it again."


@dataclasses.dataclass(frozen=True, eq=False)
class RunResult:
    """One activation trained with one seed.

    Attributes:
        activation: Label of the activation.
        seed: The seed.
        key: Key of everything that decides the result (see `fingerprints`).
        test_accuracy: Accuracy on the test images at the end of training, a fraction.
        test_loss: Loss there; NaN for a diverged run.
        validation_accuracy: The same on held-out training images, or None.
        parameters: Number of the model's parameters.
        steps: Training steps taken.
        step_seconds: Median seconds of a step, or None if too few were taken.
        seconds: Seconds that the run took in all.
        diverged: True if the loss became NaN or infinite, which ends the training.
        arrays: Curves: `step`, `loss`, `accuracy` of the training; `validation_accuracy` of
            the epochs; `x` and `slot_1`, `slot_2`, … of the activations at the end.
    """

    NUMBERS: ClassVar[tuple[str, ...]] = (
        "test_accuracy",
        "test_loss",
        "validation_accuracy",
        "parameters",
        "steps",
        "step_seconds",
        "seconds",
        "diverged",
    )

    activation: str
    seed: int
    key: str
    test_accuracy: float | None
    test_loss: float | None
    validation_accuracy: float | None
    parameters: int
    steps: int
    step_seconds: float | None
    seconds: float
    diverged: bool
    arrays: dict

    def summary(self) -> dict:
        """Everything but the arrays, for JSON; None for numbers that are not finite."""
        names = ("activation", "seed", "key", *self.NUMBERS)
        return {name: _finite(getattr(self, name)) for name in names}


class RunStore:
    """The finished runs below a folder.

    Args:
        folder: A `pathlib.Path`, or None to keep nothing.
    """

    def __init__(self, folder: str | os.PathLike | None) -> None:
        self._folder = None if folder is None else Path(folder) / "runs"

    def load(self, key: str, activation: str) -> RunResult | None:
        """The finished run with this key, labelled `activation`, or None.

        Raises:
            ValueError: If its files are damaged or not its own; they are left as they are.
        """
        if self._folder is None or not (self._folder / f"{key}.json").is_file():
            return None
        path = self._folder / f"{key}.json"
        values = read_json(path, _REMEDY)
        try:
            arrays = read_npz(path.with_suffix(".npz"), _REMEDY)
        except FileNotFoundError as error:
            raise DamagedFile(path.with_suffix(".npz"), "it is missing", _REMEDY) from error
        try:
            result = _result(values["result"], activation, arrays)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            problem = f"it is not a finished run ({type(error).__name__}: {error})"
            raise DamagedFile(path, problem, _REMEDY) from error
        if result.key != key:
            raise DamagedFile(path, f"it is the run {result.key}", _REMEDY)
        return result

    def save(self, result: RunResult, settings: dict) -> None:
        """Write a finished run, with the settings behind its key for people to read."""
        if self._folder is None:
            return
        write_npz(self._folder / f"{result.key}.npz", **result.arrays)
        write_json(
            self._folder / f"{result.key}.json",
            {"result": result.summary(), "settings": settings},
            checked=True,
        )


def _result(values, activation, arrays):
    """The run of a file's values; numbers are numbers."""
    numbers = {name: values[name] for name in RunResult.NUMBERS}
    for name, value in numbers.items():
        if value is None and name in ("test_loss", "validation_accuracy", "step_seconds"):
            continue
        if not isinstance(value, int | float):
            raise ValueError(f"{name} is a number. Received: {value!r}")
        float(value)
    if numbers["test_loss"] is None:
        numbers["test_loss"] = math.inf  # a diverged run's, as `Trainer` gives it
    return RunResult(activation, values["seed"], values["key"], **numbers, arrays=arrays)


def _finite(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value
