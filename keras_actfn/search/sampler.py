"""An Optuna sampler that picks functions by their number.

A function is one integer parameter, `candidate`, from 0 to the number of functions. Its
expression is a user attribute of the trial: as a category, hundreds of thousands of choices
would be written into the storage with every trial.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._optional import require
from .claims import CANDIDATE, has_failed, in_use, is_evaluated

if TYPE_CHECKING:
    import optuna
else:
    optuna = require("optuna", extra="search")


class CandidateSampler(optuna.samplers.BaseSampler):
    """Samples the parameter `candidate` by a surrogate; all other parameters at random.

    Args:
        choose: Function of (numbers of the evaluated functions, their values, set of the
            numbers that are taken), as `evaluations_of` gives them, that returns the number to
            evaluate next.
        seed: Seed for the other parameters.

    Example:
    ```python
    sampler = CandidateSampler(lambda known, values, taken: min(set(range(100)) - taken))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(lambda trial: -trial.suggest_int("candidate", 0, 99), n_trials=3)
    ```
    """

    def __init__(self, choose: Callable, seed: int | None = None) -> None:
        self._choose = choose
        self._random = optuna.samplers.RandomSampler(seed)

    def reseed_rng(self) -> None:
        """Give parallel threads different random numbers."""
        self._random.reseed_rng()

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """No parameter depends on another."""
        return {}

    def sample_relative(
        self, study: Any, trial: Any, search_space: dict[str, Any]
    ) -> dict[str, Any]:
        """No parameter depends on another."""
        return {}

    def sample_independent(
        self, study: Any, trial: Any, param_name: str, param_distribution: Any
    ) -> Any:
        """The function to evaluate next, or a random value for another parameter."""
        integer = isinstance(param_distribution, optuna.distributions.IntDistribution)
        if param_name != CANDIDATE or not integer or len(study.directions) > 1:
            return self._random.sample_independent(study, trial, param_name, param_distribution)
        known, values, taken = evaluations_of(study)
        number = int(self._choose(known, values, taken))
        if not param_distribution.low <= number <= param_distribution.high:
            raise ValueError(
                f"A candidate is a number from {param_distribution.low} to "
                f"{param_distribution.high}. The surrogate chose {number}."
            )
        return number


def evaluations_of(study: "optuna.Study") -> tuple[list[int], list[float], set[int]]:
    """What a study knows: (numbers of the evaluated functions, their values, taken numbers).

    More is better in the values, whatever the study's direction; NaN stands for an evaluation
    that failed. The taken numbers are those evaluated and those that a living worker is
    evaluating.
    """
    sign = 1.0 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1.0
    known, values, taken = [], [], set()
    for trial in in_use(study.get_trials(deepcopy=False)):
        number = trial.params.get(CANDIDATE)
        if number is None:
            continue
        taken.add(number)
        if is_evaluated(trial):
            known.append(number)
            values.append(math.nan if has_failed(trial) else sign * trial.value)
    return known, values, taken
