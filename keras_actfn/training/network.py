"""The models that a comparison trains, and where each run starts."""

import dataclasses

import keras
import numpy as np

from ..initialization.autoinit import autoinit
from ..models.seeds import seeds_drawn_from, set_state, state_of, with_shared_start
from .augmentation import RandomPaddedCrop
from .batches import AugmentedBatches

#: The activation of the model that gives a seed its weights: one without weights.
REFERENCE = "relu"


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """What a recipe needs to know about a comparison.

    Attributes:
        steps_per_epoch: Steps in an epoch.
        epochs: Number of epochs.
        mean: Mean of the training images in each channel.
        std: Their standard deviation in each channel.
        image_shape: Shape of one image.
    """

    steps_per_epoch: int
    epochs: int
    mean: np.ndarray
    std: np.ndarray
    image_shape: tuple

    @classmethod
    def of(cls, split, batch_size, epochs):
        """The plan for a `Split`; channels are the images' last axis."""
        axes = tuple(range(split.x_train.ndim - 1))
        std = split.x_train.std(axes, dtype="float64")
        return cls(
            steps_per_epoch=split.steps(batch_size),
            epochs=epochs,
            mean=split.x_train.mean(axes, dtype="float64"),
            std=np.where(std > 0, std, 1.0),
            image_shape=split.x_train.shape[1:],
        )

    def input_moments(self, recipe):
        """Mean and variance of what the model sees, over all pixels and channels."""
        if recipe.standardize:
            return 0.0, 1.0
        if recipe.subtract_mean:
            return 0.0, float(255**2 * (self.std**2).mean())
        return float(self.mean.mean()), float((self.std**2).mean() + self.mean.var())


class Reference:
    """The start of each seed, made when it is first needed.

    Args:
        build_model: `compare`'s.
        recipe: A `Recipe`.
        plan: A `Plan`.
    """

    def __init__(self, build_model, recipe, plan):
        self._build = lambda: _with_augmentation(build_model(REFERENCE), recipe, plan)
        self._states = {}

    def state(self, seed):
        """The start of `seed`, as `state_of` gives it."""
        if seed not in self._states:
            with seeds_drawn_from(seed):
                self._states[seed] = state_of(self._build())
        return self._states[seed]


class Network:
    """One activation's model with its training step, set back for every seed.

    Args:
        label: The activation's label.
        activation: What the builder takes.
        build_model: `compare`'s.
        recipe: A `Recipe`.
        plan: A `Plan`.

    Attributes:
        model: What the builder made.
        trained: The same with the recipe's augmentation in front; compiled.
    """

    def __init__(self, label, activation, build_model, recipe, plan):
        self.label = label
        self._build = lambda: build_model(activation)
        self._recipe = recipe
        self._plan = plan
        self.model = None
        self.trained = None
        self._optimizer_start = None

    def start_from(self, seed, reference):
        """Set weights, random states and optimiser to the start of `seed`."""
        with seeds_drawn_from(seed):
            model = self._build()
            trained = _with_augmentation(model, self._recipe, self._plan)
        start = with_shared_start(state_of(trained), reference.state(seed))
        if self.trained is None:
            self.model, self.trained = model, trained
            one_hot = self._recipe.batch_augmentation is not None
            metric = "CategoricalAccuracy" if one_hot else "SparseCategoricalAccuracy"
            trained.compile(
                optimizer=self._recipe.optimizer_for(
                    trained, self._plan.steps_per_epoch, self._plan.epochs
                ),
                loss=f"{'' if one_hot else 'sparse_'}categorical_crossentropy",
                metrics=[getattr(keras.metrics, metric)(name="accuracy")],
            )
            trained.optimizer.build(trained.trainable_variables)
            self._optimizer_start = state_of(trained.optimizer)
        else:
            set_state(self.trained.optimizer, self._optimizer_start)
        set_state(self.trained, start)
        if self._recipe.autoinit:
            mean, variance = self._plan.input_moments(self._recipe)
            autoinit(self.model, input_mean=mean, input_variance=variance)

    def batches(self, x, y, batch_size, seed):
        """What `fit` trains on: the arrays, or batches by the recipe's augmentation."""
        stages = self._recipe.batch_augmentation
        if stages is None:
            return {"x": x, "y": y, "batch_size": batch_size}
        classes = self.model.output_shape[-1]
        return {"x": AugmentedBatches(x, y, classes, stages, batch_size=batch_size, seed=seed)}

    def measure(self, x, y):
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


def as_the_model_sees(images, recipe, plan):
    """Images after what a recipe puts in front of the model, as outside training.

    Args:
        images: Images, (N, …).
        recipe: A `Recipe`.
        plan: A `Plan`.

    Returns:
        A NumPy array.
    """
    for layer in _input_layers(recipe.model_shape(plan.image_shape), recipe, plan):
        images = layer(images, training=False)
    return keras.ops.convert_to_numpy(images)


def _with_augmentation(model, recipe, plan):
    """The model that is trained: behind the recipe's augmentation, on images as it wants them."""
    augmentation = _input_layers(model.input_shape[1:], recipe, plan)
    if not augmentation:
        return model
    return keras.Sequential([keras.Input(plan.image_shape), *augmentation, model])


def _input_layers(shape, recipe, plan):
    """What a recipe puts in front of a model for images of a shape."""
    augmentation = recipe.augmentation()
    if recipe.crop is not None:
        augmentation.insert(0, RandomPaddedCrop(0, size=shape[:2]))
    if recipe.standardize:
        augmentation.append(
            keras.layers.Normalization(mean=plan.mean, variance=np.square(plan.std))
        )
    elif recipe.subtract_mean:  # from images in [0, 1] to 255 · (image − mean)
        augmentation.append(
            keras.layers.Normalization(mean=plan.mean, variance=np.full_like(plan.mean, 1 / 255**2))
        )
    return augmentation
