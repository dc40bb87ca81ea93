"""The models that a comparison trains, and where each run starts."""

from typing import Any

import keras
import numpy as np

from ..initialization.autoinit import autoinit
from ..models.seeds import seeds_drawn_from, set_state, state_of, with_shared_start
from .batches import AugmentedBatches
from .classifier import check_classifier
from .setup import Setup

#: The activation of the model that gives a seed its weights: one without weights.
REFERENCE = "relu"


class Reference:
    """The start of each seed, made when it is first needed.

    Args:
        setup: A `Setup`.
    """

    def __init__(self, setup: Setup):
        self._setup = setup
        self._states: dict[int, list] = {}

    def state(self, seed: int) -> list:
        """The start of `seed`, as `models.seeds.state_of` gives it."""
        if seed not in self._states:
            with seeds_drawn_from(seed):
                model = check_classifier(self._setup.build_model(REFERENCE), self._setup.classes)
                self._states[seed] = state_of(self._setup.with_input_layers(model))
        return self._states[seed]


class Network:
    """One activation's model with its training step, set back for every seed.

    Args:
        setup: A `Setup`.
        activation: What the builder takes.

    Attributes:
        model: What the builder made.
        trained: The same with the recipe's augmentation in front; compiled.
    """

    def __init__(self, setup: Setup, activation: Any):
        self._setup = setup
        self._activation = activation
        self._recipe = setup.recipe
        self.model: Any = None
        self.trained: Any = None
        self._optimizer_start: Any = None

    def start_from(self, seed: int, reference: Reference) -> None:
        """Set weights, random states and optimiser to the start of `seed`."""
        start = reference.state(seed)
        with seeds_drawn_from(seed):
            model = self._setup.build_model(self._activation)
            check_classifier(model, self._setup.classes)
            trained = self._setup.with_input_layers(model)
        start = with_shared_start(state_of(trained), start)
        if self.trained is None:
            self.model, self.trained = model, trained
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

    def batches(self, x: Any, y: Any, seed: int) -> dict:
        """What `fit` trains on: the arrays, or batches by the recipe's augmentation."""
        stages, batch_size = self._recipe.batch_augmentation, self._setup.batch_size
        if stages is None:
            return {"x": x, "y": y, "batch_size": batch_size}
        classes = self.model.output_shape[-1]
        return {"x": AugmentedBatches(x, y, classes, stages, batch_size=batch_size, seed=seed)}

    def measure(self, x: Any, y: Any) -> dict[str, float]:
        """Loss and accuracy on all of (x, y), in batches of one size where there is one."""
        sizes = [size for size in range(min(len(x), 1000), 249, -1) if len(x) % size == 0]
        if self._recipe.batch_augmentation is not None:
            y = np.eye(self.model.output_shape[-1], dtype="float32")[y]
        measured = self.trained.evaluate(
            x,
            y,
            batch_size=sizes[0] if sizes else min(len(x), 1000),
            verbose=0,
            return_dict=True,
        )
        return {name: float(value) for name, value in measured.items()}
