"""What the atlas knows of a function: its result on each task, with an interval."""

import dataclasses
import functools

import numpy as np

from keras_actfn.search import ActBench, bench, bench_names

#: What the measure of a task is called.
MEASURES = {
    "accuracy": "accuracy",
    "crossentropy": "cross-entropy",
    "rmse": "RMSE",
    "bits": "bits per character",
    "psnr": "PSNR",
    "log10_error": "log₁₀ of the error",
}


@dataclasses.dataclass(frozen=True)
class TaskResult:
    """The result of a function on a task.

    Attributes:
        task: The task's name.
        measure: What it is judged by.
        value: Mean over seeds on validation data; NaN if a training diverged.
        half: Half of the 95 % interval; NaN where the spread between seeds is not known.
        test: Mean over seeds on test data; NaN where there is none.
        seeds: How many trainings there are.
        diverged: How many of them diverged.
        rank: Place among the task's functions, from 1.
        functions: How many functions the task knows.
    """

    task: str
    measure: str
    value: float
    half: float
    test: float
    seeds: int
    diverged: int
    rank: int
    functions: int

    def text(self) -> str:
        """The value with its interval, such as "0.8312 ± 0.0034"."""
        if self.diverged:
            return "diverged" if self.seeds == 1 else f"diverged in {self.diverged} of {self.seeds}"
        spread = (
            ""
            if np.isnan(self.half)
            else f"\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{number(self.half)}"
        )
        return f"{number(self.value)}{spread}"


def number(value: float) -> str:
    """A value with four places, or with fewer where it is large."""
    text = f"{value:.4f}" if abs(value) < 10 else f"{value:.5g}"
    return text.replace("-", "−")


@functools.cache
def benches() -> dict[str, ActBench]:
    """The benchmarks of the atlas by task, that with the most functions first."""
    found = [bench(name) for name in bench_names()]
    return {each.name: each for each in sorted(found, key=len, reverse=True)}


def results_at(task: str, row: int) -> TaskResult:
    """The result of a function by its number in the task's benchmark."""
    found = benches()[task]
    runs, test = (found.runs[f"{part}_{found.metric}"][row] for part in ("validation", "test"))
    trained = np.isfinite(runs) | found.diverged[row]
    seeds, diverged = int(trained.sum()), int(found.diverged[row].sum())
    scores = found.score[np.isfinite(found.score)]
    return TaskResult(
        task,
        MEASURES[found.metric],
        float(runs[trained].mean()) if not diverged else float("nan"),
        1.96 * found.noise / np.sqrt(seeds),
        float(test[trained].mean()) if not diverged else float("nan"),
        seeds,
        diverged,
        1 + int(np.sum(scores > found.score[row])),
        len(scores),
    )


def results_of(text: str) -> list[TaskResult]:
    """The results of a function, by its text or its outputs, on the tasks that know it."""
    found = []
    for task, known in benches().items():
        try:
            row = known.index(text)
        except ValueError:
            continue
        if np.isfinite(known.score[row]):
            found.append(results_at(task, row))
    return found
