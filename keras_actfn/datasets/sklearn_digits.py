"""The handwritten digits that ship inside scikit-learn: data that is always there."""

import numpy as np

from .._optional import require
from .base import Dataset


def digits(path: None = None, *, image_size: int | None = None) -> Dataset:
    """scikit-learn's digits: 1,797 images, 8×8 grey, 10 classes (UCI, Alpaydin and Kaynak).

    The split is fixed and stratified: every fifth image of each class, in the order of
    the file, is a test image (355 of them), the other 1,442 are training images. Both
    parts have images by the same writers. Needs scikit-learn.

    Args:
        path: Must be None: the images come with scikit-learn.
        image_size: Resize to this height and width, so that models made for larger
            images can train on them (28 for LeNet-5); None keeps 8.

    Returns:
        A `Dataset`; pixels are the file's 0 to 16 over 16.

    Raises:
        ImportError: If scikit-learn is missing.
        ValueError: If a path is given.

    Example:
    ```python
    data = keras_actfn.datasets.digits(image_size=28)
    ```
    """
    if path is not None:
        raise ValueError(
            f"The digits come with scikit-learn and are read from no path. Received: path={path!r}."
            " Leave the path out."
        )
    x, y = require("sklearn.datasets", extra="cli").load_digits(return_X_y=True)
    x = (x.reshape(-1, 8, 8, 1) / 16).astype("float32")
    y = y.astype("int32")
    test = np.zeros(len(y), dtype=bool)
    for label in range(10):
        test[np.flatnonzero(y == label)[4::5]] = True
    data = Dataset(
        x_train=x[~test],
        y_train=y[~test],
        x_test=x[test],
        y_test=y[test],
        name="digits",
        classes=10,
        source="scikit-learn's load_digits",
    )
    return data if image_size is None else data.resized(image_size)
