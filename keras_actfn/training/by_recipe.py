"""Trainings of uncompiled classifiers by a recipe.

Each epoch drops the images that do not fill a batch (others every time), so that every step
has one shape and the backend compiles one training step for an activation. All seeds of an
activation use that step: model and optimiser are set back to their initial values instead
of built anew. Batches follow each other as they would in a single `fit`.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ..initialization.autoinit import autoinit
from ..models.seeds import batch_order, masks_drawn_from, seeds_drawn_from, set_state, state_of
from .batches import AugmentedBatches, EpochBatches, OrderedBatches, given_to_fit
from .classifier import check_classifier
from .monitor import RunMonitor
from .network import Network, Reference, Routine, Starts, Training
from .run_callbacks import RunCallbacks
from .setup import METRICS, Setup
from .threads import threads_for

#: What a diverged run measures: no finished run has a lower accuracy or a higher loss.
DIVERGED = {"accuracy": 0.0, "loss": math.inf}


class ByRecipe(Routine):
    """How uncompiled classifiers are trained.

    Args:
        setup: A `Setup`.
    """

    def __init__(self, setup: Setup):
        self.setup = setup

    @property
    def steps(self) -> int:
        """Steps of a run that does not diverge."""
        return self.setup.epochs * self.setup.steps_per_epoch

    def check(self, model: keras.Model) -> keras.Model:
        """Return `model`; see `check_classifier`."""
        return check_classifier(model, self.setup.classes)

    def build(self, activation: Any) -> tuple[keras.Model, keras.Model]:
        """A new model, and the same behind the recipe's input layers."""
        model = self.check(self.setup.build_model(activation))
        return model, self.setup.with_input_layers(model)

    def network(self, activation: Any) -> "RecipeNetwork":
        """What trains the models of an activation."""
        return RecipeNetwork(self, activation)

    def settings(self, model: keras.Model) -> dict:
        """What decides how a model is trained, for JSON."""
        return self.setup.settings()

    def as_the_model_sees(self, inputs: Any) -> Any:
        """Images after the recipe's input layers, as outside training."""
        return self.setup.as_the_model_sees(inputs)


class RecipeNetwork(Network):
    """One activation's classifier with its training step, set back for every seed.

    Args:
        routine: A `ByRecipe`.
        activation: What the builder takes.

    Attributes:
        trained: The model with the recipe's augmentation in front; compiled.
    """

    def __init__(self, routine: ByRecipe, activation: Any):
        self._routine = routine
        self._setup = routine.setup
        self._activation = activation
        self._recipe = routine.setup.recipe
        self.trained: Any = None
        self._starts = Starts(routine, activation)
        self._optimizer_start: Any = None

    def start_from(self, seed: int, reference: Reference) -> None:
        """Set weights, random states and optimiser to the start of `seed`."""
        kept = self.trained is not None
        start, built = self._starts.of(seed, reference, kept)
        if not kept:
            self.model, self.trained = built
            self._compile()
        else:
            set_state(self.trained.optimizer, self._optimizer_start)
        set_state(self.trained, start)
        if self._recipe.autoinit:
            mean, variance = self._setup.input_moments()
            autoinit(self.model, input_mean=mean, input_variance=variance)

    def _compile(self):
        one_hot = self._recipe.batch_augmentation is not None
        metric = "CategoricalAccuracy" if one_hot else "SparseCategoricalAccuracy"
        self.trained.compile(
            optimizer=self._recipe.optimizer_for(
                self.trained, self._setup.steps_per_epoch, self._setup.epochs
            ),
            loss=f"{'' if one_hot else 'sparse_'}categorical_crossentropy",
            metrics=[getattr(keras.metrics, metric)(name="accuracy")],
        )
        self.trained.optimizer.build(self.trained.trainable_variables)
        self._optimizer_start = state_of(self.trained.optimizer)

    def train(
        self,
        seed: int,
        *,
        on_step: Callable | None = None,
        after_epoch: Callable | None = None,
        validate_every_epoch: bool = True,
    ) -> Training:
        """Train; see `Trainer.train_once`."""
        setup = self._setup
        used = setup.steps_per_epoch * setup.batch_size

        def batches(epoch):
            order = batch_order(seed, epoch, len(setup.train))[:used]
            return self.batches(order, seed * setup.epochs + epoch)

        def begin(epoch):
            epochs.begin(epoch)
            masks_drawn_from(seed, epoch)

        epochs = EpochBatches(batches, setup.steps_per_epoch)
        monitor = RunMonitor(on_step, before_epoch=begin, after_epoch=after_epoch)
        validated: dict[str, Any] = {}
        if setup.validation is not None and validate_every_epoch:
            x, y, size = self._measured_on(setup.validation)
            validated = {"validation_data": (x, y), "validation_batch_size": size}
        with seeds_drawn_from(seed), threads_for(self.trained, setup.batch_size):
            self.trained.fit(
                given_to_fit(epochs),
                epochs=setup.epochs,
                shuffle=False,
                verbose=0,
                callbacks=RunCallbacks(monitor, [], self.trained),
                **validated,
            )
        diverged = monitor.diverged
        arrays: dict[str, np.ndarray] = monitor.curves()
        validation = None
        if setup.validation is not None:
            epochs_logs = [logs for _, logs in monitor.epochs] if validated else []
            found = [{name: logs[f"val_{name}"] for name in METRICS} for logs in epochs_logs]
            if diverged or not validated:
                found[-1:] = [self.measured(setup.validation, diverged)]
            validation = found[-1]
            diverged = not math.isfinite(validation["loss"])
            for name in METRICS:
                arrays[f"validation_{name}"] = np.array([each[name] for each in found])
        return Training(monitor.steps, monitor.step_seconds(), diverged, arrays, validation)

    def batches(self, order: np.ndarray, seed: int) -> Any:
        """An epoch's batches by their number: of the arrays, or by the recipe's augmentation.

        Args:
            order: Positions of training images.
            seed: Seed of the augmentation of batches.
        """
        stages, size = self._recipe.batch_augmentation, self._setup.batch_size
        x, y = self._setup.train.x, self._setup.train.y
        if stages is None:
            return OrderedBatches(x, y, order, size)
        classes = self.model.output_shape[-1]
        return AugmentedBatches(x[order], y[order], classes, stages, batch_size=size, seed=seed)

    def _measured_on(self, part):
        """Images and labels of a part as the model is measured on them, and how many at once."""
        x, y = part.x, part.y
        sizes = [size for size in range(min(len(x), 1000), 249, -1) if len(x) % size == 0]
        if self._recipe.batch_augmentation is not None:
            y = np.eye(self.model.output_shape[-1], dtype="float32")[y]
        return x, y, sizes[0] if sizes else min(len(x), 1000)

    def measure(self, part: Any) -> dict[str, float]:
        """Loss and accuracy on all of a part, in batches of one size where there is one."""
        x, y, size = self._measured_on(part)
        with threads_for(self.trained, self._setup.batch_size):
            measured = self.trained.evaluate(x, y, batch_size=size, verbose=0, return_dict=True)
        return {name: float(value) for name, value in measured.items()}

    def reported(self, seed: int, reference: Reference) -> list[str]:
        """Loss and accuracy."""
        return list(METRICS)

    def failed(self) -> dict[str, float]:
        """An accuracy of 0 and an infinite loss."""
        return dict(DIVERGED)

    def default_metric(self) -> str:
        """The accuracy."""
        return METRICS[0]

    def direction(self, metric: str) -> str:
        """More accuracy is better, less loss."""
        return "min" if metric == "loss" else "max"
