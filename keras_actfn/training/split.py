"""Which images a comparison trains on, holds out and tests on."""

import dataclasses
from typing import Any

import numpy as np

from ..datasets import Dataset, balanced_indices, train_validation_split


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Images and labels for training, validation (or None) and test (or None)."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray | None
    y_validation: np.ndarray | None
    x_test: np.ndarray | None
    y_test: np.ndarray | None

    @classmethod
    def of(
        cls,
        data: Any,
        subset: int | None = None,
        validation: int | None = None,
        batch_size: int = 1,
    ) -> "Split":
        """Check `compare`'s arguments of these names, hold out and thin.

        Raises:
            ValueError: If an argument is not what it should be.
        """
        if isinstance(data, Dataset):
            data = (data.x_train, data.y_train), (data.x_test, data.y_test)
        try:
            (x_train, y_train), (x_test, y_test) = data
            arrays = [np.asarray(array) for array in (x_train, y_train, x_test, y_test)]
        except (TypeError, ValueError) as error:
            raise ValueError(
                "data is a keras_actfn.datasets.Dataset or ((x_train, y_train), (x_test, y_test)). "
                f"Received: {type(data).__name__}."
            ) from error
        x_train, y_train, x_test, y_test = arrays
        _check_part("training", x_train, y_train)
        _check_part("test", x_test, y_test)
        x_validation = y_validation = None
        if validation is not None:
            (x_train, y_train), (x_validation, y_validation) = train_validation_split(
                x_train, y_train, validation
            )
        if subset is not None:
            keep = np.sort(balanced_indices(y_train, subset))
            x_train, y_train = x_train[keep], y_train[keep]
        check_positive("batch_size", batch_size)
        if batch_size > len(x_train):
            raise ValueError(
                f"A batch has at most the {len(x_train)} training images. Received: "
                f"batch_size={batch_size}."
            )
        return cls(x_train, y_train, x_validation, y_validation, x_test, y_test)

    def without_test(self) -> "Split":
        """The same without the test images, for a choice that must not look at them."""
        return dataclasses.replace(self, x_test=None, y_test=None)

    @property
    def validation(self) -> tuple | None:
        """(images, labels) of the validation part, or None."""
        return None if self.x_validation is None else (self.x_validation, self.y_validation)

    @property
    def test(self) -> tuple | None:
        """(images, labels) of the test part, or None."""
        return None if self.x_test is None else (self.x_test, self.y_test)

    @property
    def classes(self) -> int:
        """One more than the largest label of any part."""
        labels = (self.y_train, self.y_validation, self.y_test)
        return 1 + max(int(y.max()) for y in labels if y is not None)

    def arrays(self) -> list[np.ndarray]:
        """Every array that decides a result."""
        fields = (getattr(self, field.name) for field in dataclasses.fields(self))
        return [array for array in fields if array is not None]


def _check_part(part, x, y):
    """Raise a ValueError unless (x, y) are N images and N integer labels from 0."""
    if y.shape != x.shape[:1] or not np.issubdtype(y.dtype, np.integer) or not len(y):
        raise ValueError(
            f"The {part} data is N images and N integer labels. Received: images of shape "
            f"{x.shape}, labels of shape {y.shape} and dtype {y.dtype}."
        )
    if y.min() < 0:
        raise ValueError(f"Labels of classes count from 0. Received: {y.min()} in the {part} data.")


def check_positive(name: str, value: Any) -> None:
    """Raise a ValueError unless `value` is an integer of at least 1."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} is a positive integer. Received: {value!r}.")
