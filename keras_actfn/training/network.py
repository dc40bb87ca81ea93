"""The models that a comparison trains, and where each run starts."""

import abc
import dataclasses
import math
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ..models.seeds import seeds_drawn_from, state_of, with_shared_start
from .data import Part

#: The activation of the model that gives a seed its weights: one without weights.
REFERENCE = "relu"


@dataclasses.dataclass(frozen=True, eq=False)
class Training:
    """What a training found, before its test.

    Attributes:
        steps: Training steps taken.
        step_seconds: Median seconds of a step, or None if too few were taken.
        diverged: Whether a loss was not finite.
        arrays: Curves by name.
        validation: Metrics of the validation part at the end where they were measured, or None.
    """

    steps: int
    step_seconds: float | None
    diverged: bool
    arrays: dict[str, np.ndarray]
    validation: dict[str, float] | None


class Network(abc.ABC):
    """One activation's model with its training step, set back for every seed.

    Attributes:
        model: What the builder made.
    """

    model: Any = None

    @abc.abstractmethod
    def start_from(self, seed: int, reference: "Reference") -> None:
        """Set everything to the start of a seed."""

    @abc.abstractmethod
    def train(
        self,
        seed: int,
        *,
        on_step: Callable | None = None,
        after_epoch: Callable | None = None,
        validate_every_epoch: bool = True,
    ) -> Training:
        """Train from where `start_from` left it; see `Trainer.train_once`."""

    @abc.abstractmethod
    def measure(self, part: Part) -> dict[str, float]:
        """The metrics on a part of the data."""

    @abc.abstractmethod
    def reported(self, seed: int, reference: "Reference") -> list[str]:
        """The names of the metrics that `measure` gives, found before any training."""

    @abc.abstractmethod
    def failed(self) -> dict[str, float]:
        """What a diverged run measures."""

    @abc.abstractmethod
    def default_metric(self) -> str:
        """The name in `reported` that leads where nobody says."""

    @abc.abstractmethod
    def direction(self, metric: str) -> str | None:
        """`"min"` or `"max"`, None where nothing says; asked after `reported`."""

    def measured(self, part: Part, diverged: bool) -> dict[str, float]:
        """The metrics on a part of the data, or those of a diverged run."""
        if diverged:
            return self.failed()
        found = self.measure(part)
        return found if math.isfinite(found.get("loss", 0.0)) else self.failed()


class Routine(abc.ABC):
    """How the models of a task are trained: by a recipe, or by `fit` as they are compiled."""

    @property
    @abc.abstractmethod
    def steps(self) -> int | None:
        """Steps of a run that does not end early; None where that is not known."""

    @abc.abstractmethod
    def check(self, model: keras.Model) -> keras.Model:
        """Return a model that can be trained so, or raise a ValueError."""

    @abc.abstractmethod
    def build(self, activation: Any) -> tuple[keras.Model, keras.Model]:
        """A checked new model, and what is trained: the same, or the model behind other layers."""

    @abc.abstractmethod
    def network(self, activation: Any) -> Network:
        """What trains the models of an activation."""

    @abc.abstractmethod
    def settings(self, model: keras.Model) -> dict:
        """What decides how a model is trained, for JSON."""

    @abc.abstractmethod
    def as_the_model_sees(self, inputs: Any) -> Any:
        """Inputs after what is put in front of the model, outside training."""


class Reference:
    """The start of each seed, made when it is first needed.

    Args:
        routine: How models are trained.
    """

    def __init__(self, routine: Routine):
        self._routine = routine
        self._starts: dict[int, tuple[list, tuple]] = {}
        self._weights: Any = weakref.WeakValueDictionary()  # by identity

    def build(self, activation: Any) -> tuple[keras.Model, keras.Model]:
        """A new model as the routine builds it, with weights of its own.

        Raises:
            ValueError: If a weight that is trained is another model's too.
        """
        built = self._routine.build(activation)
        for weight in built[1].trainable_weights:
            if id(weight) in self._weights:  # and so the very object
                raise ValueError(
                    "build_model makes a new model with new layers at each call, so that every run "
                    f"starts from its seed. Received: a model with the weight '{weight.path}' of "
                    "another one. Make or load the layer inside build_model, or freeze it."
                )
            self._weights[id(weight)] = weight
        return built

    def start(self, seed: int) -> tuple[list, tuple]:
        """The start of `seed`, as `models.seeds.state_of` gives it, and what was drawn for it."""
        if seed not in self._starts:
            with seeds_drawn_from(seed) as position:
                built = self.build(REFERENCE)[1]
                drawn = position()
            self._starts[seed] = state_of(built), drawn
        return self._starts[seed]


class Starts:
    """The start of each seed for the models of one activation.

    A model's state is what it shares with the reference and what is the activation's own. The own
    part is read from a model that is built for the seed, until it is known not to depend on seeds:
    there is none, or drawing it took nothing from the generators of Keras, Python and PyTorch, and
    two seeds had the same.

    Args:
        routine: How models are trained.
        activation: What the builder takes.
    """

    def __init__(self, routine: Routine, activation: Any):
        self._routine = routine
        self._activation = activation
        self._last: tuple[int, bool, list] | None = None
        self._fixed: list | None = None

    def of(self, seed: int, reference: Reference, kept: bool) -> tuple[list, Any]:
        """The state to start from, and what `build` gave; None where nothing was built.

        Args:
            seed: The seed.
            reference: The starts that all activations share.
            kept: Whether a model of the activation is there already. If not, one is built.
        """
        shared, drawn = reference.start(seed)
        if kept and self._fixed is not None:
            return with_shared_start(self._fixed, shared), None
        with seeds_drawn_from(seed) as position:
            built = reference.build(self._activation)
            nothing_drawn = position() == drawn
        own = state_of(built[1])
        start = with_shared_start(own, shared)
        self._learn(seed, own, start, {id(entry.value) for entry in shared}, nothing_drawn)
        return start, built

    def _learn(self, seed, own, start, shared, nothing_drawn):
        """Keep the activation's own part if it is known not to depend on seeds."""
        values = [entry.value for entry in start if id(entry.value) not in shared]
        if not values:
            self._fixed = own
        elif nothing_drawn and self._last is not None and self._last[0] != seed:
            other, before = self._last[1:]
            same = len(before) == len(values) and all(map(_identical, before, values))
            self._fixed = own if same and other else None
        self._last = seed, nothing_drawn, values


def _identical(one, other):
    """Whether two arrays have the same bits."""
    return (one.shape, one.dtype, one.tobytes()) == (other.shape, other.dtype, other.tobytes())
