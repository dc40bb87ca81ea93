"""What a search found, as plain values."""

import dataclasses
from collections.abc import Collection
from typing import TYPE_CHECKING

import keras

from .._activation import activation
from ..expressions import serialize
from . import claims
from .tandem import functions_of

if TYPE_CHECKING:
    import optuna


@dataclasses.dataclass(frozen=True)
class SearchRow:
    """One evaluation.

    Attributes:
        number: Number of the Optuna trial.
        candidate: Number of the function.
        expression: Its text, as `keras_actfn.activation` takes it.
        value: The validation metric, or the objective's number. None if the evaluation failed.
        diverged: Whether the evaluation failed: it ranks behind all others.
        baseline: Whether it is one of the usual functions.
        seconds: Seconds of the training, or None.
        pruned: Whether a pruner stopped the training; `value` is then that of its last epoch.
    """

    number: int
    candidate: int
    expression: str
    value: float | None
    diverged: bool = False
    baseline: bool = False
    seconds: float | None = None
    pruned: bool = False


def search_rows(study: "optuna.Study", baselines: Collection[int]) -> list[SearchRow]:
    """Every evaluation of a study, the best first; see `ActivationSearch.table`.

    Args:
        study: The study.
        baselines: Numbers of the usual functions.
    """
    rows = [
        SearchRow(
            number=trial.number,
            candidate=trial.params[claims.CANDIDATE],
            expression=trial.user_attrs["expression"],
            value=trial.value,
            diverged=claims.has_failed(trial),
            baseline=trial.params[claims.CANDIDATE] in baselines,
            seconds=trial.user_attrs.get("seconds"),
            pruned=trial.state.name == "PRUNED",
        )
        for trial in study.get_trials(deepcopy=False)
        if claims.is_evaluated(trial) and claims.CANDIDATE in trial.params
    ]
    sign = 1 if study.direction.name == "MINIMIZE" else -1

    def rank(row: SearchRow) -> tuple:
        """The best first: finished ones, those stopped early, failures; of equals, the earliest."""
        return row.diverged, row.pruned, sign * (row.value or 0.0), row.number

    return sorted(rows, key=rank)


@dataclasses.dataclass(frozen=True)
class BestActivation:
    """The best function found.

    Attributes:
        expression: Its text.
        value: Its validation metric.
    """

    expression: str
    value: float

    def layer(self) -> keras.layers.Layer:
        """A new layer that computes it, for any Keras model.

        Raises:
            ValueError: If it is a function for each of several groups; see `layers`.

        Example:
        ```python
        best = BestActivation("add(relu(x),tanh(x))", 0.9)
        keras.Sequential([keras.layers.Dense(8), best.layer()])
        ```
        """
        layers = self.layers()
        if len(layers) > 1:
            raise ValueError(
                "layer() gives the one function that was found. There is one for each of "
                f"{len(layers)} groups: {self.expression}. Use layers()."
            )
        return layers[0]

    def layers(self) -> list[keras.layers.Layer]:
        """A new layer for each group of places, in a list of one where there are no groups."""
        return [activation(serialize(function)) for function in functions_of(self.expression)]
