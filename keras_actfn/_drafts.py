"""Folders of results, and folders that are filled under another name.

What a killed process leaves of the latter is removed.
"""

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any


def make_folder(path: str | os.PathLike) -> Path:
    """Make a folder, and those it is in, where they are not there yet; return its path.

    Raises:
        NotADirectoryError: As `check_folder`.
    """
    check_folder(path)
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    return path


def check_folder(path: str | os.PathLike) -> None:
    """Raise unless there can be a folder at `path`; nothing is made.

    Raises:
        NotADirectoryError: If it, or what it would be in, is a file.
    """
    for place in (Path(path), *Path(path).parents):
        if place.is_dir():
            return
        if place.exists():
            raise NotADirectoryError(
                f"Results go into a folder. Received: {path}, where {place} is a file. Choose "
                "another name."
            )


class Draft:
    """A new folder that is filled, and then moved to where it belongs or removed.

    Its process holds a lock on it. Drafts whose process is gone are removed first: what a kill
    left stays until the next draft beside it is made, or `remove_dead` is called. Where the system
    has no such locks, none is removed.

    Args:
        parent: Where to make it; None for the folder of temporary files.
        prefix: What the names of these drafts begin with.

    Attributes:
        name: Its path, as text.
    """

    def __init__(self, parent: str | os.PathLike | None = None, prefix: str = ".draft-") -> None:
        parent = Path(tempfile.gettempdir() if parent is None else parent)
        make_folder(parent)
        remove_dead(parent, prefix)
        while True:
            self.name = tempfile.mkdtemp(prefix=prefix, dir=parent)
            try:
                lock = _lock(self.name)
            except (BlockingIOError, FileNotFoundError):
                continue  # taken for a dead one by another process before it was locked
            if lock is None or os.path.isdir(self.name):
                break
            os.close(lock)
        self._finalizer = weakref.finalize(self, _discard, self.name, lock, os.getpid())

    def cleanup(self) -> None:
        """Remove the folder, if it was not moved, and give back the lock."""
        self._finalizer()

    def __enter__(self) -> "Draft":
        return self

    def __exit__(self, *error: Any) -> None:
        self.cleanup()


def remove_dead(parent: str | os.PathLike, prefix: str) -> None:
    """Remove the drafts in a folder whose processes are gone."""
    for left in Path(parent).glob(f"{prefix}*"):
        _remove_if_dead(left)


def _discard(name, lock, process):
    if process == os.getpid():  # not in a fork
        shutil.rmtree(name, ignore_errors=True)
    if lock is not None:
        os.close(lock)


def _lock(folder):
    """A descriptor that holds the lock of a folder; None where there are no locks.

    Raises:
        BlockingIOError: If another process holds it.
        FileNotFoundError: If the folder is gone.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_if_dead(folder):
    try:
        lock = _lock(folder)
    except OSError:
        return
    if lock is not None:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
