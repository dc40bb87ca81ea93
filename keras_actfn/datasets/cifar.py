"""CIFAR-10 and CIFAR-100 (Krizhevsky, Learning Multiple Layers of Features, 2009).

The official files are tar archives of Python pickles; they are read with an unpickler that
knows nothing but arrays (see `restricted_pickle`), from the archive or its extracted folder.
"""

import lzma
import os
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from .base import Dataset
from .fashion import DATA_VARIABLE
from .restricted_pickle import load_pickle

#: name -> (archive, folder, training files, test file, key of the labels, classes).
FILES = {
    "cifar10": (
        "cifar-10-python.tar.gz",
        "cifar-10-batches-py",
        tuple(f"data_batch_{i}" for i in range(1, 6)),
        "test_batch",
        b"labels",
        10,
    ),
    "cifar100": (
        "cifar-100-python.tar.gz",
        "cifar-100-python",
        ("train",),
        "test",
        b"fine_labels",
        100,
    ),
}

_LARGEST = 200_000_000  # bytes


def cifar10(path: str | os.PathLike | None = None, *, image_size: int | None = None) -> Dataset:
    """CIFAR-10: 50,000 training and 10,000 test images, 32×32 RGB, 10 classes.

    Args:
        path: `cifar-10-python.tar.gz`, the extracted folder `cifar-10-batches-py`, or a
            folder with one of them. None looks in the folder that the environment variable
            `KERAS_ACTFN_DATA` names and in Keras's cache.
        image_size: Resize to this height and width; None keeps 32.

    Returns:
        A `Dataset`; pixels are byte / 255. For the papers' validation set call
        `train_validation_split(data.x_train, data.y_train, 5000)`.

    Raises:
        FileNotFoundError: If the files are in none of the places, all of which it names.
        ValueError: If a file is truncated, tampered with, or not what it should be.

    Example:
    ```python
    data = keras_actfn.datasets.cifar10("~/data/cifar-10-python.tar.gz")
    ```
    """
    return _cifar("cifar10", path, image_size)


def cifar100(path: str | os.PathLike | None = None, *, image_size: int | None = None) -> Dataset:
    """CIFAR-100: as `cifar10`, with its 100 fine classes.

    Args:
        path: `cifar-100-python.tar.gz`, the extracted folder `cifar-100-python`, or a folder
            with one of them; None as in `cifar10`.
        image_size: Resize to this height and width; None keeps 32.

    Returns:
        A `Dataset`; pixels are byte / 255.

    Raises:
        FileNotFoundError: If the files are in none of the places, all of which it names.
        ValueError: If a file is truncated, tampered with, or not what it should be.
    """
    return _cifar("cifar100", path, image_size)


def _cifar(name, path, image_size):
    archive, folder, train, test, key, classes = FILES[name]
    source = _find(name, path, archive, folder, (*train, test))
    contents = _contents(source, folder, (*train, test))
    batches = [_batch(contents[part], f"{source}: {part}", key, classes) for part in train]
    x_test, y_test = _batch(contents[test], f"{source}: {test}", key, classes)
    data = Dataset(
        x_train=_pixels(np.concatenate([x for x, _ in batches])),
        y_train=np.concatenate([y for _, y in batches]),
        x_test=_pixels(x_test),
        y_test=y_test,
        name=name,
        classes=classes,
        source=str(source),
    )
    return data if image_size is None else data.resized(image_size)


def _find(name, path, archive, folder, parts):
    """The archive, or the folder that holds all parts."""
    if path is not None:
        roots = [Path(path).expanduser()]
    else:
        home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
        roots = [home / "datasets"]
        if os.environ.get(DATA_VARIABLE):
            roots.insert(0, Path(os.environ[DATA_VARIABLE]).expanduser())
    for root in roots:
        if root.is_file():
            return root
        for place in (root, root / folder):
            if all((place / part).is_file() for part in parts):
                return place
        if (root / archive).is_file():
            return root / archive
    places = "; ".join(map(str, roots))
    raise FileNotFoundError(
        f"{name}: neither {archive} nor a folder with {', '.join(parts)} is in: {places}. Get "
        f"https://www.cs.toronto.edu/~kriz/{archive} and pass its path, or set {DATA_VARIABLE} "
        "to its folder. Nothing is downloaded here."
    )


def _contents(source, folder, parts):
    """The bytes of each part, from the folder or the archive, of which nothing is extracted."""
    if source.is_dir():
        for part in parts:
            _check_size((source / part).stat().st_size, source / part)
        return {part: (source / part).read_bytes() for part in parts}
    found = {}
    try:
        with tarfile.open(source, "r:*") as archive:
            for member in archive:
                part = member.name.removeprefix("./").removeprefix(f"{folder}/")
                if part in parts and member.isfile():
                    _check_size(member.size, f"{source}: {part}")
                    content: Any = archive.extractfile(member)  # a file: it has content
                    found[part] = content.read()
    except (
        tarfile.TarError,
        EOFError,
        OverflowError,
        zlib.error,
        lzma.LZMAError,
        OSError,
    ) as error:
        raise ValueError(
            f"{source} is no tar archive, or is truncated or damaged: {error}. It was left as "
            "it is; get it again."
        ) from error
    missing = [part for part in parts if part not in found]
    if missing:
        raise ValueError(
            f"{source} should hold {folder}/{missing[0]} and does not; it is another archive."
        )
    return found


def _check_size(size, what):
    if size > _LARGEST:
        raise ValueError(
            f"{what} has {size:,} bytes; the largest file of CIFAR has less than {_LARGEST:,}. It "
            "is another file."
        )


def _batch(content, what, key, classes):
    """Images as bytes `(N, 32, 32, 3)` and int32 labels of one file."""
    batch = load_pickle(content, what)
    if not isinstance(batch, dict) or b"data" not in batch or key not in batch:
        raise ValueError(
            f"{what} should be a dictionary with 'data' and '{key.decode()}'. Received: "
            f"{sorted(map(str, batch)) if isinstance(batch, dict) else type(batch).__name__}."
        )
    data, labels = batch[b"data"], batch[key]
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (3072,):
        raise ValueError(
            f"{what}: 'data' is an array of bytes, 3·32·32 a row. Received: "
            f"{getattr(data, 'dtype', type(data).__name__)} of shape {np.shape(data)}."
        )
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise ValueError(f"{what}: '{key.decode()}' is a list of integers.")
    if len(labels) != len(data):
        raise ValueError(
            f"{what}: one label an image. Received: {len(data)} images and {len(labels)} labels."
        )
    if labels and not (min(labels) >= 0 and max(labels) < classes):
        raise ValueError(
            f"{what}: labels lie in [0, {classes}). Received: {min(labels)} to {max(labels)}."
        )
    return data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), np.array(labels, dtype="int32")


def _pixels(images):
    return np.ascontiguousarray(images) / np.float32(255)
