"""Pruners: what stops a training early that is behind others after the same epoch."""

from typing import TYPE_CHECKING

from .._names import nearest
from .._optional import require
from . import claims

if TYPE_CHECKING:
    import optuna

#: Optuna's pruners by name. They stop a training that is behind others after the same epoch: worse
#: than the median of those that ended (five at least), or not in the best quarter of all after
#: epochs 1, 4, 16, …
PRUNERS = {
    "median": lambda pruners: pruners.MedianPruner(),
    "halving": lambda pruners: pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4),
}


def get_pruner(
    spec: "str | optuna.pruners.BasePruner | None", epochs: int | None = None
) -> "optuna.pruners.BasePruner | None":
    """A pruner from its name, an Optuna pruner, or None.

    Args:
        spec: A name in `PRUNERS`, an `optuna.pruners.BasePruner`, or None.
        epochs: Epochs of a training, or None if that is not known.

    Returns:
        None, or a pruner that compares with evaluations that did not fail (`without_failures`).

    Raises:
        ValueError: If no pruner has the name, it is none, or there is one epoch only.
    """
    if spec is None:
        return None
    pruners = require("optuna", extra="search").pruners
    if epochs == 1:
        raise ValueError(
            "A pruner stops trainings after an epoch that is not the last. Received: epochs=1. "
            "Use more epochs, or no pruner."
        )
    if not isinstance(spec, pruners.BasePruner):
        if spec not in PRUNERS:
            hint = nearest(str(spec), PRUNERS)
            raise ValueError(
                f"A pruner is one of {', '.join(PRUNERS)}, or an Optuna pruner. Received: "
                f"{spec!r}. {hint}".rstrip()
            )
        spec = PRUNERS[spec](pruners)
    return without_failures(spec)


def without_failures(pruner: "optuna.pruners.BasePruner") -> "optuna.pruners.BasePruner":
    """A pruner that does not see the trials of failed evaluations.

    A training that diverges in its tenth epoch may lead after its first. What it reported until
    then must not stop a training that would have ended.

    Args:
        pruner: An Optuna pruner.
    """
    import optuna

    class WithoutFailures(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return pruner.prune(_StudyWithoutFailures(study), trial)

    return WithoutFailures()


class _StudyWithoutFailures:
    """A study whose failed evaluations are left out of its trials."""

    def __init__(self, study):
        self._study = study

    def __getattr__(self, name):
        return getattr(self._study, name)

    @property
    def trials(self):
        return self.get_trials()

    def get_trials(self, *arguments, **options):
        trials = self._study.get_trials(*arguments, **options)
        return [trial for trial in trials if not claims.has_failed(trial)]

    def _get_trials(self, *arguments, **options):
        trials = self._study._get_trials(*arguments, **options)
        return [trial for trial in trials if not claims.has_failed(trial)]
