"""The idx file format of MNIST and its successors, gzip-compressed or plain.

A file is a 4-byte magic number (0, 0, type, rank), then one big-endian 32-bit size
an axis, then the data in C order (http://yann.lecun.com/exdb/mnist/). Only unsigned
bytes (type 0x08) are read here: rank 3 for images, rank 1 for labels.
"""

import gzip
import zlib

import numpy as np

_UNSIGNED_BYTE = 0x08
_CONTENT = {1: "labels", 3: "images"}


def read_idx(path, rank):
    """The array in an idx file of unsigned bytes.

    Args:
        path: A `pathlib.Path`; compressed if its content begins as a gzip file.
        rank: 3 for images, 1 for labels.

    Returns:
        A uint8 array with `rank` axes.

    Raises:
        ValueError: If the file is truncated, damaged, of another format, or holds
            labels where images are expected (or the reverse). The file is left as it is.
    """
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(
                f"{path} is a truncated or damaged gzip file ({error}). Get the file again; "
                "this one was left as it is."
            ) from error
    expected = _CONTENT[rank]
    if len(content) < 4 or content[:3] != bytes((0, 0, _UNSIGNED_BYTE)):
        raise ValueError(
            f"An idx file of {expected} begins with the bytes 00 00 08 {rank:02x}. Received: "
            f"{path}, which begins with {content[:4].hex(' ') or 'nothing'}. It is not an idx "
            "file of bytes; check that the path points to the dataset's own files."
        )
    if content[3] != rank:
        found = _CONTENT.get(content[3], f"an array with {content[3]} axes")
        raise ValueError(
            f"{path} should hold {expected} (magic number 00 00 08 {rank:02x}) but holds {found} "
            f"(00 00 08 {content[3]:02x}). Were the images and labels files swapped?"
        )
    start = 4 + 4 * rank
    sizes = content[4:start].ljust(4 * rank, b"\0")
    shape = tuple(int(n) for n in np.frombuffer(sizes, dtype=">u4"))
    if len(content) != start + int(np.prod(shape, dtype=np.uint64)):
        raise ValueError(
            f"The header of {path} announces {'×'.join(map(str, shape))} bytes of {expected}, but "
            f"{max(len(content) - start, 0)} follow. The file is truncated or has been changed; "
            "get it again."
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
