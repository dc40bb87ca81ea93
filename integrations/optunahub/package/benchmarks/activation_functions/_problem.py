"""Activation functions with known results, as an OptunaHub benchmark problem."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna

try:
    from keras_actfn import search
except ModuleNotFoundError:
    raise ModuleNotFoundError(
        'Please run `pip install "keras-actfn[search]"` to use `activation_functions`.'
    ) from None
try:
    from optunahub.benchmarks import BaseProblem
except ModuleNotFoundError:  # the look-ups need Optuna alone
    BaseProblem = object


_FUNCTION = "candidate"


class Problem(BaseProblem):
    """Which activation function should a small network use? Every answer is a look-up.

    Args:
        benchmark: A name of `available_benchmark_names`.
        seed: Of the seeds that networks were trained with, the one to look up, among the functions
            that were trained with it. None: the median over all seeds of each function.
        metric_names: Measures to optimize, of `available_metric_names`; None for the validation
            metric that the benchmark is judged by.
        epoch: Epoch to look the validation metric up after, from 1; None for the last.
    """

    available_benchmark_names: tuple[str, ...] = search.bench_names()

    def __init__(
        self,
        benchmark: str = "fashion_cnn",
        seed: int | None = None,
        metric_names: list[str] | None = None,
        epoch: int | None = None,
    ) -> None:
        self._bench = search.bench(benchmark)
        self._judged = f"validation_{self._bench.metric}"
        self._metric_names = [self._judged] if metric_names is None else list(metric_names)
        unknown = set(self._metric_names) - set(self.available_metric_names)
        if unknown or not self._metric_names:
            raise ValueError(
                f"metric_names are some of {', '.join(self.available_metric_names)}. Received: "
                f"{metric_names}."
            )
        tables = [self._table(name, epoch) for name in self._metric_names]
        if seed is None:
            column = slice(None)
        elif seed in self._bench.seeds:
            column = [self._bench.seeds.index(seed)]
        else:
            raise ValueError(f"seed is one of {self._bench.seeds}, or None. Received: {seed}.")
        trained = np.isfinite(self._bench.runs["seconds"][:, column]).any(1)
        self._rows = np.flatnonzero(trained)
        self._values = [_median(table[trained][:, column]) for table in tables]
        #: The functions by the number of the parameter.
        self.functions = tuple(self._bench.functions[row] for row in self._rows)

    @property
    def available_metric_names(self) -> list[str]:
        return list(self._bench.runs)

    @property
    def metric_names(self) -> list[str]:
        return self._metric_names.copy()

    @property
    def search_space(self) -> dict[str, optuna.distributions.BaseDistribution]:
        return {_FUNCTION: optuna.distributions.IntDistribution(0, len(self.functions) - 1)}

    @property
    def directions(self) -> list[optuna.study.StudyDirection]:
        return [
            optuna.study.StudyDirection[f"{self._mode(name)}imize".upper()]
            for name in self._metric_names
        ]

    def evaluate(self, params: dict[str, Any]) -> list[float]:
        """Values of a function by its number; NaN where its training diverged without one."""
        return [float(values[params[_FUNCTION]]) for values in self._values]

    def number_of(self, function: str) -> int:
        """The number of a function by its text, such as `"relu"`, however it is written."""
        (found,) = np.flatnonzero(self._rows == self._bench.index(function))
        return int(found)

    def look_up(self, function: str) -> list[float]:
        """`evaluate` by a function's text."""
        return self.evaluate({_FUNCTION: self.number_of(function)})

    def kernel(self) -> np.ndarray:
        """Similarities of the functions by their outputs, for `samplers/pool`, (N, N)."""
        return search.output_kernel(self._bench.outputs[self._rows])

    def _mode(self, name):
        if name == self._judged or name == f"test_{self._bench.metric}":
            return self._bench.mode
        return "max" if name.endswith("accuracy") else "min"

    def _table(self, name, epoch):
        """Values of all trainings, (functions, seeds)."""
        if epoch is None:
            return self._bench.runs[name]
        curves = self._bench.epoch_runs.get("metric") if name == self._judged else None
        epochs = 0 if curves is None else curves.shape[2]
        if not 1 <= epoch <= epochs:
            kept = f"1 to {epochs}" if epochs else "none"
            raise ValueError(
                f"epoch is one of those that the benchmark keeps {name} of: {kept}. Received: "
                f"{epoch}."
            )
        return curves[:, :, epoch - 1]


def _median(values):
    """The median of each row, without NaN; NaN where there is nothing else."""
    found = np.full(len(values), np.nan)
    known = np.isfinite(values).any(1)
    found[known] = np.nanmedian(values[known], axis=1)
    return found
