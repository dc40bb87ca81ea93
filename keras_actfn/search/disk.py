"""Errors of a disk that cannot be written to, said as such."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

#: What is wrong, by the number of an OSError and by what SQLite says.
_NUMBERS = {
    errno.ENOSPC: "is full",
    errno.EDQUOT: "is full for this user (quota)",
    errno.EROFS: "is read-only",
}
_TEXTS = {
    "database or disk is full": "is full",
    "attempt to write a readonly database": "is read-only, or the file is",
    "unable to open database file": "cannot be written to",
    "disk I/O error": "cannot be written to (input/output error)",
}


@contextlib.contextmanager
def named(place: str | os.PathLike) -> Iterator[None]:
    """Replace the error of a full or read-only disk by one that names the disk.

    Optuna says of both that something is wrong with a commit.

    Args:
        place: A file or folder on the disk that is written to, if the error does not name one.

    Raises:
        OSError: Instead of whatever was raised because of such a disk.
    """
    try:
        yield
    except Exception as error:
        problem, path = _problem(error)
        if problem is None:
            raise
        where = _existing(Path(path or place).absolute())
        free = shutil.disk_usage(where).free / 2**20
        raise OSError(
            f"A search writes what it finds to disk at once. The disk of {path or place} {problem} "
            f"({free:,.0f} MiB free). What was finished is kept: make room, or choose another "
            "folder; the same call goes on."
        ) from error


def _problem(error):
    """What is wrong with the disk, and the file if it is known; None if it is not the disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NUMBERS:
            named = isinstance(error.filename, str | os.PathLike)
            return _NUMBERS[error.errno], error.filename if named else None
        for text, problem in _TEXTS.items():
            if text in str(error):
                return problem, None
        error = error.__cause__ or error.__context__
    return None, None


def _existing(path):
    return next(folder for folder in (path, *path.parents) if folder.exists())
