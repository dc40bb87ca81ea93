"""Which images a comparison trains on, holds out and tests on."""

import dataclasses

import numpy as np

from ..datasets import Dataset, balanced_indices, train_validation_split


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """The images and labels of a comparison: training, held-out (or None) and test."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray | None
    y_validation: np.ndarray | None
    x_test: np.ndarray
    y_test: np.ndarray

    @classmethod
    def of(cls, data, subset, validation, batch_size):
        """Check `compare`'s arguments of these names, hold out and thin."""
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
        for x, y, part in ((x_train, y_train, "training"), (x_test, y_test, "test")):
            if y.shape != x.shape[:1] or not np.issubdtype(y.dtype, np.integer) or not len(y):
                raise ValueError(
                    f"The {part} data is N images and N integer labels. Received: images of shape "
                    f"{x.shape}, labels of shape {y.shape} and dtype {y.dtype}."
                )
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

    def arrays(self):
        """Every array that decides a result."""
        fields = (getattr(self, field.name) for field in dataclasses.fields(self))
        return [array for array in fields if array is not None]

    def steps(self, batch_size):
        """Training steps in an epoch."""
        return len(self.x_train) // batch_size


def check_positive(name, value):
    """Raise a ValueError unless `value` is an integer of at least 1."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} is a positive integer. Received: {value!r}.")
