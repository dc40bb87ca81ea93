"""What the runs of a comparison or a search share: the model family, its data and the training."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from .._version import __version__
from . import fingerprints, recipes
from .augmentation import RandomPaddedCrop
from .recipe import Recipe
from .split import Split, check_positive


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """A model family, its data, and how it is trained.

    Attributes:
        build_model: Function of an activation that returns a new uncompiled classifier.
        split: The images and labels, a `Split`.
        recipe: A `Recipe`.
        epochs: Epochs of training.
        batch_size: Images per step.
    """

    build_model: Callable
    split: Split
    recipe: Recipe
    epochs: int
    batch_size: int

    @classmethod
    def of(
        cls,
        build_model: Callable,
        data: Any,
        *,
        epochs: int = 1,
        batch_size: int = 128,
        recipe: Any = None,
        subset: int | None = None,
        validation: int | None = None,
    ) -> "Setup":
        """Check `compare`'s arguments of these names.

        Raises:
            ValueError: If an argument is not what it should be.
        """
        check_positive("epochs", epochs)
        recipe = recipes.get(recipe)
        return cls(
            build_model, Split.of(data, subset, validation, batch_size), recipe, epochs, batch_size
        )

    @property
    def steps_per_epoch(self) -> int:
        """Training steps in an epoch; images that do not fill a batch are left out."""
        return len(self.split.x_train) // self.batch_size

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self.split.x_train.shape[1:]

    @property
    def classes(self) -> int:
        """Number of classes: one more than the largest label of any part."""
        return self.split.classes

    @functools.cached_property
    def mean(self) -> np.ndarray:
        """Mean of the training images in each channel, float64."""
        return self.split.x_train.mean(self._pixel_axes, dtype="float64")

    @functools.cached_property
    def std(self) -> np.ndarray:
        """Standard deviation of the training images in each channel; 1 where they are constant."""
        std = self.split.x_train.std(self._pixel_axes, dtype="float64")
        return np.where(std > 0, std, 1.0)

    @property
    def _pixel_axes(self):
        return tuple(range(self.split.x_train.ndim - 1))

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
        """What decides a result besides the model and the seed, for JSON."""
        split = self.split
        return {
            "keras_actfn": __version__,
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "dtype_policy": keras.config.dtype_policy().name,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "training_images": len(split.x_train),
            "validation_images": 0 if split.x_validation is None else len(split.x_validation),
            "test_images": 0 if split.x_test is None else len(split.x_test),
            "recipe": fingerprints.recipe_settings(self.recipe),
            "data": fingerprints.data_fingerprint(*split.arrays()),
        }
