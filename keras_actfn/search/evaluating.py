"""One evaluation of a search: claim a function, train (perhaps not to the end), record."""

import contextlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._secrets import masked
from . import claims
from .trials import CHECKSUM, checksum

if TYPE_CHECKING:
    import optuna


def evaluate_next(
    study: "optuna.Study", pool: Any, objective: Callable, evaluations: int | None
) -> None:
    """Claim the function that the study's sampler chooses and evaluate it, or yield to a worker.

    An evaluation that the study's pruner stops counts, with the last value that was reported.
    One that fails counts without a value: its trial has the state FAIL and `claims.DIVERGED`.

    Args:
        study: An Optuna study.
        pool: A `Pool`.
        objective: Function of an expression's text that returns an `Evaluation`; of `report` as
            well, if the study has a pruner.
        evaluations: How many evaluations the study has in the end; None for any number.
    """
    import optuna

    states = optuna.trial.TrialState
    trial = claims.ask(study)
    try:
        with claims.Lease(trial):
            number = trial.suggest_int(claims.CANDIDATE, 0, pool.limit - 1)
            expression = str(pool.expression(number))
            trial.set_user_attr("expression", expression)
            if not claims.confirm(study, trial, evaluations):
                trial.set_user_attr("ended", "another worker has the function")
                study.tell(trial, state=states.FAIL)
                return
            evaluation = _evaluate(objective, expression, trial)
            if evaluation is not None:
                details = {**evaluation.details, claims.DIVERGED: evaluation.diverged}
                for name, value in details.items():
                    trial.set_user_attr(name, value)
                value = None if evaluation.diverged else float(evaluation.value)
                content = {"expression": expression, **details}
                trial.set_user_attr(CHECKSUM, checksum(number, value, content))
        if evaluation is None:
            _record(study, trial, state=states.PRUNED)
        elif evaluation.diverged:
            _record(study, trial, state=states.FAIL)
        else:
            _record(study, trial, evaluation.value)
    except optuna.exceptions.UpdateFinishedTrialError:
        return  # the lease had expired and another worker ended the trial
    except BaseException as error:
        with contextlib.suppress(Exception):
            trial.set_user_attr("ended", masked(f"{type(error).__name__}: {error}")[:500])
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
