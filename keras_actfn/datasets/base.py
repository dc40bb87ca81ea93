"""What every dataset of this package is, and how it is split and resized."""

import dataclasses
import math
import os
from typing import Any

import numpy as np

#: What a model of a dataset predicts.
PROBLEMS = ("classification", "regression")


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Examples and what is to be predicted of them, split for training and testing.

    Attributes:
        x_train: Training examples, float32, `(N, …)`: images `(N, height, width, channels)` in
            [0, 1], rows of a table `(N, features)`, or arrays of any other shape.
        y_train: Classification: labels, int32 in [0, classes), `(N,)`. Regression: float32, `(N,)`
            or `(N, outputs)`, in units of the training targets' standard deviation from their
            mean; see `in_target_units`.
        x_test: Test examples, as `x_train`.
        y_test: Their labels or targets, as `y_train`.
        name: The dataset's name, as `load` takes it.
        classes: Number of classes; 0 for regression.
        source: Where the data came from, for people to read.
        problem: `"classification"` or `"regression"`.
        x_validation: Validation examples, where the source has a part of its own for them.
        y_validation: Their labels or targets.
        class_names: Names of the classes in the order of their labels, where they are known.
        feature_names: Names of a table's features.
        target_mean: Regression: what is subtracted from the targets.
        target_std: Regression: what they are divided by then.
        preprocessing: What turns rows of a table into features: a fitted scikit-learn pipeline,
            whose `transform` takes a data frame of new rows.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    name: str
    classes: int
    source: str
    problem: str = "classification"
    x_validation: np.ndarray | None = None
    y_validation: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    target_mean: float | np.ndarray = 0.0
    target_std: float | np.ndarray = 1.0
    preprocessing: Any = None

    def __post_init__(self) -> None:
        if self.problem not in PROBLEMS:
            raise ValueError(
                f"A dataset's problem is {' or '.join(PROBLEMS)}. Received: {self.problem!r}."
            )
        for part, (x, y) in self.parts().items():
            targets = y.ndim == 1 or (y.ndim == 2 and self.problem == "regression")
            if x.ndim < 2 or not targets or len(y) != len(x):
                raise ValueError(
                    "A dataset has N examples and N labels: images (N, height, width, channels), "
                    f"rows (N, features), or another (N, …). Received: x_{part} of shape "
                    f"{x.shape} and y_{part} of shape {y.shape}."
                )
            if x.shape[1:] != self.x_train.shape[1:]:
                raise ValueError(
                    "All parts of a dataset have examples of one shape. Received: "
                    f"{self.x_train.shape[1:]} in x_train and {x.shape[1:]} in x_{part}."
                )
            classes = self.problem == "classification" and len(y) > 0
            if classes and (y.min() < 0 or y.max() >= self.classes):
                raise ValueError(
                    f"Labels lie in [0, classes) with classes={self.classes}. Received: labels "
                    f"from {y.min()} to {y.max()} in y_{part}."
                )

    def parts(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """`(x, y)` of `"train"`, `"test"` and, where there is one, `"validation"`."""
        found = {"train": (self.x_train, self.y_train), "test": (self.x_test, self.y_test)}
        if self.x_validation is not None and self.y_validation is not None:
            found["validation"] = self.x_validation, self.y_validation
        return found

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example: `(height, width, channels)` of an image, `(features,)` of a row."""
        return self.x_train.shape[1:]

    @property
    def has_images(self) -> bool:
        """Whether the examples are images, `(height, width, channels)`."""
        return self.x_train.ndim == 4

    @property
    def outputs(self) -> int:
        """How many numbers a model predicts: one for each class, or the targets of an example."""
        if self.problem == "classification":
            return self.classes
        return 1 if self.y_train.ndim == 1 else self.y_train.shape[1]

    def in_target_units(self, y: Any) -> np.ndarray:
        """Regression: targets or predictions in the unit in which the targets were given.

        y · `target_std` + `target_mean`.

        Args:
            y: What a model that was trained on `y_train` predicts.

        Example:
            >>> x, y = np.zeros((2, 1)), np.array([-1.0, 1.0])
            >>> houses = Dataset(x, y, x, y, "houses", 0, "made up", "regression",
            ...                  target_mean=200.0, target_std=50.0)
            >>> houses.in_target_units(houses.y_test)
            array([150., 250.])
        """
        return np.asarray(y) * self.target_std + self.target_mean

    def resized(self, image_size: int) -> "Dataset":
        """This dataset with square images of `image_size` pixels (see `resize_images`).

        Raises:
            ValueError: If it has no images, or the size is not what it should be.
        """
        if not self.has_images:
            raise ValueError(
                "An image size is for images, (N, height, width, channels). Received: "
                f"image_size={image_size} for examples of shape {self.input_shape}. Leave it out."
            )
        validation = self.x_validation
        return dataclasses.replace(
            self,
            x_train=resize_images(self.x_train, image_size),
            x_test=resize_images(self.x_test, image_size),
            x_validation=None if validation is None else resize_images(validation, image_size),
            source=f"{self.source}, resized to {image_size}×{image_size}",
        )

    def subset(self, n: int, seed: int = 0) -> "Dataset":
        """This dataset with `n` of its training examples and all test examples.

        The shares of classes stay; see `stratified_indices`.
        """
        keep = np.sort(stratified_indices(self.y_train, n, seed))
        return dataclasses.replace(
            self,
            x_train=self.x_train[keep],
            y_train=self.y_train[keep],
            source=f"{self.source}, {n} training {'images' if self.has_images else 'examples'}",
        )


def balanced_indices(labels: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """`n` distinct positions of `labels`, as many of each class as can be.

    Classes are dealt out in rounds, one position each in a round, until `n` are
    dealt: the counts of two classes differ by at most one unless a class runs out. Targets of a
    regression, which are floating-point numbers, have no classes; any positions are drawn.

    Args:
        labels: Integer labels, `(N,)`, or targets, `(N, …)`.
        n: How many positions, from 1 to N.
        seed: Seed of the draw.

    Returns:
        int64 positions, `(n,)`, in random order.

    Raises:
        ValueError: If `n` is not from 1 to N.
    """
    return _dealt(labels, n, seed, lambda rank, size: rank)


def stratified_indices(labels: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """`n` distinct positions of `labels`, of each class the same share.

    From a class of N_c examples are drawn n · N_c / N, give or take a few where classes are small:
    at least one of each class that has two, before a second one of any, and the last one of a class
    only when no others are left. Where all classes have one size, these are the positions of
    `balanced_indices`. Targets of a regression, which are floating-point numbers, have no classes;
    any positions are drawn.

    Args:
        labels: Integer labels, `(N,)`, or targets, `(N, …)`.
        n: How many positions, from 1 to N.
        seed: Seed of the draw.

    Returns:
        int64 positions, `(n,)`, in random order.

    Raises:
        ValueError: If `n` is not from 1 to N.

    Example:
    ```python
    rare = np.array([0] * 90 + [1] * 10)
    rare[keras_actfn.datasets.stratified_indices(rare, 20)].sum()  # 2
    ```
    """
    return _dealt(
        labels, n, seed, lambda rank, size: np.where(rank < size - 1, rank / size, np.inf)
    )


def _dealt(labels, n, seed, turn):
    """The first `n` positions by `turn(rank in the class, the class's size)`, drawn at random."""
    labels = np.asarray(labels)
    if not 1 <= n <= len(labels):
        raise ValueError(
            f"The number of examples is an integer from 1 to the {len(labels)} there are. "
            f"Received: {n}."
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    if not np.issubdtype(labels.dtype, np.integer):
        return order[:n]
    turns = np.empty(len(labels))
    for label in np.unique(labels):
        members = labels[order] == label
        turns[members] = turn(np.arange(members.sum()), members.sum())
    chosen = order[np.argsort(turns, kind="stable")[:n]]
    return rng.permutation(chosen)


def train_validation_split(
    x: np.ndarray, y: np.ndarray, validation: int, seed: int = 0
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Hold out a part of the training data, of each class the same share.

    Args:
        x: Training examples, `(N, …)`.
        y: Their labels, `(N,)`, or targets, `(N, …)`.
        validation: How many examples to hold out, from 1 to N − 1.
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
        raise ValueError(f"One label an example. Received: {len(x)} examples and {len(y)} labels.")
    if not 1 <= validation < len(y):
        raise ValueError(
            f"The number of validation examples is from 1 to {len(y) - 1}, one less than there "
            f"are. Received: {validation}."
        )
    held_out = np.zeros(len(y), dtype=bool)
    held_out[stratified_indices(y, validation, seed)] = True
    return (x[~held_out], y[~held_out]), (x[held_out], y[held_out])


def split_positions(
    labels: np.ndarray, test: float, seed: int, what: str = "examples"
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the training and of the test part, drawn with a seed.

    Of each class the share `test`, rounded, is for testing: at least one example, and never all.
    scikit-learn's stratified split does not promise that a rare class is in both parts. Targets of
    a regression, which are floating-point numbers, are drawn without classes.

    Args:
        labels: Integer labels, `(N,)`, or targets, `(N, …)`.
        test: The share of the test part, above 0 and below 1.
        seed: Seed of the draw.
        what: What the examples are, for messages.

    Returns:
        `(train, test)`, each in ascending order.

    Raises:
        ValueError: If the share is out of range, or a class has fewer than two examples.
    """
    if not 0 < test < 1:
        raise ValueError(
            f"The test part is a share of the {what}, above 0 and below 1. Received: {test!r}."
        )
    labels = np.asarray(labels)
    classes = np.issubdtype(labels.dtype, np.integer)
    groups = [np.flatnonzero(labels == c) for c in np.unique(labels)] if classes else []
    rng = np.random.default_rng(seed)
    held_out = np.zeros(len(labels), dtype=bool)
    for group in groups or [np.arange(len(labels))]:
        if len(group) < 2:
            raise ValueError(
                f"A split needs two {what} or more{' of each class' if classes else ''}, one to "
                f"train on and one to test on. Received: {len(group)}."
            )
        count = min(max(round(test * len(group)), 1), len(group) - 1)
        held_out[rng.permutation(group)[:count]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


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
