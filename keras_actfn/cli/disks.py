"""Errors of a full or read-only disk: which disk it is, whichever library met it."""

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
#: Options whose value is a place that a command writes to.
_PLACES = ("--storage", "--output")


def disk_problem(error: BaseException, words: Sequence[str]) -> str | None:
    """Return a sentence about the disk that an error comes from, or None for another error.

    Args:
        error: What a command raised; what it was raised from counts as well, since Optuna and
            SQLAlchemy speak of commits.
        words: The command line, whose options name the places that it writes to.
    """
    for cause in _causes(error):
        text = str(cause)
        if isinstance(cause, OSError) and cause.errno in (*_FULL, errno.EROFS):
            problem = "full" if cause.errno in _FULL else "read-only"
            places = [os.fsdecode(cause.filename)] if cause.filename else _places(words)
        elif type(cause).__module__ == "sqlite3" and "disk is full" in text:
            problem, places = "full", _places(words)
        elif type(cause).__module__ == "sqlite3" and "readonly database" in text:
            problem, places = "read-only, or the file is", _places(words)
        else:
            continue
        disks = sorted({str(_disk(Path(place))) for place in places})
        return (
            f"The disk at {' or '.join(disks)} is {problem}: {' or '.join(places)} cannot be "
            "written. What was written before is kept. Free some space, or choose another place "
            f"({', '.join(_PLACES)})."
        )
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _places(words):
    """The values of the options that name places; the working folder if there are none."""
    found = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name in _PLACES and (equals or following):
            found.append(value if equals else following)
    return [place for place in found if "://" not in place] or [os.getcwd()]


def _disk(path):
    """The folder at which the disk of a path is mounted."""
    path = path.absolute()
    while not os.path.ismount(path) and path != path.parent:
        path = path.parent
    return path
