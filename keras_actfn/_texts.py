"""Texts that other programs wrote, plain or compressed by gzip: data sets and tables of results."""

import contextlib
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from ._files import DamagedFile

#: Largest line that is read, in characters.
_LARGEST_LINE = 1 << 26
_AGAIN = "Copy or download the file again."


def text_lines(path: str | os.PathLike) -> Iterator[str]:
    """Yield the lines of a text in UTF-8, plain or ending in .gz, of limited length.

    Raises:
        ValueError: If it is damaged or cut off, no UTF-8, or has a line that is too long.
        OSError: If it cannot be opened.
    """
    with open_text(path) as file:
        while line := _line(file, path):
            yield line


def _line(file, path):
    with text_errors(path):
        line = file.readline(_LARGEST_LINE)
    if len(line) >= _LARGEST_LINE:
        raise DamagedFile(path, f"it has a line of {len(line):,} characters or more", _AGAIN)
    return line


def open_text(path: str | os.PathLike) -> io.TextIOBase:
    """Open a text in UTF-8, plain or ending in .gz; read it within `text_errors`."""
    opened = gzip.open if Path(path).suffix == ".gz" else open
    return opened(path, "rt", encoding="utf-8")


@contextlib.contextmanager
def text_errors(path: str | os.PathLike) -> Iterator[None]:
    """Turn what reading a damaged text raises into a `DamagedFile`."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise DamagedFile(path, error, _AGAIN) from error
