"""What a search maximises: a training's validation accuracy, or a function of the user's."""

import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from ..datasets import Dataset, balanced_indices
from ..training import Task, compare
from ..training.fingerprints import key_of, part_fingerprint, recipe_settings
from ..training.setup import Setup
from ..training.trainer import Trainer

if TYPE_CHECKING:
    from ..training.results import Comparison

#: What a training can be judged by; a smaller loss is better.
METRICS = ("accuracy", "loss")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        value: What the search maximises; None if the evaluation failed. No number stands for a
            failure: it ranks behind every evaluation that ended, whatever their scale.
        details: More figures, for the trial's user attributes.
    """

    value: float | None
    details: dict = dataclasses.field(default_factory=dict)

    @property
    def diverged(self) -> bool:
        """Whether the evaluation failed."""
        return self.value is None


class TrainingObjective:
    """Train a model with an activation function, and judge it on held-out images.

    Every function starts from the same weights and sees the same images in the same order.
    Test images are not looked at.

    Args:
        build_model: Function of an activation that returns a new uncompiled classifier.
        data: A `keras_actfn.datasets.Dataset`, or `((x_train, y_train), (x_test, y_test))`.
        epochs: Epochs of training.
        batch_size: Images a step.
        recipe: A name of `keras_actfn.training.RECIPES`, or a `Recipe`; None for `"adam"`.
        subset: Train on this many images, classes in balance; None for all.
        validation: Hold out this many training images; None for a tenth.
        metric: `"accuracy"`, or `"loss"` (negated, so that more is better).
        seed: Seed of weights, images' order, dropout and augmentation.

    Raises:
        ValueError: If an argument is not what it should be.

    Example:
    ```python
    objective = TrainingObjective(build_model, data, epochs=2, batch_size=16)
    objective("relu(x)").value
    ```
    """

    def __init__(
        self,
        build_model: Callable[..., keras.Model],
        data: Any,
        *,
        epochs: int = 1,
        batch_size: int = 128,
        recipe: Any = None,
        subset: int | None = None,
        validation: int | None = None,
        metric: str = "accuracy",
        seed: int = 0,
    ):
        if metric not in METRICS:
            raise ValueError(f"A metric is one of {', '.join(METRICS)}. Received: {metric!r}.")
        self.metric = metric
        self.seed = seed
        train, test = (data, None) if isinstance(data, Dataset) else data
        #: What is compared at the end.
        self.task = Task(
            build_model,
            train,
            validation,
            test,
            epochs=epochs,
            batch_size=batch_size,
            recipe=recipe,
            subset=subset,
        )
        #: What is trained, without the test images.
        self.setup = Setup.of(self.task.without_test())
        self.classes = Setup.of(self.task).classes
        self.build_model = build_model
        self.data = data

    @property
    def measure(self) -> str:
        """What a value is, for people: more is better."""
        return f"validation {self.metric}{', negated' if self.metric == 'loss' else ''}"

    @property
    def images(self) -> np.ndarray:
        """The training images, (N, …)."""
        return self.setup.train.x

    @property
    def labels(self) -> np.ndarray:
        """Their labels, (N,)."""
        return self.setup.train.y

    def as_the_model_sees(self, images: np.ndarray) -> np.ndarray:
        """Images after what the recipe puts in front of the model, outside training."""
        return self.setup.as_the_model_sees(images)

    def __call__(self, activation: object, report: Callable | None = None) -> Evaluation:
        """Train with an activation; an `Evaluation`.

        Args:
            activation: What `build_model` takes.
            report: Function of an epoch's number, from 1, and the value after it, which is called
                after each epoch but the last. It may raise, which ends the training.
        """

        def report_value(epoch, measured):
            if report is not None and epoch < self.setup.epochs:
                report(epoch, self._value(measured))

        run = Trainer(self.task.without_test()).train_once(
            activation,
            self.seed,
            after_epoch=report and report_value,
            validate_every_epoch=report is not None,
        )
        details = {"seconds": round(run.seconds, 3)}
        if run.diverged:
            return Evaluation(None, details)
        measured = dict(run.validation or {})
        return Evaluation(self._value(measured), details | measured)

    def _value(self, measured):
        """The number to maximise of what was measured."""
        return -measured["loss"] if self.metric == "loss" else measured["accuracy"]

    def retrain(
        self,
        activations: Sequence,
        seeds: int | Sequence[int],
        output: str | os.PathLike | None = None,
        progress: bool = False,
    ) -> "Comparison":
        """Train on all training images but the held-out ones, and measure on the test images.

        Args:
            activations: What to compare; the others with the first.
            seeds: As for `keras_actfn.training.compare`.
            output: Folder of finished runs.
            progress: Whether to show a bar.

        Returns:
            A `Comparison`.
        """
        return compare(
            self.task, activations, seeds=seeds, output=output, plots=False, progress=progress
        )

    def settings(self) -> dict:
        """What decides a value, for JSON."""
        sizes = self.task.data.sizes()
        data = self.task.without_test().data.parts()
        return {
            "epochs": self.setup.epochs,
            "batch_size": self.setup.batch_size,
            "recipe": key_of(recipe_settings(self.setup.recipe)),
            "training_images": sizes["train"],
            "validation_images": sizes["validation"],
            "metric": self.metric,
            "data": key_of({name: part_fingerprint(part) for name, part in data.items()}),
        }


class FunctionObjective:
    """A user's function from an activation to a number, more being better.

    Args:
        function: Called with the text of an expression, and with `report` where there is a
            pruner; a number that is not finite says that the evaluation failed.
    """

    measure = "the objective's value"

    def __init__(self, function: Callable) -> None:
        self.function = function

    def __call__(self, activation: object, report: Callable | None = None) -> Evaluation:
        """Call the function; an `Evaluation`."""
        value = self.function(activation) if report is None else self.function(activation, report)
        try:
            value = float(np.asarray(value))
        except (TypeError, ValueError):
            raise ValueError(
                "An objective returns one number, more being better. Received: "
                f"{value!r} for '{activation}'."
            ) from None
        return Evaluation(value if math.isfinite(value) else None)

    def settings(self) -> dict:
        """What decides a value, for JSON; the function is known by its name only."""
        name = getattr(self.function, "__qualname__", type(self.function).__qualname__)
        return {"objective": name}


def objective_of(
    build_model: Callable, objective_or_data: Any, seed: int, training: dict
) -> "TrainingObjective | FunctionObjective":
    """The objective of a search's arguments; see `ActivationSearch`."""
    if callable(objective_or_data):
        if training:
            raise ValueError(
                f"{', '.join(training)} set how data is trained on. An objective trains by itself: "
                "pass data instead of a function, or leave them out."
            )
        return FunctionObjective(objective_or_data)
    unknown = set(training) - {
        "epochs",
        "batch_size",
        "recipe",
        "subset",
        "validation",
        "metric",
    }
    if unknown:
        raise TypeError(
            f"ActivationSearch() got an unexpected argument '{min(unknown)}'. Training takes "
            "epochs, batch_size, recipe, subset, validation and metric."
        )
    return TrainingObjective(build_model, objective_or_data, seed=seed, **training)


def images_to_probe(
    objective: "TrainingObjective | FunctionObjective", probe_data: object, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """The images that spectra are computed on, and their labels or None.

    Args:
        objective: A `TrainingObjective`, whose training images are drawn from, classes in
            balance, as its recipe gives them to the model; or another objective.
        probe_data: Images, or None.
        count: How many are drawn.
        seed: Seed of the draw.

    Raises:
        ValueError: If there are neither images nor training images.
    """
    if probe_data is not None:
        return np.asarray(probe_data), None
    if not isinstance(objective, TrainingObjective):
        raise ValueError(
            "Spectra are computed on images. Pass probe_data=… beside an objective. Received: None."
        )
    images, labels = objective.images, objective.labels
    chosen = balanced_indices(labels, min(count, len(labels)), seed)
    return objective.as_the_model_sees(images[chosen]), labels[chosen]
