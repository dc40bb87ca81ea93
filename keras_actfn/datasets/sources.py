"""Which function reads a file or folder of the user's own."""

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._names import nearest
from . import class_folders, npz, tables
from .base import Dataset

#: What a path may lead to, for messages.
KINDS = (
    "an npz file with x_train, y_train, x_test and y_test, a folder of images with one folder "
    f"a class, or a table ({', '.join(tables.ENDINGS)})"
)


def looks_like_a_path(name: str | os.PathLike) -> bool:
    """Whether a word is a path: it exists, or has a separator or the ending of a file."""
    if not isinstance(name, str):
        return True
    if not name:  # what `--data "$UNSET"` gives; a Path of it is the current folder
        return False
    separators = tuple(separator for separator in (os.sep, os.altsep) if separator)
    try:
        exists = Path(name).expanduser().exists()
    except (OSError, ValueError):  # too long, or with a null byte
        return False
    return exists or any(s in name for s in separators) or bool(Path(name).suffix)


def read(path: str | os.PathLike, **options: Any) -> Dataset:
    """Read a file or folder by the function for its kind.

    Args:
        path: Where it is.
        **options: Arguments of that function.

    Raises:
        FileNotFoundError: If nothing is there.
        ValueError: If no function reads it, an option is not for this kind of data, or the data
            is not what it should be.
    """
    found = Path(path).expanduser()
    if not found.exists():
        raise FileNotFoundError(
            f"A path leads to {KINDS}. Received: {path}, where nothing is. "
            f"{nearest(found.name, names_in(found.parent))}".rstrip()
        )
    function, kind = _reader(found)
    check_options(f"{path}, {kind},", function, options)
    if function is tables.read_table and options.get("target") is None:
        raise ValueError(
            f"A table needs the column that is to be predicted: target=… (--target). Received: "
            f"{path} without it."
        )
    return function(found, **options)


def names_in(folder: str | os.PathLike) -> list[str]:
    """The names of what is in a folder; none where it cannot be read."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _reader(path: Path) -> tuple[Callable[..., Dataset], str]:
    """The function for what is at a path, and what that is."""
    if path.is_dir():
        return class_folders.read_images, "a folder of images"
    ending = path.suffix.lower()
    if ending == ".npz":
        return npz.read_npz, "an npz file"
    if ending in tables.ENDINGS:
        return tables.read_table, "a table"
    raise ValueError(
        f"A path leads to {KINDS}. Received: {path}, a file of another kind. Convert it."
    )


def check_options(what: str, function: Callable, options: dict[str, Any]) -> None:
    """Raise unless every option is one of the function that reads the data.

    Args:
        what: What the options are for, for messages.
        function: The function, whose first argument is the path.
        options: What was given.

    Raises:
        ValueError: With the first that is not, and those that are.
    """
    known = dict(list(inspect.signature(function).parameters.items())[1:])
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return
    for option, value in options.items():
        if option not in known:
            raise ValueError(
                f"{what} takes the options {', '.join(known) or 'none'}. Received: "
                f"{option}={value!r}. Leave it out."
            )
