"""The idx file format of MNIST and its successors, gzip-compressed or plain.

A file is a 4-byte magic number (0, 0, type, rank), then one big-endian 32-bit size
an axis, then the data in C order (http://yann.lecun.com/exdb/mnist/). Only unsigned
bytes (type 0x08) are read here: rank 3 for images, rank 1 for labels.
"""

import gzip
import math
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .._files import check_inflated

_UNSIGNED_BYTE = 0x08
_LARGEST_RATIO = 1100  # of what a gzip file holds to its size
_CONTENT = {1: "labels", 3: "images"}


def read_idx(
    path: Path, rank: int, check: Callable[[tuple[int, ...]], None] | None = None
) -> np.ndarray:
    """Read the array in an idx file of unsigned bytes.

    No more is unpacked than the header announces.

    Args:
        path: A `pathlib.Path`; compressed if its content begins as a gzip file.
        rank: 3 for images, 1 for labels.
        check: Called with the shape before the content is read; raises what it refuses.

    Returns:
        A uint8 array with `rank` axes.

    Raises:
        ValueError: If the file is truncated, damaged, of another format, or holds
            labels where images are expected (or the reverse). The file is left as it is.
    """
    with open(path, "rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    try:
        with (gzip.open if compressed else open)(path, "rb") as file:
            return _read(file, path, rank, check, compressed)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path} is a truncated or damaged gzip file ({error}). Get the file again; "
            "this one was left as it is."
        ) from error


def _read(file, path, rank, check, compressed):
    header = file.read(4 + 4 * rank)
    expected = _CONTENT[rank]
    if len(header) < 4 or header[:3] != bytes((0, 0, _UNSIGNED_BYTE)):
        raise ValueError(
            f"An idx file of {expected} begins with the bytes 00 00 08 {rank:02x}. Received: "
            f"{path}, which begins with {header[:4].hex(' ') or 'nothing'}. It is not an idx "
            "file of bytes; check that the path points to the dataset's own files."
        )
    if header[3] != rank:
        found = _CONTENT.get(header[3], f"an array with {header[3]} axes")
        raise ValueError(
            f"{path} should hold {expected} (magic number 00 00 08 {rank:02x}) but holds {found} "
            f"(00 00 08 {header[3]:02x}). Were the images and labels files swapped?"
        )
    sizes = header[4:].ljust(4 * rank, b"\0")
    shape = tuple(int(n) for n in np.frombuffer(sizes, dtype=">u4"))
    if check is not None:
        check(shape)
    size, packed = math.prod(shape), os.path.getsize(path)
    try:
        check_inflated(size, packed if compressed else math.inf)
    except ValueError as error:
        raise ValueError(f"{path} is not read: {error}. Check where it comes from.") from error
    content = file.read(min(size, _LARGEST_RATIO * packed)) if size else b""
    if len(content) != size or len(header) != 4 + 4 * rank or file.read(1):
        raise ValueError(
            f"The header of {path} announces {'×'.join(map(str, shape))} bytes of {expected}, but "
            f"{'more' if len(content) == size else len(content)} follow. The file is truncated or "
            "has been changed; get it again."
        )
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)
