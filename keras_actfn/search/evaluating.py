"""One evaluation of a search: claim a function, train (perhaps not to the end), record."""

import contextlib
import math

from .._optional import require
from ..expressions import nearest
from . import claims

#: Optuna's pruners by name. They stop a training that is behind others after the same epoch: worse
#: than the median of those that ended (five at least), or not in the best quarter of all after
#: epochs 1, 4, 16, …
PRUNERS = {
    "median": lambda pruners: pruners.MedianPruner(),
    "halving": lambda pruners: pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4),
}


def get_pruner(spec, epochs=None):
    """A pruner from its name, an Optuna pruner, or None.

    Args:
        spec: A name in `PRUNERS`, an `optuna.pruners.BasePruner`, or None.
        epochs: Epochs of a training, or None if that is not known.

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
    if isinstance(spec, pruners.BasePruner):
        return spec
    if spec not in PRUNERS:
        hint = nearest(str(spec), PRUNERS)
        raise ValueError(
            f"A pruner is one of {', '.join(PRUNERS)}, or an Optuna pruner. Received: "
            f"{spec!r}. {hint}".rstrip()
        )
    return PRUNERS[spec](pruners)


def evaluate_next(study, pool, objective, evaluations):
    """Claim the function that the study's sampler chooses and evaluate it, or yield to a worker.

    An evaluation that the study's pruner stops counts, with the last value that was reported.

    Args:
        study: An Optuna study.
        pool: A `Pool`.
        objective: Function of an expression's text that returns an `Evaluation`; of `report` as
            well, if the study has a pruner.
        evaluations: How many evaluations the study shall have.
    """
    import optuna

    states = optuna.trial.TrialState
    trial = study.ask()
    try:
        with claims.Lease(trial):
            number = trial.suggest_int(claims.CANDIDATE, 0, len(pool) - 1)
            expression = str(pool.expression(number))
            trial.set_user_attr("expression", expression)
            if not claims.confirm(study, trial, evaluations):
                trial.set_user_attr("ended", "another worker has the function")
                study.tell(trial, state=states.FAIL)
                return
            evaluation = _evaluate(objective, expression, trial)
            if evaluation is not None:
                details = {**evaluation.details, "diverged": evaluation.diverged}
                for name, value in details.items():
                    trial.set_user_attr(name, value)
        if evaluation is None:
            _record(study, trial, state=states.PRUNED)
        else:
            _record(study, trial, evaluation.value)
    except optuna.exceptions.UpdateFinishedTrialError:
        return  # the lease had expired and another worker ended the trial
    except BaseException as error:
        with contextlib.suppress(Exception):
            trial.set_user_attr("ended", f"{type(error).__name__}: {error}"[:500])
            study.tell(trial, state=states.FAIL)
        raise


def _evaluate(objective, expression, trial):
    """The objective's `Evaluation`, or None if the study's pruner stopped it."""
    import optuna

    if isinstance(trial.study.pruner, optuna.pruners.NopPruner):
        return objective(expression)
    report = _Report(trial)
    try:
        return objective(expression, report)
    except optuna.TrialPruned:
        if not report.made:
            raise
        return None


class _Report:
    """Tells a trial's pruner a value on the way, and ends the evaluation if it says so.

    Called with a step (an epoch, from 1) and the value after it. Values that are not finite are
    passed over: the evaluation's end decides about them.
    """

    def __init__(self, trial):
        self._trial = trial
        self.made = False

    def __call__(self, step, value):
        import optuna

        value = float(value)
        if not math.isfinite(value):
            return
        self._trial.report(value, step)
        self.made = True
        if self._trial.should_prune():
            raise optuna.TrialPruned(f"It was behind others at step {step}.")


def _record(study, trial, value=None, state=None):
    """Finish a trial, unless its lease had expired and another worker ended it."""
    try:
        study.tell(trial, value, state)
    except ValueError:
        others = study.get_trials(deepcopy=False)
        if not others[trial.number].state.is_finished():
            raise
