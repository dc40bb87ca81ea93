"""What searches on a benchmark found: curves, and a table of the evaluations that they needed.

The measure that decides is the number of evaluations, start included, until a search has

    usual + 0.99 (best - usual),

with the best of the usual functions (`atlas.table.USUAL`) that the benchmark has, and the best of
all its functions.
"""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np

from ..._files import write_file
from ..._optional import require
from ..atlas.table import USUAL, shortest
from .act_bench import ActBench

STARTS = 8
SHARE = 0.99
_DRAWS = 2000  # of the bootstrap


@dataclasses.dataclass(frozen=True)
class Curve:
    """The best validation accuracy so far, over trials, with the 95 % interval of its mean.

    Attributes:
        regressor: Name of the regressor.
        features: Name of the set of features; "" for random search.
        evaluations: 1 to the budget, (budget,).
        mean: Mean over trials, (budget,).
        low: Lower end of the interval, mean - t₀.₉₇₅ · deviation / √trials.
        high: Upper end.
    """

    regressor: str
    features: str
    evaluations: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclasses.dataclass(frozen=True)
class BenchRow:
    """One regressor with one set of features, over trials. Accuracies are fractions.

    Attributes:
        regressor: Name of the regressor.
        features: Name of the set of features; "" for random search.
        trials: Number of trials.
        evaluations: Median number of evaluations until the target; None if half of the trials
            or more did not reach it.
        evaluations_low: Lower end of the median's 95 % interval (bootstrap over trials).
        evaluations_high: Upper end; None beyond the budget.
        quartile_low: First quartile of the number of evaluations; None beyond the budget.
        quartile_high: Third quartile; None beyond the budget.
        never: Share of the trials that did not reach the target within the budget.
        after_25: Mean of the best validation accuracy after 25 evaluations, or the whole
            budget if that is less.
        after_50: The same after 50.
        validation_accuracy: Mean of the best validation accuracy at the end.
        validation_low: Lower end of its 95 % interval.
        validation_high: Upper end.
        test_accuracy: Mean test accuracy of the function with the best validation accuracy.
    """

    regressor: str
    features: str
    trials: int
    evaluations: float | None
    evaluations_low: float | None
    evaluations_high: float | None
    quartile_low: float | None
    quartile_high: float | None
    never: float
    after_25: float
    after_50: float
    validation_accuracy: float
    validation_low: float
    validation_high: float
    test_accuracy: float


@dataclasses.dataclass(frozen=True, eq=False)
class BenchRun:
    """What `run_bench` found.

    Attributes:
        bench: The `ActBench`.
        budget: Evaluations of each search.
        relu: Position of ReLU in the benchmark.
        usual: Position of the best usual function.
        target: Score to reach.
        trials: For each regressor and set of features, the functions that each trial evaluated
            in order, at most the budget.
        starts: How many of these are the start.
    """

    bench: ActBench
    budget: int
    relu: int
    usual: int
    target: float
    trials: dict[tuple[str, str], list[np.ndarray]]
    starts: int = STARTS

    def best_so_far(self, regressor: str, features: str) -> np.ndarray:
        """The best validation accuracy after each evaluation, (trials, budget)."""
        value = self.bench.score
        return np.array(
            [
                np.maximum.accumulate(np.pad(value[rows], (0, self.budget - len(rows)), "edge"))
                for rows in self.trials[regressor, features]
            ]
        )

    def evaluations(self, regressor: str, features: str) -> np.ndarray:
        """Evaluations until the target for each trial, (trials,); infinity if never."""
        reached = self.best_so_far(regressor, features) >= self.target
        return np.where(reached.any(1), reached.argmax(1) + 1.0, np.inf)

    def curves(self) -> list[Curve]:
        """A list of `Curve`."""
        curves = []
        for regressor, features in self.trials:
            best = self.best_so_far(regressor, features)
            mean, low, high = mean_interval(best)
            steps = np.arange(1, self.budget + 1)
            curves.append(Curve(regressor, features, steps, mean, low, high))
        return curves

    def table(self) -> list[BenchRow]:
        """A list of `BenchRow`, the fewest evaluations first."""
        rows = [self._row(*key) for key in self.trials]
        return sorted(rows, key=lambda r: (r.evaluations or np.inf, -r.after_50, r.regressor))

    def write(self, folder: str | os.PathLike) -> list[Path]:
        """Write `table.json`, `table.csv` and `table.txt`, each all or nothing.

        Returns:
            The paths.
        """
        folder = Path(folder)
        rows = [dataclasses.asdict(row) for row in self.table()]
        names = [field.name for field in dataclasses.fields(BenchRow)]
        lines = [",".join(names)]
        lines += [
            ",".join("" if row[name] is None else str(row[name]) for name in names) for row in rows
        ]
        contents = {
            "table.json": json.dumps(self.summary() | {"rows": rows}, indent=1) + "\n",
            "table.csv": "\n".join(lines) + "\n",
            "table.txt": self.text(),
        }
        for name, text in contents.items():
            write_file(folder / name, text)
        return [folder / name for name in contents]

    def summary(self) -> dict:
        """What was searched, for the table's head: a dictionary for JSON."""
        value = self.bench.score
        return {
            "bench": self.bench.name,
            "functions": len(self.bench),
            "with_spectrum": int(self.bench.valid.sum()),
            "budget": self.budget,
            "relu": float(value[self.relu]),
            "usual": float(value[self.usual]),
            "usual_function": self.bench.functions[self.usual],
            "best": float(np.nanmax(value)),
            "best_function": self.bench.functions[int(np.nanargmax(value))],
            "target": float(self.target),
        }

    def text(self) -> str:
        """The table as text."""
        head = self.summary()
        # The last column is that of the whole budget; earlier ones are those before its end.
        marks = [(f"{f'after {n}':>10}", f"after_{n}", 10) for n in (25, 50) if n < self.budget]
        marks.append((f"{f'after {self.budget}':>11}", "validation_accuracy", 11))
        lines = [
            f"{head['bench']}: {head['functions']:,} functions, {head['with_spectrum']:,} with a "
            f"valid spectrum; ReLU {head['relu']:.4f}, the best usual function "
            f"{head['usual']:.4f} {shortest(head['usual_function'])}, best {head['best']:.4f} "
            f"{head['best_function']}.",
            f"Evaluations until validation accuracy {head['target']:.4f}, {SHARE:.0%} of the gap "
            f"between the best usual function and the best; {self.starts} of them are the start.",
            "",
            f"{'regressor':<13}{'features':<10}{'median':>7}{'95 % interval':>15}{'quartiles':>12}"
            f"{'never':>7}{''.join(heading for heading, _, _ in marks)}{'test':>8}",
        ]
        for r in self.table():
            limits = f"{count_text(r.evaluations_low)}-{count_text(r.evaluations_high)}"
            quartiles = f"{count_text(r.quartile_low)}-{count_text(r.quartile_high)}"
            lines.append(
                f"{r.regressor:<13}{r.features or '-':<10}{count_text(r.evaluations):>7}"
                f"{limits:>15}{quartiles:>12}{r.never:>7.0%}"
                f"{''.join(f'{getattr(r, name):>{width}.4f}' for _, name, width in marks)}"
                f"{r.test_accuracy:>8.4f}"
            )
        trials = sorted({row.trials for row in self.table()})
        lines += [
            "",
            f"{' or '.join(map(str, trials))} trials each. '-': not within {self.budget} "
            "evaluations. Accuracies: means of the best validation accuracy, and of its test "
            "accuracy.",
        ]
        return "\n".join(lines) + "\n"

    def _row(self, regressor, features):
        count = self.evaluations(regressor, features)
        best = self.best_so_far(regressor, features)
        value = self.bench.score
        found = [rows[np.argmax(value[rows])] for rows in self.trials[regressor, features]]
        mean, low, high = (float(part) for part in mean_interval(best[:, -1]))
        ends = median_interval(count)
        return BenchRow(
            regressor=regressor,
            features=features,
            trials=len(count),
            evaluations=_finite(upper_quantile(count, 2)),
            evaluations_low=_finite(ends[0]),
            evaluations_high=_finite(ends[1]),
            quartile_low=_finite(upper_quantile(count, 1)),
            quartile_high=_finite(upper_quantile(count, 3)),
            never=float(np.isinf(count).mean()),
            after_25=float(best[:, min(25, self.budget) - 1].mean()),
            after_50=float(best[:, min(50, self.budget) - 1].mean()),
            validation_accuracy=mean,
            validation_low=low,
            validation_high=high,
            test_accuracy=float(np.mean(self.bench.test_score[found])),
        )


def target_of(bench: ActBench) -> tuple[int, float]:
    """The position of the best usual function, and the score to reach: the formula of the module.

    Args:
        bench: An `ActBench` that has ReLU.
    """
    score = bench.score
    rows = []
    for name in USUAL:
        try:
            rows.append(bench.index(name))
        except ValueError:  # a benchmark need not have all
            continue
    usual = max((row for row in rows if np.isfinite(score[row])), key=lambda row: score[row])
    return usual, float(score[usual] + SHARE * (np.nanmax(score) - score[usual]))


def mean_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over the first axis, and the ends of its 95 % interval by Student's t.

    Args:
        values: (trials, …).
    """
    mean = values.mean(0)
    if len(values) < 2:
        return mean, mean, mean
    stats = require("scipy.stats", extra="search")
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(0, ddof=1) / np.sqrt(len(values))
    return mean, mean - half, mean + half


def median_interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the median of numbers, some perhaps infinite: a bootstrap.

    Args:
        values: (numbers,).
    """
    draws = np.random.default_rng(0).integers(len(values), size=(_DRAWS, len(values)))
    medians = np.sort(upper_quantile(values[draws], 2))
    return float(medians[_DRAWS // 40]), float(medians[-_DRAWS // 40 - 1])


def upper_quantile(values: np.ndarray, quarter: int) -> np.ndarray:
    """The upper quartile number 1, 2 or 3 of the last axis: a value that occurs, or infinity."""
    return np.sort(values, axis=-1)[..., quarter * values.shape[-1] // 4]


def count_text(value: float | None) -> str:
    """A number of evaluations as text; '-' for an infinite one, or none."""
    return "-" if value is None or not np.isfinite(value) else f"{value:.0f}"


def _finite(value):
    return float(value) if np.isfinite(value) else None
