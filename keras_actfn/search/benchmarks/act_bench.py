"""`ActBench`: activation functions whose results on one task are all known."""

import dataclasses
import functools
from typing import Any

import numpy as np

from ...expressions import Expression, parse, resolve
from ...expressions.unique import sampled_inputs
from ..surrogate import CandidateFeatures


@dataclasses.dataclass(frozen=True, eq=False)
class ActBench:
    """Activation functions with their results and features.

    Each measure in `measures`, such as `bench.validation_loss`, is an array (functions,): the
    median over the seeds that a function was trained with, in the measure's own units. A
    diverged training has the value of chance and no loss (NaN).

    Functions are compared by `score`, where more is better whatever the task.

    Attributes:
        name: Of the benchmark.
        functions: The functions as texts.
        equivalents: For each function, the texts of the functions that it stands for.
        runs: The measures, (functions, seeds) each; NaN where a function was not trained with
            a seed.
        cdfs: Cumulative distributions of the Fisher eigenvalues, float32 (functions, bins);
            NaN where the spectrum is invalid. No bins where the task's loss is no likelihood.
        weights: Weight of each bin that makes the Manhattan distance of two spectra the paper's
            Eq. 2; None if the layers' sizes are not known.
        seeds: One for each column of `runs`.
        info: Recipe, environment and counts, as far as known.
        metric: What the task is judged by; its measures are `validation_` and `test_` + metric.
        mode: `"max"` or `"min"`: whether more or less of the metric is better.
        chance: The metric of a model that has learned nothing; None if not known.
        diverged: Trainings that ended at a loss that is not finite, bool (functions, seeds).
        epoch_runs: Under `"metric"` the validation metric, under `"loss"` the mean training loss
            of each epoch, (functions, seeds, epochs); NaN where not known.

    Example:
    ```python
    from keras_actfn.search import bench

    fashion = bench("fashion_cnn")
    best = fashion.functions[np.nanargmax(fashion.score)]
    ```
    """

    name: str
    functions: tuple[str, ...]
    equivalents: tuple[tuple[str, ...], ...]
    runs: dict[str, np.ndarray]
    cdfs: np.ndarray
    weights: np.ndarray | None = None
    seeds: tuple[int, ...] = (0,)
    info: dict = dataclasses.field(default_factory=dict)
    metric: str = "accuracy"
    mode: str = "max"
    chance: float | None = None
    diverged: np.ndarray | None = None
    epoch_runs: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.functions)

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__.get("runs", {}):
            self.__dict__[name] = _median(self.runs[name])  # computed once
            return self.__dict__[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what is measured of every training."""
        return tuple(self.runs)

    @functools.cached_property
    def score(self) -> np.ndarray:
        """What functions are compared by, (functions,): more is better; NaN where not trained.

        The median over seeds of the metric on validation data, negated where less of it is
        better. A value worse than `chance` counts as chance. A diverged training counts as worse
        than every other: the next number below the worst, or below chance.
        """
        return _median(self.seed_scores("validation"))

    @functools.cached_property
    def test_score(self) -> np.ndarray:
        """The same on test data, (functions,), which no search may look at."""
        return _median(self.seed_scores("test"))

    @functools.cached_property
    def curves(self) -> np.ndarray:
        """The score after each epoch, (functions, epochs): `score` at the end; NaN where absent.

        Epochs that a diverged training did not end are worse than all others.
        """
        runs = self.epoch_runs.get("metric")
        if runs is None:
            return self.score[:, None]
        known = np.isfinite(runs)
        failed = self._diverged[:, :, None] & ~known & known.any((0, 1))
        return _epoch_medians(self._signed(runs, failed))

    @functools.cached_property
    def loss_curves(self) -> np.ndarray:
        """Mean training loss of each epoch, (functions, epochs); NaN where absent or diverged."""
        runs = self.epoch_runs.get("loss")
        return self.training_loss[:, None] if runs is None else _epoch_medians(runs)

    @functools.cached_property
    def noise(self) -> float:
        """Standard deviation of the score between seeds, pooled over the functions that learn.

        √(mean over functions of the variance over seeds), of those with at least two seeds whose
        scores are all above chance; NaN if there are none.
        """
        scores = self.seed_scores()
        trained = np.isfinite(scores)
        learn = ~trained | (scores > self._floor(scores[trained]))
        rows = (trained.sum(1) > 1) & learn.all(1)
        if not rows.any():
            return float("nan")
        return float(np.sqrt(np.nanvar(scores[rows], axis=1, ddof=1).mean()))

    def seed_scores(self, part: str = "validation") -> np.ndarray:
        """The score of each training, (functions, seeds); NaN where there is none.

        Args:
            part: `"validation"` or `"test"`.
        """
        return self._signed(self.runs[f"{part}_{self.metric}"], self._diverged)

    @property
    def _diverged(self):
        shape = (len(self), len(self.seeds))
        return np.zeros(shape, bool) if self.diverged is None else self.diverged

    def _signed(self, runs, failed):
        """More for better, cut at chance; the failed just below all others."""
        scores = np.where(failed, np.nan, runs if self.mode == "max" else -runs)
        floor = self._floor(scores[np.isfinite(scores)])
        scores = np.where(np.isfinite(scores), np.maximum(scores, floor), np.nan)
        return np.where(failed, np.nextafter(floor, -np.inf), scores)

    def _floor(self, scores):
        """The score of chance; where it is not known, the worst of all scores."""
        if self.chance is None:
            return np.min(scores, initial=np.inf) if len(scores) else 0.0
        return self.chance if self.mode == "max" else -self.chance

    @functools.cached_property
    def outputs(self) -> np.ndarray:
        """Values at 1,000 draws of N(0, 1) clipped to [-5, 5], float32 (functions, 1000)."""
        inputs = sampled_inputs(0)
        with np.errstate(all="ignore"):
            rows = [
                np.broadcast_to(parse(text)(inputs), inputs.shape).astype("float32")
                for text in self.functions
            ]
        return np.array(rows).reshape(len(rows), len(inputs))

    @functools.cached_property
    def valid(self) -> np.ndarray:
        """Whether a function has finite outputs, and a spectrum if the task has spectra."""
        return np.isfinite(self.cdfs).all(1) & np.isfinite(self.outputs).all(1)

    def index(self, function: str | Expression) -> int:
        """The position of a function: by its text, or of the one with the same outputs.

        Args:
            function: A text, such as `"relu"` or `"max(zero(x),identity(x))"`, or an expression.

        Raises:
            ValueError: If the benchmark does not have it.
        """
        text = str(function)
        if text in self.functions:
            return self.functions.index(text)
        found = resolve(function)
        if isinstance(found, Expression):
            with np.errstate(all="ignore"):
                values = np.asarray(found(sampled_inputs(0)), "float64").astype("float32")
            equal = np.flatnonzero(np.isclose(self.outputs, values, rtol=1e-6, atol=1e-7).all(1))
            if len(equal):
                return int(equal[0])
        raise ValueError(
            f"The benchmark '{self.name}' has {len(self)} functions; none has the outputs of "
            f"'{text}'."
        )

    def features(
        self, rows: np.ndarray | None = None, *, method: str = "union", seed: int = 0
    ) -> CandidateFeatures:
        """The features of functions, with coordinates; see `CandidateFeatures.embedded`.

        Args:
            rows: Which functions; None for all.
            method: A name in `EMBEDDINGS`.
            seed: Seed of the embedding.
        """
        rows = np.arange(len(self)) if rows is None else np.asarray(rows)
        if not self.cdfs.shape[1]:  # No spectra: outputs alone.
            method = "outputs" if method == "union" else method
            return CandidateFeatures.embedded(self.outputs[rows], method=method, seed=seed)
        return CandidateFeatures.embedded(
            self.outputs[rows], self.cdfs[rows], self.weights, method=method, seed=seed
        )


def _epoch_medians(values):
    """Medians over seeds, (functions, epochs), of values (functions, seeds, epochs)."""
    return np.stack([_median(values[..., i]) for i in range(values.shape[2])], axis=1)


def _median(values):
    """The median of each row, without NaN; NaN where there is nothing else."""
    known = np.isfinite(values)
    if known.all():
        return np.median(values, axis=1)
    return np.array(
        [np.median(row[ok]) if ok.any() else np.nan for row, ok in zip(values, known, strict=True)]
    )
