"""What every dataset of this package is, and how it is split and resized."""

import dataclasses
import math
import os

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, split for training and testing.

    Attributes:
        x_train: Training images, float32 in [0, 1], `(N, height, width, channels)`.
        y_train: Training labels, int32 in [0, classes), `(N,)`.
        x_test: Test images, as `x_train`.
        y_test: Test labels, as `y_train`.
        name: The dataset's name, as `load` takes it.
        classes: Number of classes.
        source: Where the data came from, for people to read.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    name: str
    classes: int
    source: str

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if x.ndim != 4 or y.shape != x.shape[:1]:
                raise ValueError(
                    f"A dataset has images (N, height, width, channels) and N labels. Received: "
                    f"x_{part} of shape {x.shape} and y_{part} of shape {y.shape}."
                )
            if len(y) and (y.min() < 0 or y.max() >= self.classes):
                raise ValueError(
                    f"Labels lie in [0, classes) with classes={self.classes}. Received: labels "
                    f"from {y.min()} to {y.max()} in y_{part}."
                )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one image, `(height, width, channels)`."""
        return self.x_train.shape[1:]

    def resized(self, image_size: int) -> "Dataset":
        """This dataset with square images of `image_size` pixels (see `resize_images`)."""
        return dataclasses.replace(
            self,
            x_train=resize_images(self.x_train, image_size),
            x_test=resize_images(self.x_test, image_size),
            source=f"{self.source}, resized to {image_size}×{image_size}",
        )

    def subset(self, n: int, seed: int = 0) -> "Dataset":
        """This dataset with `n` of its training images, classes in balance; all test images."""
        keep = np.sort(balanced_indices(self.y_train, n, seed))
        return dataclasses.replace(
            self,
            x_train=self.x_train[keep],
            y_train=self.y_train[keep],
            source=f"{self.source}, {n} training images",
        )


def balanced_indices(labels: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """`n` distinct positions of `labels`, as many of each class as can be.

    Classes are dealt out in rounds, one position each in a round, until `n` are
    dealt: the counts of two classes differ by at most one unless a class runs out.

    Args:
        labels: Integer labels, `(N,)`.
        n: How many positions, from 1 to N.
        seed: Seed of the draw.

    Returns:
        int64 positions, `(n,)`, in random order.

    Raises:
        ValueError: If `n` is not from 1 to N.
    """
    labels = np.asarray(labels)
    if not 1 <= n <= len(labels):
        raise ValueError(
            f"The number of images is an integer from 1 to the {len(labels)} there are. "
            f"Received: {n}."
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    # The round in which an image is dealt is its rank among the images of its class.
    rounds = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = labels[order] == label
        rounds[members] = np.arange(members.sum())
    chosen = order[np.argsort(rounds, kind="stable")[:n]]
    return rng.permutation(chosen)


def train_validation_split(
    x: np.ndarray, y: np.ndarray, validation: int, seed: int = 0
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Hold out a balanced part of the training data.

    Args:
        x: Training images, `(N, …)`.
        y: Training labels, `(N,)`.
        validation: How many images to hold out, from 1 to N − 1.
        seed: Seed of the draw.

    Returns:
        `(x_train, y_train), (x_validation, y_validation)`; the training part keeps its order.

    Raises:
        ValueError: If `validation` is out of range or the lengths differ.

    Example:
    ```python
    train, held_out = train_validation_split(data.x_train, data.y_train, 16, seed=0)
    ```
    """
    if len(x) != len(y):
        raise ValueError(f"One label an image. Received: {len(x)} images and {len(y)} labels.")
    if not 1 <= validation < len(y):
        raise ValueError(
            f"The number of validation images is from 1 to {len(y) - 1}, one less than the "
            f"images there are. Received: {validation}."
        )
    held_out = np.zeros(len(y), dtype=bool)
    held_out[balanced_indices(y, validation, seed)] = True
    return (x[~held_out], y[~held_out]), (x[held_out], y[held_out])


def resize_images(images: np.ndarray, image_size: int) -> np.ndarray:
    """Bilinear resize to `image_size` × `image_size`, pixels seen as areas.

    Output pixel i reads the input at (i + ½)·n/m − ½, clamped to the border, which is
    the half-pixel convention of `keras.ops.image.resize` and OpenCV. Enlarging is what
    this is for; there is no low-pass filter before shrinking.

    Args:
        images: `(N, height, width, channels)`, floating point.
        image_size: Height and width of the result.

    Returns:
        `(N, image_size, image_size, channels)` of the same dtype.

    Raises:
        ValueError: If `image_size` is not a positive integer, or the result is larger than this
            machine's memory.
    """
    if not isinstance(image_size, int | np.integer) or image_size < 1:
        raise ValueError(f"An image size is a positive integer. Received: {image_size!r}.")
    size = len(images) * int(image_size) ** 2 * images.shape[-1] * images.itemsize
    if size > machine_memory():
        raise ValueError(
            f"Resized images fit into this machine's memory of {machine_memory() / 2**30:,.0f} "
            f"GiB. Received: image_size={image_size}, which makes {size / 2**30:,.0f} GiB of "
            f"{len(images):,} images."
        )
    for axis in (1, 2):
        size = images.shape[axis]
        position = np.clip((np.arange(image_size) + 0.5) * size / image_size - 0.5, 0, size - 1)
        low = np.floor(position).astype(int)
        high = np.minimum(low + 1, size - 1)
        shape = [1] * images.ndim
        shape[axis] = image_size
        weight = (position - low).astype(images.dtype).reshape(shape)
        images = images.take(low, axis) * (1 - weight) + images.take(high, axis) * weight
    return images


def machine_memory() -> float:
    """Bytes of this machine's memory; infinite where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return math.inf
