"""The end of a search: is the function that it found better than the usual ones?

The best value of a search flatters: of many functions it is that of the luckiest training. So two
steps follow, with seeds that the search has not used.

1. The best few functions found and the best usual ones are trained with a few seeds and judged on
   the validation data. The best mean of each side goes on.
2. These two are trained with seeds of their own and compared in pairs on the test data, which
   nothing has looked at before. Seeds are added until the interval of the difference excludes zero
   or the last look is reached (`keras_actfn.training.sequential`).
"""

import dataclasses
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..training import Task, compare
from ..training.results import LEVEL, in_columns
from ..training.sequential import LOOKS, Look, check_looks, look_until_decided

if TYPE_CHECKING:
    from ..training.results import Comparison

#: Seeds that the finalists are chosen with.
SCREENING_SEEDS = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Verdict:
    """Whether a function that was found is better than the best usual one.

    Attributes:
        function: The best function found, as a text.
        usual: The best usual function.
        screening: The comparison on validation data that chose the two.
        test: Their comparison on the test data, more being better in its differences.
        looks: The looks at their difference; the last one is the answer. Empty if a run failed.
        planned: Numbers of seeds of all looks that could have been taken.
    """

    function: str
    usual: str
    screening: "Comparison"
    test: "Comparison"
    looks: tuple[Look, ...]
    planned: tuple[int, ...]

    @property
    def outcome(self) -> str:
        """`"better"`, `"worse"`, `"no evidence"`, or `"failed"` if a run failed."""
        if not self.looks:
            return "failed"
        if not self.looks[-1].decided:
            return "no evidence"
        return "better" if self.looks[-1].low > 0 else "worse"

    @property
    def best(self) -> str:
        """The function to use: the one found if it is better, else the usual one."""
        return self.function if self.outcome == "better" else self.usual

    @property
    def text(self) -> str:
        """The verdict in a sentence."""
        criterion = self.test.criterion
        if self.outcome == "failed":
            failed = ", ".join(
                f"{run.activation} with seed {run.seed}" for run in _failed(self.test)
            )
            return f"No verdict: a training failed on the way ({failed})."
        last, metric = self.looks[-1], f"test {criterion.metric.replace('_', ' ')}"
        if self.outcome == "no evidence":
            start = f"No evidence of a difference between {self.function} and {self.usual}"
            change = f"difference {_range(criterion, last)} in the {metric}, + is better"
        else:
            start = f"{self.function} is {self.outcome} than {self.usual}"
            higher = (self.outcome == "better") == (criterion.mode == "max")
            change = f"{metric} {'higher' if higher else 'lower'} by {_size(criterion, last)}"
        each = f"{LEVEL:.0%}".replace("%", " %")
        over = f"over {len(self.planned)} looks" if len(self.planned) > 1 else "interval"
        return f"{start}: {change} ({last.seeds} seeds, {each} {over})."

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """The means of both sides: a list of headings and a row of texts for each function."""
        criterion = self.test.criterion
        heads, body = ["function"], [[self.usual], [self.function]]
        for comparison in (self.screening, self.test):
            heads.append(
                f"{comparison.part} {criterion.metric.replace('_', ' ')}{criterion.unit}, "
                f"{len(comparison.seeds)} seeds"
            )
            for row in body:
                row.append(criterion.number(float(np.mean(comparison.values_of(row[0])))))
        return heads, body

    def __str__(self) -> str:
        return f"{in_columns(*self.cells())}\n\n{self.text}"

    def to_dict(self) -> dict:
        """Everything for JSON."""
        return {
            "function": self.function,
            "usual": self.usual,
            "outcome": self.outcome,
            "text": self.text,
            "level": LEVEL,
            "planned_looks": list(self.planned),
            "looks": [dataclasses.asdict(look) for look in self.looks],
            "screening": self.screening.to_dict(),
            "test": self.test.to_dict(),
        }


def confirm(
    task: Task,
    found: Sequence[str],
    usual: Sequence[str],
    *,
    first_seed: int,
    output: str | os.PathLike,
    looks: Sequence[int] = LOOKS,
    progress: bool = False,
) -> Verdict:
    """Choose between functions that were found and usual ones, and judge the choice.

    Finished runs are kept in `output`: after an interruption the same call goes on.

    Args:
        task: A `Task` with validation and test data.
        found: Texts of the functions that a search found.
        usual: Texts of the usual functions.
        first_seed: The first of the seeds, none of which anything was chosen with.
        output: Folder of finished runs.
        looks: Numbers of seeds after which the difference is looked at.
        progress: Whether to show progress bars.

    Returns:
        A `Verdict`.

    Raises:
        ValueError: If there is nothing to compare, or validation or test data are missing.
    """
    looks = check_looks(looks)
    reason = obstacle(task, found, usual)
    if reason is not None:
        raise ValueError(reason)
    output = Path(output)
    seeds = range(first_seed, first_seed + SCREENING_SEEDS)
    screening = compare(
        task.without_test(),
        [*usual, *found],
        seeds=seeds,
        output=output / "screening",
        plots=False,
        progress=progress,
    )
    best_found, best_usual = _best(screening, found), _best(screening, usual)
    first = seeds.stop
    comparisons = []

    def gains(n):
        comparison = compare(
            task,
            [best_usual, best_found],
            seeds=range(first, first + n),
            output=output / "test",
            plots=False,
            progress=progress,
        )
        comparisons.append(comparison)
        if _failed(comparison):
            raise _Failed
        pairs = zip(*map(comparison.values_of, (best_found, best_usual)), strict=True)
        return [comparison.criterion.gain(*pair) for pair in pairs], [0.0] * n

    try:
        taken = look_until_decided(gains, looks)
    except _Failed:
        taken = []
    return Verdict(best_found, best_usual, screening, comparisons[-1], tuple(taken), looks)


def obstacle(task: Task, found: Sequence[str], usual: Sequence[str]) -> str | None:
    """Why these functions can't be confirmed on the data of this task, or None."""
    missing = [part for part in ("validation", "test") if part not in task.data.parts()]
    if missing:
        return (
            "A verdict needs validation data, to choose on, and test data, which nothing has "
            f"looked at. Received: a task without {' and '.join(missing)}. Pass {missing[0]}=…."
        )
    if not found or not usual:
        return (
            "A verdict compares functions that were found with usual ones. Received: "
            f"{len(found)} found, {len(usual)} usual that did not fail. Evaluate more functions."
        )
    return None


class _Failed(Exception):
    """A run of the finalists failed: there is no difference to look at."""


def _best(comparison, functions):
    """The function with the best mean; failed runs count as the worst there is."""
    sign = comparison.criterion.sign
    return max(functions, key=lambda label: sign * float(np.mean(comparison.values_of(label))))


def _failed(comparison):
    metric, part = comparison.criterion.metric, comparison.part
    return [r for r in comparison.runs if r.diverged or math.isnan(r.value(metric, part))]


def _range(criterion, look):
    """A signed difference with its interval."""
    low, high = (criterion.number(end, signed=True) for end in (look.low, look.high))
    return f"{criterion.number(look.difference, signed=True)}{_points(criterion)} [{low}, {high}]"


def _size(criterion, look):
    """The size of a decided difference with its interval."""
    ends = sorted((abs(look.low), abs(look.high)))
    low, high = map(criterion.number, ends)
    return f"{criterion.number(abs(look.difference))}{_points(criterion)} [{low}, {high}]"


def _points(criterion):
    return " points" if criterion.is_share else ""
