"""Imagenette and ImageNet: folders of JPEG files, one folder a class.

The files of the official trees are found by `keras.utils.image_dataset_from_directory` and decoded
by TensorFlow, whatever the backend is.
"""

import os
import re
from pathlib import Path

import numpy as np

from .._optional import require
from .base import Dataset, machine_memory
from .fashion import DATA_VARIABLE

#: Names under which a root folder may hold each dataset.
FOLDERS = {
    "imagenette": ("imagenette2-160", "imagenette2-320", "imagenette2", "imagenette"),
    "imagenet": ("imagenet", "ILSVRC2012", "ILSVRC/Data/CLS-LOC"),
}
#: Files of a class's folder that `keras.utils.image_dataset_from_directory` reads.
IMAGE_ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
CLASSES = {"imagenette": 10, "imagenet": 1000}


def imagenette(path: str | os.PathLike | None = None, *, image_size: int = 160) -> Dataset:
    """Imagenette (Howard, 2019): about 9,500 training and 3,900 test images, 10 classes.

    Args:
        path: Folder with `train` and `val`, each with a folder of images a class. None looks
            in the folder that the environment variable `KERAS_ACTFN_DATA` names.
        image_size: Height and width; images are cropped in the middle to a square and
            resized bilinearly.

    Returns:
        A `Dataset`; classes are numbered in the order of their folders' names.

    Raises:
        FileNotFoundError: If the folders are not there.
        ValueError: If the classes are not the expected number, differ between the parts, or one
            has no images; or if a file is no image, which it names.
        ImportError: If TensorFlow is missing.

    Example:
    ```python
    data = keras_actfn.datasets.imagenette("~/data/imagenette2-160")
    ```
    """
    root, classes = _check("imagenette", path)
    parts = {part: _array(root / part, classes, image_size) for part in ("train", "val")}
    (x_train, y_train), (x_test, y_test) = parts["train"], parts["val"]
    return Dataset(x_train, y_train, x_test, y_test, "imagenette", len(classes), str(root))


def imagenet(
    path: str | os.PathLike | None = None,
    *,
    image_size: int = 160,
    batch_size: int = 256,
    seed: int = 0,
) -> tuple:
    """ImageNet (ILSVRC-2012), 1,000 classes, as batches: it does not fit into memory.

    Args:
        path: Folder with `train` and `val`, each with a folder of images a class. None looks
            in the folder that the environment variable `KERAS_ACTFN_DATA` names.
        image_size: Height and width; images are cropped in the middle to a square.
        batch_size: Images in a batch.
        seed: Seed of the training images' order.

    Returns:
        `(train, test)`, two `tf.data.Dataset` of (float32 images in [0, 1], integer labels),
        which `fit` takes on every backend.

    Raises:
        FileNotFoundError: If the folders are not there.
        ValueError: If the classes are not the expected number, differ between the parts, or one
            has no images. A damaged image is found when its batch is read: then TensorFlow's
            error names it.
        ImportError: If TensorFlow is missing.
    """
    root, classes = _check("imagenet", path)
    return tuple(
        _batches(root / part, classes, image_size, batch_size, seed if part == "train" else None)[0]
        for part in ("train", "val")
    )


def _check(name, path):
    """The folder with `train` and `val`, and its classes in order."""
    if path is not None:
        roots = [Path(path).expanduser()]
    elif os.environ.get(DATA_VARIABLE):
        roots = [Path(os.environ[DATA_VARIABLE]).expanduser()]
    else:
        roots = []
    places = [place for root in roots for place in (root, *(root / n for n in FOLDERS[name]))]
    for root in places:
        if (root / "train").is_dir() and (root / "val").is_dir():
            break
    else:
        where = "; ".join(map(str, places)) or f"nowhere, as {DATA_VARIABLE} is not set"
        raise FileNotFoundError(
            f"{name}: a folder with 'train' and 'val', each with one folder of images a class, "
            f"was looked for in: {where}. Pass its path. Nothing is downloaded here."
        )
    train, val = (
        sorted(p.name for p in (root / part).iterdir() if p.is_dir() and not _hidden(p))
        for part in ("train", "val")
    )
    if train != val:
        differing = sorted(set(train) ^ set(val))
        raise ValueError(
            f"{root}: 'train' and 'val' have the same classes as folders. Only one of them has: "
            f"{', '.join(differing[:5])}."
        )
    if len(train) != CLASSES[name]:
        raise ValueError(
            f"{name} has {CLASSES[name]} classes, each a folder in 'train'. Received: "
            f"{len(train)} in {root}."
        )
    for part in ("train", "val"):
        for class_name in train:
            _check_class(root / part / class_name)
    return root, train


def _check_class(folder):
    """Raise unless a class's folder has images, and nothing that Keras would take for one."""
    images = 0
    for path in folder.iterdir():
        if _hidden(path) and (path.is_dir() or path.suffix.lower() in IMAGE_ENDINGS):
            raise ValueError(
                f"A class's folder holds images and no hidden files or folders, such as those that "
                f"macOS and Jupyter leave behind. Received: {path}. Delete it."
            )
        images += path.is_dir() or path.suffix.lower() in IMAGE_ENDINGS
    if not images:
        raise ValueError(
            f"Each class has images ({', '.join(IMAGE_ENDINGS)}). Received: none in {folder}."
        )


def _hidden(path):
    return path.name.startswith(".")


def _batches(folder, classes, image_size, batch_size, seed):
    """Batches of (images in [0, 1], labels), and the files in the order in which they come."""
    require("tensorflow", extra="tensorflow")
    import keras

    _check_size(image_size, batch_size)
    try:
        data = keras.utils.image_dataset_from_directory(
            folder,
            class_names=classes,
            shuffle=False,
            verbose=False,
        )
    except ValueError as error:
        raise ValueError(f"{folder}: no images could be read. {error}") from error
    files = data.file_paths
    numbers = {name: number for number, name in enumerate(classes)}
    labels = [numbers[Path(file).relative_to(folder).parts[0]] for file in files]
    return _decoded(files, labels, image_size, batch_size, seed), files


def _decoded(files, labels, image_size, batch_size, seed):
    """Batches of files' images, cropped in the middle to a square and resized, and labels."""
    import tensorflow as tf

    def load(file, label):
        # In Python, since an error of TensorFlow's graph would not say which file it was.
        image = tf.py_function(_decode, [file], tf.uint8)
        image.set_shape((None, None, 3))
        size = tf.shape(image)[:2]
        side = tf.reduce_min(size)
        top, left = tf.unstack((size - side) // 2)
        image = tf.image.resize(image[top : top + side, left : left + side], [image_size] * 2)
        return image / 255.0, label

    data = tf.data.Dataset.from_tensor_slices((list(files), np.array(labels, "int32")))
    if seed is not None:
        data = data.shuffle(len(files), seed=seed)
    data = data.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)
    return data.prefetch(tf.data.AUTOTUNE)


def _decode(file):
    """The image in a file, with the file's name in the error of one that is damaged."""
    import tensorflow as tf

    try:
        return tf.io.decode_image(tf.io.read_file(file), channels=3, expand_animations=False)
    except (tf.errors.OpError, ValueError) as error:
        name = file.numpy().decode(errors="replace")
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{name} is no image, or is truncated: {reason} Delete or replace it."
        ) from error


def _check_size(image_size, count):
    size = 12 * count * int(image_size) ** 2
    if size > machine_memory():
        raise ValueError(
            f"Images fit into this machine's memory of {machine_memory() / 2**30:,.0f} GiB. "
            f"Received: image_size={image_size}, which makes {size / 2**30:,.0f} GiB of {count:,} "
            "images."
        )


def _array(folder, classes, image_size):
    """All images and labels of a folder in memory, in the order of the files' names."""
    images, labels = [], []
    batches, files = _batches(folder, classes, image_size, 64, None)
    _check_size(image_size, len(files))
    try:
        for x, y in batches:
            images.append(np.asarray(x))
            labels.append(np.asarray(y))
    except Exception as error:
        damage = re.search(r"ValueError: (.* Delete or replace it\.)", str(error))
        if damage is None:
            raise
        raise ValueError(damage[1]) from error
    return np.concatenate(images), np.concatenate(labels)
