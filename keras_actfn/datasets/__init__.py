"""Read-only loaders of data that is already on the machine: well-known images, and your own files.

`load(name)` gives a `Dataset`: images as float32 in [0, 1] (pixel / 255, or
pixel / 16 for the digits), shape `(N, height, width, channels)`, and labels as
int32, shape `(N,)`. The loaders never download, delete or write anything, and
use NumPy only (`digits` also scikit-learn, which ships it, and `imagenette` TensorFlow, which
decodes JPEG). `imagenet` does not fit into memory and gives batches instead.

`load(path)` reads your own: an npz file (`read_npz`), a folder of images with one folder a class
(`read_images`, with Pillow), a CSV or Parquet file (`read_table`, with pandas and scikit-learn).
"""

import inspect
import os
from collections.abc import Callable
from typing import Any

from .._names import nearest
from . import sources
from .base import (
    Dataset,
    balanced_indices,
    resize_images,
    stratified_indices,
    train_validation_split,
)
from .cifar import cifar10, cifar100
from .class_folders import read_images
from .fashion import fashion_mnist, find_fashion_mnist
from .image_folders import imagenet, imagenette
from .npz import read_npz
from .sklearn_digits import digits
from .sources import looks_like_a_path
from .tables import read_table

__all__ = [
    "DATASETS",
    "Dataset",
    "balanced_indices",
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mnist",
    "find_fashion_mnist",
    "imagenet",
    "imagenette",
    "load",
    "looks_like_a_path",
    "read_images",
    "read_npz",
    "read_table",
    "register_dataset",
    "resize_images",
    "stratified_indices",
    "train_validation_split",
]

#: Every dataset by the name that `load` and the command line take.
DATASETS: dict[str, Callable[..., Dataset]] = {
    "fashion_mnist": fashion_mnist,
    "digits": digits,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "imagenette": imagenette,
}


def load(name: str | os.PathLike, path: str | os.PathLike | None = None, **options: Any) -> Dataset:
    """Return the dataset called `name`, or the one in a file or folder of your own.

    Args:
        name: A key of `DATASETS`; or the path of an npz file (`read_npz`), of a folder of images
            (`read_images`) or of a table (`read_table`). A name goes before a path: write
            `./digits` for a folder called `digits`.
        path: Folder with a named dataset's files; None looks in the usual places.
        **options: Further arguments of the dataset's own function, or of the one that reads
            the path.

    Returns:
        A `Dataset`.

    Raises:
        ValueError: If the name is unknown, a file is not what it should be, or an option is not
            for this kind of data.
        FileNotFoundError: If the files are nowhere to be found.

    Example:
    ```python
    data = keras_actfn.datasets.load("digits", image_size=28)
    data.x_train.shape  # (1442, 28, 28, 1)
    ```
    """
    if name in DATASETS:
        sources.check_options(f"The dataset '{name}'", DATASETS[name], options)
        data = DATASETS[name](path, **options)
        if not isinstance(data, Dataset):
            raise ValueError(
                "A dataset's function returns a keras_actfn.datasets.Dataset. Received from that "
                f"of '{name}': {type(data).__name__}."
            )
        return data
    if not sources.looks_like_a_path(name):
        raise ValueError(
            f"A dataset's name is one of: {', '.join(DATASETS)}; or it is the path of "
            f"{sources.KINDS}. Received: {name!r}. "
            f"{nearest(str(name), [*DATASETS, *sources.names_in('.')])}".rstrip()
        )
    if path is not None:
        raise ValueError(
            "path is where a named dataset's files are. Received: "
            f"path={str(path)!r} beside the path {str(name)!r}. Leave it out."
        )
    return sources.read(name, **options)


def register_dataset(name: str, function: Callable[..., Dataset]) -> None:
    """Add a dataset of your own to `DATASETS`, for `load`.

    Args:
        name: Its name: letters, digits and underscores. It is not taken yet.
        function: `function(path=None, *, image_size=None)` returns a `Dataset`: `path` is where
            its files are, None for the usual place; `image_size` the height and width that
            images are resized to, None for their own (`Dataset.resized` does it).

    Raises:
        ValueError: If the name is no such name or is taken, or the function cannot be called so.

    Example:
    ```python
    def squares(path=None, *, image_size=None):
        x, y = np.zeros((20, 8, 8, 1), "float32"), np.arange(20, dtype="int32") % 2
        data = Dataset(x, y, x, y, name="squares", classes=2, source="made up")
        return data if image_size is None else data.resized(image_size)

    register_dataset("squares", squares)
    load("squares", image_size=16).x_train.shape  # (20, 16, 16, 1)
    ```
    """
    if not isinstance(name, str) or not name.isidentifier() or name == "auto":
        raise ValueError(
            "A dataset's name has letters, digits and underscores only, and is not 'auto'. "
            f"Received: {name!r}."
        )
    if name in DATASETS and DATASETS[name] is not function:
        raise ValueError(
            f"A dataset's name is new. Received: '{name}', which is taken; the names are "
            f"{', '.join(DATASETS)}."
        )
    try:
        inspect.signature(function).bind(None, image_size=None)
    except TypeError as error:
        raise ValueError(
            "A dataset's function is called as function(path, image_size=...). Received: "
            f"{function!r} ({error})."
        ) from error
    DATASETS[name] = function
