"""What a search found, as plain values."""

import dataclasses

from ..activation import activation


@dataclasses.dataclass(frozen=True)
class SearchRow:
    """One evaluation.

    Attributes:
        number: Number of the Optuna trial.
        candidate: Number of the function.
        expression: Its text, as `keras_actfn.activation` takes it.
        value: What is maximised: the validation metric.
        diverged: Whether the training failed; `value` is then that of chance.
        baseline: Whether it is one of the functions that the search began with.
        seconds: Seconds of the training, or None.
    """

    number: int
    candidate: int
    expression: str
    value: float
    diverged: bool = False
    baseline: bool = False
    seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class BestActivation:
    """The best function found.

    Attributes:
        expression: Its text.
        value: Its validation metric.
    """

    expression: str
    value: float

    def layer(self):
        """A new layer that computes it, for any Keras model.

        Example:
        ```python
        model.add(found.best.layer())
        ```
        """
        return activation(self.expression)
