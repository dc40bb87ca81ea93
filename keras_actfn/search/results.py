"""What a search found, as plain values."""

import dataclasses

from .._activation import activation
from ..expressions import serialize
from .tandem import functions_of


@dataclasses.dataclass(frozen=True)
class SearchRow:
    """One evaluation.

    Attributes:
        number: Number of the Optuna trial.
        candidate: Number of the function.
        expression: Its text, as `keras_actfn.activation` takes it.
        value: What is maximised: the validation metric. None if the evaluation failed.
        diverged: Whether the evaluation failed: it ranks behind all others.
        baseline: Whether it is one of the functions that the search began with.
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

    @property
    def rank(self) -> tuple:
        """What orders rows, the best first: finished ones, those stopped early, failures."""
        return self.diverged, self.pruned, -self.value if self.value is not None else 0, self.number


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

    def layers(self):
        """A new layer for each group of places, in a list of one where there are no groups."""
        return [activation(serialize(function)) for function in functions_of(self.expression)]
