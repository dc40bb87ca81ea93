"""What a comparison found: runs, the table over seeds, and the files they are written to.

For activation a and seed s, A(a, s) is the test accuracy at the end of training. A row
of the table has the mean and the sample standard deviation of A(a, ·) over the seeds, and
the paired difference D(s) = A(a, s) − A(first, s) with its 95 % interval

    mean D ± t₀.₉₇₅(n − 1) · sd(D) / √n

over the n seeds (Student's t). The test set chooses nothing: no epoch, no setting.
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
from .run_store import RunResult

LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Row:
    """One activation over all seeds. Accuracies are fractions; None where n is too small.

    Attributes:
        activation: Label of the activation.
        seeds: Number of seeds n.
        accuracy: Mean test accuracy.
        accuracy_std: Sample standard deviation over seeds (n ≥ 2).
        difference: Mean paired difference to the first activation; None for the first.
        difference_low: Lower end of its 95 % interval (n ≥ 2).
        difference_high: Upper end.
        validation_accuracy: Mean accuracy on held-out training images; None without any.
        parameters: Number of the model's parameters, trainable or not.
        step_seconds: Median over seeds of the median seconds of a training step.
        step_ratio: `step_seconds` over the first activation's.
        diverged: Number of runs whose loss became NaN or infinite.
    """

    activation: str
    seeds: int
    accuracy: float
    accuracy_std: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    validation_accuracy: float | None
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
    """

    activations: tuple[str, ...]
    seeds: tuple[int, ...]
    runs: tuple[RunResult, ...]
    settings: dict
    reused: int = 0

    def runs_of(self, activation: str) -> list[RunResult]:
        """The runs of one activation, in the order of the seeds."""
        return [run for run in self.runs if run.activation == activation]

    def rows(self) -> list[Row]:
        """The table: one `Row` for each activation."""
        first = self.runs_of(self.activations[0])
        return [self._row(self.runs_of(label), first) for label in self.activations]

    def _row(self, runs, first):
        accuracy = [run.test_accuracy for run in runs]
        seconds = _median(run.step_seconds for run in runs)
        base_seconds = _median(run.step_seconds for run in first)
        difference = low = high = None
        if runs[0].activation != first[0].activation:
            base = [run.test_accuracy for run in first]
            difference, low, high = paired_difference(accuracy, base)
        held_out = [run.validation_accuracy for run in runs if run.validation_accuracy is not None]
        return Row(
            activation=runs[0].activation,
            seeds=len(runs),
            accuracy=float(np.mean(accuracy)),
            accuracy_std=float(np.std(accuracy, ddof=1)) if len(accuracy) > 1 else None,
            difference=difference,
            difference_low=low,
            difference_high=high,
            validation_accuracy=float(np.mean(held_out)) if held_out else None,
            parameters=runs[0].parameters,
            step_seconds=seconds,
            step_ratio=seconds / base_seconds if seconds and base_seconds else None,
            diverged=sum(run.diverged for run in runs),
        )

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """The table as text: a list of headings and a list of rows of as many texts."""
        headings = [
            "activation",
            "test accuracy (%)",
            f"difference to {self.activations[0]} (points, 95 % interval)",
            "parameters",
            "time per step",
        ]
        rows = self.rows()
        held_out = any(row.validation_accuracy is not None for row in rows)
        if held_out:
            headings.insert(2, "validation accuracy (%)")
        body = []
        for row in rows:
            diverged = f" ({row.diverged} of {row.seeds} diverged)" if row.diverged else ""
            cells = [
                row.activation,
                _with_spread(row) + diverged,
                _with_interval(row),
                f"{row.parameters:,}",
                "—" if row.step_ratio is None else f"{row.step_ratio:.2f}×",
            ]
            if held_out:
                value = row.validation_accuracy
                cells.insert(2, "—" if value is None else f"{100 * value:.2f}")
            body.append(cells)
        return headings, body

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
            "interval_level": LEVEL,
            "table": [dataclasses.asdict(row) for row in self.rows()],
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
        columns = ("activation", "seed", "key", *RunResult.NUMBERS)
        summaries = [run.summary() for run in self.runs]
        write_file(folder / "runs.csv", _csv([{c: s[c] for c in columns} for s in summaries]))
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


def _with_spread(row):
    text = f"{100 * row.accuracy:.2f}"
    return text if row.accuracy_std is None else f"{text} ± {100 * row.accuracy_std:.2f}"


def _with_interval(row):
    if row.difference is None:
        return "—"
    text = f"{100 * row.difference:+.2f}"
    if row.difference_low is None:
        return text
    return f"{text} [{100 * row.difference_low:+.2f}, {100 * row.difference_high:+.2f}]"


def _csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
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
