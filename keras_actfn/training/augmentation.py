"""Augmentation layers that Keras has no layer for: crops drawn for every image by itself.

`keras.layers.RandomCrop` takes one crop for the whole batch. These draw one for each image,
compile on every backend, and see images with the channels last.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_actfn")
class RandomPaddedCrop(keras.layers.Layer):
    """Pads with zeros and cuts out a part of each image, at a place of its own.

    All places are equally likely: (2 · padding + 1)² of them where images keep their size.
    Outside training nothing is padded, and the part is the middle.

    Args:
        padding: Pixels on each side.
        size: Height and width of the part; None for those of the images.
        seed: Seed of the places.
        **kwargs: As in `keras.layers.Layer`.

    Raises:
        ValueError: In the call, if the part is larger than the images.

    Example:
    ```python
    RandomPaddedCrop(1)(x, training=True)  # as large as before
    RandomPaddedCrop(0, size=(6, 6))(x, training=True)
    ```
    """

    def __init__(
        self,
        padding: int = 4,
        size: Sequence[int] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.padding = padding
        self.size = None if size is None else tuple(size)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """The parts."""
        p, images = self.padding, inputs.shape[1:3]
        size = self.size or images
        spare = [image - part for image, part in zip(images, size, strict=True)]
        if min(spare) < 0:
            raise ValueError(
                "RandomPaddedCrop: size is at most the images' height and width. Received: "
                f"size={self.size}, images of {images[0]}×{images[1]} pixels."
            )
        if not training:
            top, left = (each // 2 for each in spare)
            return inputs[:, top : top + size[0], left : left + size[1]]
        x = ops.pad(inputs, ((0, 0), (p, p), (p, p), (0, 0)))
        # Products with 0/1 matrices, one an axis, move every image by itself.
        x = ops.einsum("bij,bjkc->bikc", self._places(x, images[0], size[0]), x)
        return ops.einsum("blk,bikc->bilc", self._places(x, images[1], size[1]), x)

    def _places(self, x, image, part):
        """A 0/1 matrix `[batch, part, image + 2 · padding]` for each image, on one axis."""
        padded = image + 2 * self.padding
        first = keras.random.randint(
            (ops.shape(x)[0], 1), 0, padded - part + 1, seed=self.generator
        )
        return ops.one_hot(first + ops.arange(part, dtype="int32"), padded, dtype=x.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's shape, with the part's size."""
        return (input_shape[0], *(self.size or input_shape[1:3]), input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("padding", "size", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="keras_actfn")
class RandomResizedCrop(keras.layers.Layer):
    """Crops a random part of each image and resizes it bilinearly to the image's size.

    The part has an area from `smallest` to 1 of the image's and a ratio of width to height
    from 3/4 to 4/3, even in its logarithm (Szegedy et al., Going Deeper with Convolutions,
    section 6). Outside training, the middle `evaluation` of height and width is taken.

    Args:
        smallest: Least area.
        evaluation: Part of height and width outside training.
        seed: Seed of the crops.
        **kwargs: As in `keras.layers.Layer`.

    Example:
    ```python
    RandomResizedCrop(smallest=0.08, evaluation=0.95)(x, training=True)
    ```
    """

    def __init__(
        self,
        smallest: float = 0.08,
        evaluation: float = 0.95,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.smallest, self.evaluation, self.seed = smallest, evaluation, seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """The crops."""
        batch = ops.shape(inputs)[0]
        if training:
            u = keras.random.uniform((4, batch), seed=self.generator)
            area = self.smallest + (1 - self.smallest) * u[0]
            root_ratio = ops.exp((u[1] - 0.5) * 0.2876820724517809)  # (4/3)^(u − 1/2)
            width = ops.minimum(1.0, ops.sqrt(area) * root_ratio)
            height = ops.minimum(1.0, ops.sqrt(area) / root_ratio)
            left, top = u[2] * (1 - width), u[3] * (1 - height)
        else:
            width = height = ops.full((batch,), self.evaluation)
            left = top = ops.full((batch,), (1 - self.evaluation) / 2)
        rows, columns = inputs.shape[1:3]
        zero = ops.zeros_like(width)
        # Output pixel i has its centre at (i + ½)/n of the crop.
        shift = [left * columns + width / 2 - 0.5, top * rows + height / 2 - 0.5]
        transform = ops.stack([width, zero, shift[0], zero, height, shift[1], zero, zero], axis=1)
        return ops.image.affine_transform(
            inputs,
            transform,
            interpolation="bilinear",
            fill_mode="nearest",
            data_format="channels_last",
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("smallest", "evaluation", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
