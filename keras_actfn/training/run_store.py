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
        validation: Metrics on the validation part at the end of training by the names that
            `evaluate` reports, or None without such a part.
        test: The same on the test part.
        parameters: Number of the model's parameters.
        steps: Training steps taken.
        step_seconds: Median seconds of a step, or None if too few were taken.
        seconds: Seconds that the run took in all.
        diverged: True if the loss became NaN or infinite, which ends the training.
        arrays: Curves: `step` and the metrics of the training, `loss` first; those of the
            validation with `validation_` in front; `x` and `site_1`, `site_2`, … of the
            activations at the end.
    """

    NUMBERS: ClassVar[tuple[str, ...]] = (
        "parameters",
        "steps",
        "step_seconds",
        "seconds",
        "diverged",
    )

    activation: str
    seed: int
    key: str
    validation: dict[str, float] | None
    test: dict[str, float] | None
    parameters: int
    steps: int
    step_seconds: float | None
    seconds: float
    diverged: bool
    arrays: dict

    def value(self, metric: str, part: str) -> float:
        """A metric on a part of the data; NaN where it is not finite or not there.

        Args:
            metric: A name that `evaluate` reports.
            part: `"validation"` or `"test"`.
        """
        value = (getattr(self, part) or {}).get(metric, math.nan)
        return value if math.isfinite(value) else math.nan

    def summary(self) -> dict:
        """Everything but the arrays, for JSON; None for numbers that are not finite."""
        found = {name: getattr(self, name) for name in ("activation", "seed", "key")}
        for part in ("validation", "test"):
            metrics = getattr(self, part)
            found[part] = metrics and {name: _finite(value) for name, value in metrics.items()}
        return found | {name: _finite(getattr(self, name)) for name in self.NUMBERS}


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
        if value is not None or name != "step_seconds":
            _check_number(name, value)
    parts = {part: _metrics(part, values[part]) for part in ("validation", "test")}
    return RunResult(activation, values["seed"], values["key"], **parts, **numbers, arrays=arrays)


def _metrics(part, values):
    """The metrics of a part; a number that was not finite is what a failed run has."""
    if values is None:
        return None
    for name, value in values.items():
        if value is not None:
            _check_number(f"{part} {name}", value)
    lost = {name: math.inf if name == "loss" else math.nan for name in values}
    return {name: lost[name] if value is None else value for name, value in values.items()}


def _check_number(name, value):
    if not isinstance(value, int | float):
        raise ValueError(f"{name} is a number. Received: {value!r}")
    float(value)


def _finite(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value
