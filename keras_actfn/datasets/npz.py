"""Arrays of the user's own, in an npz file."""

import os
from pathlib import Path

import numpy as np

from .._files import NO_ACCESS, npz_arrays
from .._names import nearest
from .base import Dataset, resize_images
from .targets import targets_of

_PARTS = ("train", "test", "validation")
_NEEDED = tuple(f"{axis}_{part}" for part in ("train", "test") for axis in "xy")
_OPTIONAL = ("x_validation", "y_validation")


def read_npz(
    path: str | os.PathLike, *, image_size: int | None = None, problem: str | None = None
) -> Dataset:
    """Read `x_train`, `y_train`, `x_test` and `y_test` of an npz file, as `np.savez` writes it.

    `x_validation` and `y_validation` may be there too. Bytes (uint8) of three or four axes are
    images, `(N, height, width)` or `(N, height, width, channels)`: they are divided by 255, and
    grey ones get their axis of channels. All other examples stay as they are, as float32. What the
    labels are is decided by the rules of `keras_actfn.datasets.targets`; those of a regression are
    standardised by the mean and standard deviation of `y_train`.

    Args:
        path: The file. Arrays of Python objects are not read.
        image_size: Resize images to this height and width; None keeps their size.
        problem: `"classification"` or `"regression"` where the labels do not say.

    Returns:
        A `Dataset`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or lacks an array, numbers of examples or their shapes
            differ, a number is not finite, or the labels are not what they should be.

    Example:
    ```python
    np.savez("mine.npz", x_train=x[:48], y_train=y[:48], x_test=x[48:], y_test=y[48:])
    mine = read_npz("mine.npz")
    mine.input_shape  # (8, 8, 1)
    ```
    """
    path = Path(path).expanduser()
    arrays = _arrays(path)
    parts = [part for part in _PARTS if f"x_{part}" in arrays]
    x = {part: _examples(arrays, f"x_{part}", "x_train", path) for part in parts}
    for part in parts:
        count = len(arrays[f"y_{part}"]) if arrays[f"y_{part}"].ndim else 0
        if count != len(x[part]):
            raise ValueError(
                f"{path}: one label an example. Received: {len(x[part])} examples in x_{part} and "
                f"{count} labels in y_{part}."
            )
    labels = [arrays[f"y_{part}"] for part in parts]
    labels = [y.astype("int64") if y.dtype.kind in "iu" else y for y in labels]
    if len({y.shape[1:] for y in labels}) > 1 or len({y.dtype.kind for y in labels}) > 1:
        found = ", ".join(f"{y.dtype.name} of shape {y.shape}" for y in labels)
        raise ValueError(f"{path}: labels of all parts are of one kind. Received: {found}.")
    targets = targets_of(np.concatenate(labels), problem, f"{path}: y")
    ends = np.cumsum([len(y) for y in labels])
    at = {
        part: np.arange(end - len(y), end) for part, y, end in zip(parts, labels, ends, strict=True)
    }
    data = Dataset(
        **{f"x_{part}": examples for part, examples in x.items()},
        **targets.fields(**at),
        name=path.stem,
        source=str(path),
    )
    return data if image_size is None else data.resized(image_size)


def read_inputs(
    path: str | os.PathLike, *, image_size: int | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read what a model sees of an npz file that has not all the parts of a training.

    Examples become what `read_npz` makes of them; targets stay as they are.

    Args:
        path: A file with an array `x`, and `y` where there are targets; or `x_train` and `y_train`.
        image_size: As for `read_npz`.

    Returns:
        `(x, y)`; `y` is None where the file has none.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or has no inputs, or these are not what they should be.

    Example:
    ```python
    np.savez("inputs.npz", x=x)
    inputs, targets = read_inputs("inputs.npz")  # targets are None
    ```
    """
    path = Path(path).expanduser()
    arrays = _loaded(path)
    name = next((name for name in ("x", "x_train") if name in arrays), None)
    if name is None:
        raise ValueError(
            f"{path} holds the model's inputs as x or x_train. Received: "
            f"{', '.join(sorted(arrays)) or 'no array'}."
        )
    x, y = _examples(arrays, name, name, path), arrays.get(name.replace("x", "y", 1))
    if y is not None and y.shape[:1] != x.shape[:1]:
        raise ValueError(
            f"{path}: one target an example. Received: {len(x)} examples in {name} and targets of "
            f"shape {y.shape}."
        )
    return x if image_size is None else resize_images(x, image_size), y


def has_parts(path: str | os.PathLike) -> bool:
    """Whether an npz file has the arrays that `read_npz` needs."""
    return all(name in _loaded(Path(path).expanduser()) for name in _NEEDED)


def _loaded(path):
    """The file's arrays, and no pickle."""
    try:
        return npz_arrays(path)
    except NO_ACCESS:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen kinds for damaged bytes
        raise _unreadable(path, error) from error


def _arrays(path):
    """The file's arrays, all that are needed among them."""
    arrays = _loaded(path)
    missing = [name for name in _NEEDED if name not in arrays]
    missing += [n for n in _OPTIONAL if n not in arrays and any(o in arrays for o in _OPTIONAL)]
    if missing:
        hint = nearest(missing[0], arrays)
        raise ValueError(
            f"{path} has the arrays {', '.join(_NEEDED)}, and x_validation with y_validation where "
            f"there is such a part. Received: {', '.join(sorted(arrays)) or 'none'}, without "
            f"{', '.join(missing)}. {hint}".rstrip()
        )
    return arrays


def _unreadable(path, error):
    return ValueError(
        f"{path} is an npz file of numbers and text, as np.savez writes it. Received: a file that "
        f"cannot be read so ({type(error).__name__}: {str(error).rstrip('.')}). Arrays of Python "
        "objects are not read: save them with a dtype of numbers or text."
    )


def _examples(arrays, name, like, path):
    """An array of examples as float32; in shape and dtype as the one called `like`."""
    x = arrays[name]
    if x.dtype.kind not in "biuf" or x.ndim < 2 or not x.size:
        raise ValueError(
            f"{path}: {name} is numbers of shape (N, …), N at least 1. Received: shape {x.shape} "
            f"of {x.dtype.name}."
        )
    first = arrays[like]
    if x.shape[1:] != first.shape[1:] or x.dtype != first.dtype:
        raise ValueError(
            f"{path}: examples of all parts have one shape and dtype. Received: {first.dtype.name} "
            f"{first.shape[1:]} in {like} and {x.dtype.name} {x.shape[1:]} in {name}."
        )
    if x.dtype == np.uint8 and x.ndim in (3, 4):
        return (x[..., None] if x.ndim == 3 else x) / np.float32(255)
    with np.errstate(over="ignore"):
        x = x.astype("float32")
    if not np.isfinite(x).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise ValueError(
            f"{path}: examples are finite float32 numbers. Received: {arrays[name][at]} in "
            f"{name}{list(at)}. Replace such values, or leave these examples out."
        )
    return x
