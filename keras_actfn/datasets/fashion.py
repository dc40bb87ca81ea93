"""Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747)."""

import functools
import hashlib
import os
from pathlib import Path

import numpy as np

from .base import Dataset
from .idx import read_idx

#: Environment variable with a folder of datasets (or Fashion-MNIST's own folder).
DATA_VARIABLE = "KERAS_ACTFN_DATA"

#: Where Debian's package dataset-fashion-mnist puts the files.
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")

#: The four files: part -> (name without .gz, shape, SHA-256 of the uncompressed content).
FILES = {
    "training images": (
        "train-images-idx3-ubyte",
        (60000, 28, 28),
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    "training labels": (
        "train-labels-idx1-ubyte",
        (60000,),
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    "test images": (
        "t10k-images-idx3-ubyte",
        (10000, 28, 28),
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    "test labels": (
        "t10k-labels-idx1-ubyte",
        (10000,),
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}

_HOW_TO_GET = (
    "To get them on Debian or Ubuntu: apt-get install dataset-fashion-mnist. "
    "Elsewhere: put the four idx.gz files of "
    "https://github.com/zalandoresearch/fashion-mnist into a folder and pass it as the path, or "
    f"set {DATA_VARIABLE} to it. Nothing is downloaded here."
)


def fashion_mnist(
    path: str | os.PathLike | None = None, *, image_size: int | None = None, verify: bool = True
) -> Dataset:
    """Fashion-MNIST: 60,000 training and 10,000 test images, 28×28 grey, 10 classes.

    The files are looked for in `path` if given, else in the folder that the environment
    variable `KERAS_ACTFN_DATA` names (or its subfolder `fashion-mnist`), in
    `/usr/share/datasets/fashion-mnist` (Debian's package `dataset-fashion-mnist`) and in
    Keras's cache (`~/.keras/datasets/fashion-mnist`). They are only read.

    Args:
        path: Folder with the four idx files, compressed or not.
        image_size: Resize to this height and width; None keeps 28.
        verify: Compare the content with Fashion-MNIST's checksums. False reads your own
            images in the same format, of any size and number, with labels 0 to 9.

    Returns:
        A `Dataset`; pixels are byte / 255.

    Raises:
        FileNotFoundError: If the files are in none of the places, all of which it names.
        ValueError: If a file is truncated, swapped, foreign or has the wrong number of rows.

    Example:
    ```python
    data = keras_actfn.datasets.fashion_mnist()
    model.fit(data.x_train, data.y_train)
    ```
    """
    folder = find_fashion_mnist(path)
    if folder is None:
        places = "; ".join(f"{folder} ({place})" for place, folder in _places(path))
        unset = "" if path or os.environ.get(DATA_VARIABLE) else f" ({DATA_VARIABLE} is not set)"
        raise FileNotFoundError(
            "Fashion-MNIST's four files (train and t10k, images-idx3-ubyte and labels-idx1-ubyte) "
            f"were looked for in: {places}{unset}. They are not there. {_HOW_TO_GET}"
        )
    arrays = {}
    for part, (name, shape, digest) in FILES.items():
        file = _file(folder, name)
        check = functools.partial(_check_shape, file, part, shape) if verify else None
        arrays[part] = read_idx(file, len(shape), check)
        if verify:
            _verify(file, part, arrays[part], digest)
    for part in ("training", "test"):
        images, labels = arrays[f"{part} images"], arrays[f"{part} labels"]
        if len(images) != len(labels):
            raise ValueError(
                f"One label an image. Received: {len(images)} {part} images and {len(labels)} "
                f"{part} labels in {folder}; the files do not belong together."
            )
    data = Dataset(
        x_train=_pixels(arrays["training images"]),
        y_train=arrays["training labels"].astype("int32"),
        x_test=_pixels(arrays["test images"]),
        y_test=arrays["test labels"].astype("int32"),
        name="fashion_mnist",
        classes=10,
        source=str(folder),
    )
    return data if image_size is None else data.resized(image_size)


def find_fashion_mnist(path: str | os.PathLike | None = None) -> Path | None:
    """The first folder that holds all four files, or None. Looks, reads nothing."""
    for _, folder in _places(path):
        if all(_file(folder, name) for name, _, _ in FILES.values()):
            return folder
    return None


def _places(path):
    """Where to look, as (description, folder); only `path` if it is given."""
    if path is not None:
        return [("the given path", Path(path).expanduser())]
    places = []
    if os.environ.get(DATA_VARIABLE):
        root = Path(os.environ[DATA_VARIABLE]).expanduser()
        places += [(DATA_VARIABLE, root), (DATA_VARIABLE, root / "fashion-mnist")]
    keras_home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    return [
        *places,
        ("Debian's dataset-fashion-mnist", DEBIAN_FOLDER),
        ("Keras's cache", keras_home / "datasets" / "fashion-mnist"),
    ]


def _file(folder, name):
    """The compressed or plain file called `name` in `folder`, or None."""
    candidates = (Path(folder) / f"{name}.gz", Path(folder) / name)
    return next((file for file in candidates if file.is_file()), None)


def _check_shape(file, part, expected, shape):
    """Raise unless a file announces the official shape, before its content is read."""
    if shape != expected:
        raise _another(file, part, shape, f"those have the shape {expected}")


def _verify(file, part, array, digest):
    """Raise unless `array`, with its idx header, is the official content."""
    header = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, dtype=">u4").tobytes()
    if hashlib.sha256(header + array.tobytes()).hexdigest() != digest:
        raise _another(file, part, array.shape, "its SHA-256 differs")


def _another(file, part, shape, difference):
    return ValueError(
        f"{file} is a well-formed idx file of shape {shape}, but not Fashion-MNIST's {part}: "
        f"{difference}. MNIST's files have the same names, and training and test files may be "
        "swapped. For your own data in this format pass verify=False."
    )


def _pixels(images):
    """Bytes `(N, height, width)` as float32 in [0, 1] with one channel."""
    return images[..., None] / np.float32(255)
