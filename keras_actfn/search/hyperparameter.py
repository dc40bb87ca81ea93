"""The activation as one more hyperparameter of an Optuna study of your own.

A function is the integer parameter `name` of a trial, its number among candidates; its text is the
user attribute `name`. Half of the trials, those with an even number, try a function that the study
has not tried: first the usual ones, then the one that a surrogate expects most of from the
functions' outputs. The others take the best function so far again, so that the study's sampler can
tune the other hyperparameters for it. What is known of a function is the best value of its trials.
"""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._optional import require
from ..training.data import check_positive
from .loop import BASELINES
from .pool import Pool, baselines_argument, unique_of
from .surrogate import CandidateFeatures, get_regressor, suggest

if TYPE_CHECKING:
    import optuna
else:
    optuna = require("optuna", extra="search")

#: The name of the parameter where nobody gives one.
ACTIVATION = "activation"


class ActivationSampler(optuna.samplers.BaseSampler):
    """Samples an activation by a surrogate, and every other hyperparameter by another sampler.

    Args:
        space: A `keras_actfn.expressions.SearchSpace`, or its `UniqueFunctions`.
        other: The Optuna sampler of the other hyperparameters; None for `TPESampler(seed=seed)`.
        candidates: How many functions of the space are candidates, drawn with the seed.
        baselines: Functions that are tried first.
        regressor: A regressor of `keras_actfn.search.REGRESSORS` that needs no map, or one of your
            own: by default the Gaussian process on distances.
        name: Name of the parameter.
        seed: Seed of the draw and of the regressor.

    When all candidates are tried, the best is taken again; while none has a value, all are tried
    once more.

    Raises:
        ValueError: If an argument is not what it should be.

    Example:
    ```python
    from keras_actfn import expressions, search

    study = optuna.create_study(sampler=search.ActivationSampler(expressions.three_node()))


    def objective(trial):
        rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        spec = search.suggest_activation(trial)  # such as "relu(x)"
        return rate * len(spec)  # in place of a training


    study.optimize(objective, n_trials=3)
    study.best_trial.user_attrs["activation"]
    ```
    """

    def __init__(
        self,
        space: Any,
        *,
        other: "optuna.samplers.BaseSampler | None" = None,
        candidates: int = 1000,
        baselines: Iterable = BASELINES,
        regressor: Any = "distance_gp",
        name: str = ACTIVATION,
        seed: int = 0,
    ) -> None:
        check_positive("candidates", candidates)
        if other is not None and not isinstance(other, optuna.samplers.BaseSampler):
            raise ValueError(
                f"other is an Optuna sampler. Received: {other!r}. Write "
                "other=optuna.samplers.TPESampler(), for example."
            )
        baselines = baselines_argument(baselines)
        #: The functions by number.
        self.pool = Pool(unique_of(space), extra=baselines)
        self.name = name
        self._other = optuna.samplers.TPESampler(seed=seed) if other is None else other
        self._first = list(dict.fromkeys(map(self.pool.find, baselines)))
        self._ids = np.array([*self._first, *self.pool.draw(candidates, seed, self._first)])
        self._features = CandidateFeatures(self.pool.outputs(self._ids))
        self._regressor = get_regressor(regressor, seed)
        self._seed = seed

    def sample_independent(
        self, study: Any, trial: Any, param_name: str, param_distribution: Any
    ) -> Any:
        """The number of a function, or what the other sampler says."""
        if param_name != self.name:
            return self._other.sample_independent(study, trial, param_name, param_distribution)
        known, tried = self._known(study)
        if known and trial.number % 2:
            return max(known, key=lambda number: (known[number], -number))
        for number in self._first:
            if number not in tried:
                return number
        rows = {int(number): row for row, number in enumerate(self._ids)}
        available = [row for number, row in rows.items() if number not in tried]
        if not available and not known:  # all have failed: once more
            return int(self._ids[trial.number % len(self._ids)])
        if not available:
            return max(known, key=lambda number: (known[number], -number))
        failed = {number: math.nan for number in tried if number not in known}
        values = {n: value for n, value in (known | failed).items() if n in rows}
        row = suggest(
            self._features,
            [rows[number] for number in values],
            list(values.values()),
            available,
            self._regressor,
            seed=self._seed + trial.number,
        )
        return int(self._ids[row])

    def _known(self, study):
        """The best value of each function, more being better, and the numbers of all tried."""
        if len(study.directions) > 1:
            raise ValueError(
                "suggest_activation is for a study of one value. Received: a study of "
                f"{len(study.directions)}."
            )
        sign = 1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1
        known: dict[int, float] = {}
        tried = set()
        for trial in study.get_trials(deepcopy=False):
            number = trial.params.get(self.name)
            if number is None:
                continue
            self._check(trial, number)
            tried.add(number)
            if trial.state == optuna.trial.TrialState.COMPLETE and math.isfinite(trial.value):
                known[number] = max(known.get(number, -math.inf), sign * trial.value)
        return known, tried

    def _check(self, trial, number):
        """That a number means the same function here as where the trial was made."""
        text = trial.user_attrs.get(self.name)
        here = str(self.pool.expression(number)) if 0 <= number < len(self.pool) else "no function"
        if text is not None and text != here:
            raise ValueError(
                "All samplers of a study have the same space and baselines. Received: trial "
                f"{trial.number} with function {number}, which is {text} there and {here} here. "
                "Use the same, or another study."
            )

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """The other sampler's, without the activation."""
        found = self._other.infer_relative_search_space(study, trial)
        return {name: kind for name, kind in found.items() if name != self.name}

    def sample_relative(
        self, study: Any, trial: Any, search_space: dict[str, Any]
    ) -> dict[str, Any]:
        """The other sampler's."""
        return self._other.sample_relative(study, trial, search_space)

    def before_trial(self, study: Any, trial: Any) -> None:
        """Tell the other sampler."""
        self._other.before_trial(study, trial)

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        """Tell the other sampler."""
        self._other.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Give parallel threads different random numbers."""
        self._other.reseed_rng()


def suggest_activation(trial: "optuna.Trial") -> str:
    """The activation of a trial whose study has an `ActivationSampler`.

    Args:
        trial: An Optuna trial.

    Returns:
        A text that `keras_actfn.activation` takes; also the trial's user attribute `"activation"`,
        or what the sampler calls its parameter.

    Raises:
        ValueError: If the study has another sampler, or trials of another space.

    Example:
    ```python
    from keras_actfn import expressions, search

    sampler = search.ActivationSampler(expressions.three_node(), candidates=100)
    study = optuna.create_study(sampler=sampler)
    search.suggest_activation(study.ask())  # 'relu(x)'
    ```
    """
    sampler = getattr(getattr(trial, "study", None), "sampler", None)
    if sampler is None:
        raise ValueError(
            "suggest_activation needs a trial of a study. Received: a "
            f"{type(trial).__name__}. The activation of a trial that is over is its "
            "user_attrs['activation'], as in study.best_trial.user_attrs['activation']."
        )
    if not isinstance(sampler, ActivationSampler):
        raise ValueError(
            "suggest_activation needs a study with an ActivationSampler. Received: "
            f"{type(sampler).__name__}. Write optuna.create_study(sampler="
            "search.ActivationSampler(space, other=…))."
        )
    number = trial.suggest_int(sampler.name, 0, len(sampler.pool) - 1)
    text = str(sampler.pool.expression(number))
    trial.set_user_attr(sampler.name, text)
    return text
