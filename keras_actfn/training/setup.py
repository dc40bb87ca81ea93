"""What the runs of an uncompiled classifier share: the data and the training by a recipe."""

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np

from . import fingerprints, recipes
from .augmentation import RandomPaddedCrop
from .criterion import unknown_metric
from .data import Arrays, Source
from .recipe import Recipe
from .task import Task

#: What a recipe's training is judged by, the first where nobody says.
METRICS = ("accuracy", "loss")


#: Images per step where nobody says.
BATCH_SIZE = 128


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """A model family that a recipe trains on images and integer labels.

    Attributes:
        build_model: Function of an activation that returns a new uncompiled classifier.
        train: Training images and labels.
        validation: The same, held out; or None.
        test: The same, to test on; or None.
        recipe: A `Recipe`.
        epochs: Epochs of training.
        batch_size: Images per step.
    """

    build_model: Callable
    train: Arrays
    validation: Arrays | None
    test: Arrays | None
    recipe: Recipe
    epochs: int
    batch_size: int

    @classmethod
    def of(cls, task: Task) -> "Setup":
        """The setup of a task whose models are not compiled.

        Raises:
            ValueError: If the task has what a recipe does not take.
        """
        if task.callbacks is not None or task.fit:
            given = "callbacks" if task.callbacks is not None else "fit"
            raise ValueError(
                f"A recipe sets how an uncompiled model is trained. Received: {given}. Compile the "
                f"model in build_model, or leave out {given}."
            )
        if task.metric not in (None, *METRICS):
            raise unknown_metric(task.metric, METRICS)
        parts = {name: _checked(name, part) for name, part in task.data.parts().items()}
        count = len(parts["train"])
        batch_size = min(BATCH_SIZE, count) if task.batch_size is None else task.batch_size
        if batch_size > count:
            raise ValueError(
                f"A batch has at most the {count} training examples. Received: "
                f"batch_size={batch_size}. Choose a smaller one (--batch-size)."
            )
        return cls(
            task.build_model,
            parts["train"],
            parts.get("validation"),
            parts.get("test"),
            recipes.get(task.recipe),
            task.epochs,
            batch_size,
        )

    @property
    def steps_per_epoch(self) -> int:
        """Training steps in an epoch; images that do not fill a batch are left out."""
        return len(self.train) // self.batch_size

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self.train.x.shape[1:]

    @functools.cached_property
    def classes(self) -> int:
        """Number of classes: one more than the largest label of any part."""
        parts = (self.train, self.validation, self.test)
        return 1 + max(int(part.y.max()) for part in parts if part is not None)

    @functools.cached_property
    def mean(self) -> np.ndarray:
        """Mean of the training images in each channel, float64."""
        return self.train.x.mean(self._pixel_axes, dtype="float64")

    @functools.cached_property
    def std(self) -> np.ndarray:
        """Standard deviation of the training images in each channel; 1 where they are constant."""
        std = self.train.x.std(self._pixel_axes, dtype="float64")
        return np.where(std > 0, std, 1.0)

    @property
    def _pixel_axes(self):
        return tuple(range(self.train.x.ndim - 1))

    def input_moments(self) -> tuple[float, float]:
        """Mean and variance of what the model sees, over all pixels and channels."""
        if self.recipe.standardize:
            return 0.0, 1.0
        if self.recipe.subtract_mean:
            return 0.0, float(255**2 * (self.std**2).mean())
        return float(self.mean.mean()), float((self.std**2).mean() + self.mean.var())

    def input_layers(self, shape: tuple[int, ...]) -> list[keras.Layer]:
        """New layers that the recipe puts in front of a model for images of a shape."""
        augmentation = self.recipe.augmentation()
        if self.recipe.crop is not None:
            augmentation.insert(0, RandomPaddedCrop(0, size=shape[:2]))
        if self.recipe.standardize:
            augmentation.append(
                keras.layers.Normalization(mean=self.mean, variance=np.square(self.std))
            )
        elif self.recipe.subtract_mean:  # from images in [0, 1] to 255 · (image − mean)
            variance = np.full_like(self.mean, 1 / 255**2)
            augmentation.append(keras.layers.Normalization(mean=self.mean, variance=variance))
        return augmentation

    def with_input_layers(self, model: keras.Model) -> keras.Model:
        """The model that is trained: `model` behind the recipe's input layers, if there are any."""
        front = self.input_layers(model.input_shape[1:])
        return keras.Sequential([keras.Input(self.image_shape), *front, model]) if front else model

    def as_the_model_sees(self, images: np.ndarray) -> np.ndarray:
        """Images after the recipe's input layers, as outside training."""
        for layer in self.input_layers(self.recipe.model_shape(self.image_shape)):
            images = layer(images, training=False)
        return keras.ops.convert_to_numpy(images)

    def settings(self) -> dict:
        """What decides how it trains, for JSON."""
        return {
            "batch_size": self.batch_size,
            "recipe": fingerprints.recipe_settings(self.recipe),
        }


def _checked(name, part):
    """A part of the data as images and integer labels from 0, or a ValueError."""
    if isinstance(part, Source):
        raise ValueError(
            "A recipe trains an uncompiled classifier on arrays of images and integer labels. "
            f"Received: {name} of another kind. Compile the model in build_model; fit takes such "
            "data."
        )
    x, y = part.x, part.y
    plain = isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and part.sample_weight is None
    if not plain or y.shape != x.shape[:1] or not np.issubdtype(y.dtype, np.integer):
        shapes = (
            f"images of shape {x.shape}, labels of shape {y.shape} and dtype {y.dtype}"
            if plain
            else "other structures, or sample weights"
        )
        raise ValueError(
            f"A recipe trains an uncompiled classifier on N images and N integer labels. Received "
            f"as {name}: {shapes}. Compile the model in build_model to train it on other data."
        )
    if y.min() < 0:
        raise ValueError(f"Labels of classes count from 0. Received: {y.min()} in {name}.")
    return part
