"""What a search maximises: a training's validation accuracy, or a function of the user's."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from .._progress import Progress
from ..datasets import Dataset, balanced_indices, train_validation_split
from ..models.seeds import seeds_drawn_from
from ..training import compare
from ..training.compare import train_network
from ..training.fingerprints import data_fingerprint, key_of, recipe_settings
from ..training.network import Network, Plan, Reference, as_the_model_sees
from ..training.recipes import get as get_recipe
from ..training.split import Split

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
    objective = TrainingObjective(build_model, datasets.digits(image_size=28), epochs=2)
    objective("relu(x)").value
    ```
    """

    def __init__(
        self,
        build_model,
        data,
        *,
        epochs=1,
        batch_size=128,
        recipe=None,
        subset=None,
        validation=None,
        metric="accuracy",
        seed=0,
    ):
        if metric not in METRICS:
            raise ValueError(f"A metric is one of {', '.join(METRICS)}. Received: {metric!r}.")
        self.build_model = build_model
        self.data = data
        self.metric = metric
        self.seed = seed
        self.training = {"epochs": epochs, "batch_size": batch_size, "recipe": get_recipe(recipe)}
        if isinstance(data, Dataset):
            data = (data.x_train, data.y_train), (data.x_test, data.y_test)
        whole = Split.of(data, None, None, 1)
        if validation is None:
            validation = max(1, len(whole.x_train) // 10)
        rest, held_out = train_validation_split(whole.x_train, whole.y_train, validation)
        part = Split.of((rest, held_out), subset, None, batch_size)
        self.subset = subset
        self.validation = validation
        self._split = part
        self._data = (part.x_train, part.y_train), (part.x_test, part.y_test)
        self.classes = int(whole.y_train.max()) + 1

    @property
    def measure(self) -> str:
        """What a value is, for people: more is better."""
        return f"validation {self.metric}{', negated' if self.metric == 'loss' else ''}"

    @property
    def images(self):
        """The training images, (N, …)."""
        return self._data[0][0]

    @property
    def labels(self):
        """Their labels, (N,)."""
        return self._data[0][1]

    def as_the_model_sees(self, images):
        """Images after what the recipe puts in front of the model, outside training."""
        plan = Plan.of(self._split, self.training["batch_size"], self.training["epochs"])
        return as_the_model_sees(images, self.training["recipe"], plan)

    def __call__(self, activation, report=None):
        """Train with an activation; an `Evaluation`.

        Args:
            activation: What `build_model` takes.
            report: Function of an epoch's number, from 1, and the value after it, which is called
                after each epoch but the last. It may raise, which ends the training.
        """
        if report is None:
            run = compare(
                self.build_model, self._data, [activation], seeds=[self.seed], **self.training
            ).runs[0]
        else:
            run = self._reporting(activation, report)
        details = {"seconds": round(run.seconds, 3)}
        if run.diverged or not math.isfinite(run.test_loss):
            return Evaluation(None, details)
        details |= {"accuracy": run.test_accuracy, "loss": run.test_loss}
        value = -run.test_loss if self.metric == "loss" else run.test_accuracy
        return Evaluation(float(value), details)

    def _reporting(self, activation, report):
        """The run that `compare` makes, with the held-out images measured after each epoch."""
        epochs, batch_size = self.training["epochs"], self.training["batch_size"]
        recipe = self.training["recipe"]
        plan = Plan.of(self._split, batch_size, epochs)

        def report_value(epoch, measured):
            if epoch < epochs:
                loss = self.metric == "loss"
                report(epoch, -measured["loss"] if loss else measured["accuracy"])

        network = Network(str(activation), activation, self.build_model, recipe, plan)
        network.start_from(self.seed, Reference(self.build_model, recipe, plan))
        held_out = dataclasses.replace(
            self._split, x_validation=self._split.x_test, y_validation=self._split.y_test
        )
        with seeds_drawn_from(self.seed):
            return train_network(
                network,
                held_out,
                self.seed,
                key="",
                epochs=epochs,
                batch_size=batch_size,
                bar=Progress(0, False),
                after_epoch=report_value,
            )

    def retrain(self, activations, seeds, output=None, progress=False):
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
            self.build_model,
            self.data,
            activations,
            seeds=seeds,
            subset=self.subset,
            validation=self.validation,
            output=output,
            plots=False,
            progress=progress,
            **self.training,
        )

    def settings(self):
        """What decides a value, for JSON."""
        (x, y), (x_validation, y_validation) = self._data
        return {
            "epochs": self.training["epochs"],
            "batch_size": self.training["batch_size"],
            "recipe": key_of(recipe_settings(self.training["recipe"])),
            "training_images": len(x),
            "validation_images": len(x_validation),
            "metric": self.metric,
            "data": data_fingerprint(x, y, x_validation, y_validation)[:20],
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

    def __call__(self, activation, report=None):
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

    def settings(self):
        """What decides a value, for JSON; the function is known by its name only."""
        name = getattr(self.function, "__qualname__", type(self.function).__qualname__)
        return {"objective": name}


def objective_of(
    build_model: Callable, objective_or_data, seed: int, training: dict
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


def images_to_probe(objective, probe_data, count, seed):
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
