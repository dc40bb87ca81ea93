"""What a comparison found: runs, the table over seeds, and the files they are written to.

For activation a and seed s, M(a, s) is the leading metric on the test data at the end of training,
or on the validation data where there are no test data. A row of the table has the mean and the
sample standard deviation of M(a, ·) over the seeds, and the paired difference
D(s) = ±(M(a, s) − M(first, s)), + where more is better and − where less is, with its 95 % interval

    mean D ± t₀.₉₇₅(n − 1) · sd(D) / √n

over the n seeds (Student's t). The test data choose nothing: no epoch, no setting.
"""

import csv
import dataclasses
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._files import write_file, write_json
from .._optional import require
from .criterion import Criterion
from .run_store import RunResult

LEVEL = 0.95

_ACCURACY = Criterion("accuracy", "max")


@dataclasses.dataclass(frozen=True)
class Row:
    """One activation over all seeds. None where n is too small or a run has failed.

    Attributes:
        activation: Label of the activation.
        seeds: Number of seeds n.
        value: Mean of the leading metric; an accuracy is a fraction. Not finite if a run has
            failed that counts no number.
        std: Sample standard deviation over seeds (n ≥ 2).
        difference: Mean paired difference to the first activation, more being better; None for the
            first.
        difference_low: Lower end of its 95 % interval (n ≥ 2).
        difference_high: Upper end.
        validation: Mean of the metric on the validation part, where `value` is of the test part.
        parameters: Number of the model's parameters, trainable or not.
        step_seconds: Median over seeds of the median seconds of a training step.
        step_ratio: `step_seconds` over the first activation's.
        diverged: Number of runs whose loss or leading metric was NaN or infinite.
    """

    activation: str
    seeds: int
    value: float
    std: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    validation: float | None
    parameters: int
    step_seconds: float | None
    step_ratio: float | None
    diverged: int


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """The result of `compare`.

    Attributes:
        activations: Labels, in the order given; the first is what others are compared to.
        seeds: The seeds.
        runs: One `RunResult` for every activation and seed, seeds changing fastest.
        settings: What was compared and how, for JSON.
        reused: How many of the runs were finished before and read from files.
        criterion: The leading metric and its direction.
        part: What it is measured on: `"test"` or `"validation"`.
    """

    activations: tuple[str, ...]
    seeds: tuple[int, ...]
    runs: tuple[RunResult, ...]
    settings: dict
    reused: int = 0
    criterion: Criterion = _ACCURACY
    part: str = "test"

    def runs_of(self, activation: str) -> list[RunResult]:
        """The runs of one activation, in the order of the seeds."""
        return [run for run in self.runs if run.activation == activation]

    def values_of(self, activation: str) -> list[float]:
        """The leading metric of an activation's runs; of a failed one the worst there is."""
        return [self._value(run) for run in self.runs_of(activation)]

    def rows(self) -> list[Row]:
        """The table: one `Row` for each activation."""
        return [self._row(label) for label in self.activations]

    def _value(self, run, part=None):
        value = run.value(self.criterion.metric, part or self.part)
        return self.criterion.worst if math.isnan(value) else value

    def _row(self, label):
        first, runs = self.activations[0], self.runs_of(label)
        values, base = self.values_of(label), self.values_of(first)
        seconds, base_seconds = (
            _median(run.step_seconds for run in self.runs_of(name)) for name in (label, first)
        )
        difference = low = high = None
        if label != first:
            gains = [self.criterion.gain(*pair) for pair in zip(values, base, strict=True)]
            if all(map(math.isfinite, gains)):
                difference, low, high = paired_difference(gains, [0.0] * len(gains))
        held_out = [self._value(run, "validation") for run in runs if run.validation is not None]
        spread = len(values) > 1 and all(map(math.isfinite, values))
        return Row(
            activation=label,
            seeds=len(runs),
            value=float(np.mean(values)),
            std=float(np.std(values, ddof=1)) if spread else None,
            difference=difference,
            difference_low=low,
            difference_high=high,
            validation=float(np.mean(held_out)) if held_out and self.part == "test" else None,
            parameters=runs[0].parameters,
            step_seconds=seconds,
            step_ratio=seconds / base_seconds if seconds and base_seconds else None,
            diverged=sum(
                run.diverged or math.isnan(run.value(self.criterion.metric, self.part))
                for run in runs
            ),
        )

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """The table as text: a list of headings and a list of rows of as many texts."""
        criterion = self.criterion
        name = criterion.metric.replace("_", " ")
        unit = "points" if criterion.is_share else "+ is better"
        headings = [
            "activation",
            f"{self.part} {name}{criterion.unit}",
            f"difference to {self.activations[0]} ({unit}, 95 % interval)",
            "parameters",
            "time per step",
        ]
        rows = self.rows()
        held_out = any(row.validation is not None for row in rows)
        if held_out:
            headings.insert(2, f"validation {name}{criterion.unit}")
        body = []
        for row in rows:
            diverged = f" ({row.diverged} of {row.seeds} diverged)" if row.diverged else ""
            cells = [
                row.activation,
                self._with_spread(row) + diverged,
                self._with_interval(row),
                f"{row.parameters:,}",
                "—" if row.step_ratio is None else f"{row.step_ratio:.2f}×",
            ]
            if held_out:
                cells.insert(2, "—" if row.validation is None else self._number(row.validation))
            body.append(cells)
        return headings, body

    def _number(self, value, signed=False):
        return self.criterion.number(value, signed) if math.isfinite(value) else "—"

    def _with_spread(self, row):
        text = self._number(row.value)
        return text if row.std is None else f"{text} ± {self._number(row.std)}"

    def _with_interval(self, row):
        if row.difference is None:
            return "—"
        text = self._number(row.difference, signed=True)
        if row.difference_low is None:
            return text
        low, high = (
            self._number(n, signed=True) for n in (row.difference_low, row.difference_high)
        )
        return f"{text} [{low}, {high}]"

    def markdown(self) -> str:
        """The table in Markdown, columns aligned."""
        return in_columns(*self.cells())

    def __str__(self) -> str:
        return self.markdown()

    def to_dict(self) -> dict:
        """Settings, table and runs for JSON; numbers that are not finite are None."""
        return {
            "settings": self.settings,
            "activations": list(self.activations),
            "seeds": list(self.seeds),
            "metric": self.criterion.metric,
            "mode": self.criterion.mode,
            "part": self.part,
            "interval_level": LEVEL,
            "table": [_finite_only(dataclasses.asdict(row)) for row in self.rows()],
            "runs": [run.summary() for run in self.runs],
        }

    def save(self, folder: Path) -> None:
        """Write `results.json`, `results.csv` (the table), `runs.csv` and `curves.npz`.

        In `curves.npz`, `activations` are the labels, and `activation0_seed1_loss` is the
        array `loss` (see `RunResult`) of the run of label 0 with seed 1.

        Args:
            folder: A `pathlib.Path` that exists.
        """
        write_json(folder / "results.json", self.to_dict())
        write_file(folder / "results.csv", _csv([dataclasses.asdict(r) for r in self.rows()]))
        write_file(folder / "runs.csv", _csv([_flat(run.summary()) for run in self.runs]))
        arrays: dict[str, Any] = {"activations": np.array(self.activations)}
        for run in self.runs:
            prefix = f"activation{self.activations.index(run.activation)}_seed{run.seed}"
            arrays |= {f"{prefix}_{name}": array for name, array in run.arrays.items()}
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)
        write_file(folder / "curves.npz", content.getvalue())

    def plot(self, folder: Path) -> list[Path]:
        """Draw `learned_curves.png` and `training_curves.png`; needs matplotlib.

        Args:
            folder: A `pathlib.Path` that exists.

        Returns:
            The files written.
        """
        from ..plotting import draw_learned_curves, draw_training_curves, save_figure

        return [
            save_figure(draw_learned_curves(self), folder / "learned_curves.png"),
            save_figure(draw_training_curves(self), folder / "training_curves.png"),
        ]


def paired_difference(
    values: Sequence[float], base: Sequence[float], level: float = LEVEL
) -> tuple[float, float | None, float | None]:
    """Mean of values − base over pairs, with its Student-t interval.

    Args:
        values: n numbers.
        base: n numbers, the i-th paired with the i-th of `values`.
        level: Coverage of the interval.

    Returns:
        `(mean, low, high)`; the ends are None for n = 1.

    Raises:
        ValueError: If the numbers of values differ.
        ImportError: If scipy is missing and n ≥ 2.
    """
    if len(values) != len(base) or not len(values):
        raise ValueError(
            f"Pairs need as many values as base values, at least one. Received: {len(values)} and "
            f"{len(base)}."
        )
    differences = np.asarray(values, dtype=np.float64) - np.asarray(base, dtype=np.float64)
    n, mean = len(differences), float(np.mean(differences))
    if n == 1:
        return mean, None, None
    quantile = require("scipy.stats", extra="cli").t.ppf(0.5 + level / 2, n - 1)
    half = float(quantile * np.std(differences, ddof=1) / math.sqrt(n))
    return mean, mean - half, mean + half


def _median(values):
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _finite_only(row):
    """A row for JSON, which has no infinite numbers."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }


def _flat(summary):
    """A run's summary with a column for each metric, as `test_accuracy`."""
    found: dict[str, Any] = {}
    for name, value in summary.items():
        if name in ("validation", "test"):
            found |= {f"{name}_{metric}": number for metric, number in (value or {}).items()}
        else:
            found[name] = value
    return found


def _csv(rows):
    text = io.StringIO()
    columns = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(text, fieldnames=list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def in_columns(headings: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table in Markdown with aligned columns; all but the first to the right.

    Args:
        headings: Texts.
        body: Rows of as many texts.
    """
    widths = [max(map(len, column)) for column in zip(headings, *body, strict=True)]
    rules = ["-" * widths[0], *["-" * (width - 1) + ":" for width in widths[1:]]]
    lines = [
        [line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]
        for line in (headings, rules, *body)
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
