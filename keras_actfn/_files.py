"""Files that appear whole or not at all, and that are checked when they are read back.

Written: under another name, then moved into place. Read: every stored file carries checksums of
what it holds, 64 bits of BLAKE2b, and a file that does not match is a `DamagedFile`.

    write_json, write_npz, append_line     read_json, read_npz, read_lines
    file_checksums                         check_files
"""

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import uuid
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ._drafts import make_folder

#: Key of a JSON object, and name of an npz file's array, that holds the checksums.
CHECKSUM, CHECKSUMS = "checksum", "checksums"
#: A compressed file may be this many times smaller than what it holds, beyond the first bytes.
_RATIO, _FREE = 50, 1 << 28
#: Largest JSON file and largest line that is read, in bytes and characters.
_LARGEST_JSON, _LARGEST_LINE = 1 << 26, 1 << 26
_CHUNK = 1 << 22
#: Errors that say that a file cannot be opened, not that it is damaged.
NO_ACCESS = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)


class DamagedFile(ValueError):
    """A stored file that is not what was written.

    Args:
        path: The file.
        problem: What is wrong with it, as in "its checksum differs".
        remedy: What the reader can do, a sentence.
    """

    def __init__(self, path: str | os.PathLike, problem: object, remedy: str) -> None:
        self.path, self.problem, self.remedy = Path(path), str(problem), remedy
        text = f"{path} cannot be read: {self.problem.rstrip('.')}. {remedy}"
        super().__init__(text.rstrip())

    def __reduce__(self) -> tuple:
        return type(self), (self.path, self.problem, self.remedy)


def warn_made_again(error: DamagedFile, remedy: str = "", stacklevel: int = 2) -> None:
    """Warn that what a damaged file held is computed again.

    Args:
        error: What reading it raised.
        remedy: What ends the warning, if the file stays, a sentence.
        stacklevel: As for `warnings.warn`.
    """
    again = DamagedFile(error.path, error.problem, f"What it held is made again. {remedy}")
    warnings.warn(str(again), stacklevel=stacklevel + 1)


# Writing.


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a new path in the folder of `path`, which is moved to `path` at the end.

    After an error the new file is removed, and what was at `path` is as it was.

    Args:
        path: The file to write. Its folder is made if it does not exist.

    Raises:
        OSError: With the file's name, also if the disk is full.

    Example:
    ```python
    with replacing("runs/model.keras") as temporary:
        model.save(temporary)
    ```
    """
    path = Path(path)
    if path.is_dir():  # also of an empty name
        raise IsADirectoryError(
            f"A file is written. Received: '{path}', which is a folder. Choose another name."
        )
    with naming_the_file(path):
        make_folder(path.parent)
        temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def naming_the_file(path: str | os.PathLike) -> Iterator[None]:
    """Add the file's name to an error of its disk, which `write` leaves out."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in _DISK:
            error.filename = str(path)
        raise


def write_file(path: str | os.PathLike, content: str | bytes) -> None:
    """Write text (UTF-8) or bytes, all or nothing."""
    if isinstance(content, str):
        content = content.encode()
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | os.PathLike, value: Any, checked: bool = False) -> None:
    """Write `value` as JSON, all or nothing; numbers that are not finite are an error.

    Args:
        path: The file.
        value: What to write.
        checked: Add a checksum to an object, so that `read_json` can read it back.
    """
    if checked:
        value = {**value, CHECKSUM: _json_checksum(value)}
    write_file(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_npz(path: str | os.PathLike, **arrays: np.ndarray) -> None:
    """Write arrays as a compressed npz file with their checksums, all or nothing.

    The array `checksums` is added: JSON, in bytes, with the checksum of each array by its name.
    """
    found: dict[str, Any] = {name: np.asanyarray(array) for name, array in arrays.items()}
    sums = json.dumps({name: array_checksum(array) for name, array in found.items()})
    found[CHECKSUMS] = np.frombuffer(sums.encode(), np.uint8)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **found)


def append_line(path: str | os.PathLike, record: dict) -> None:
    """Append an object as a line of JSON with a checksum; one process at a time.

    What a kill left of a line at the end is cut off first.
    """
    line = json.dumps({**record, CHECKSUM: _json_checksum(record)}, allow_nan=False)
    with naming_the_file(path), open(path, "ab+") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _CHUNK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                file.truncate(start + newline + 1)
                break
            end = start
        else:
            file.truncate(0)
        file.write(line.encode() + b"\n")


# Reading.


def parse_json(text: str | bytes) -> Any:
    """Parse JSON; whatever is wrong with the text is a ValueError."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None


def read_json(path: str | os.PathLike, remedy: str) -> dict:
    """Read an object that `write_json(..., checked=True)` wrote.

    Args:
        path: The file.
        remedy: What to do if it is damaged, a sentence for the error.

    Raises:
        DamagedFile: If it is no such object, or its checksum differs.
        OSError: If it cannot be opened.
    """
    try:
        if os.path.getsize(path) > _LARGEST_JSON:
            raise ValueError(f"it has more than {_LARGEST_JSON:,} bytes")
        return _verified(Path(path).read_bytes())
    except ValueError as error:
        raise DamagedFile(path, error, remedy) from error


def read_npz(path: str | os.PathLike, remedy: str) -> dict[str, np.ndarray]:
    """Read the arrays of a file that `write_npz` wrote, without those of their checksums.

    Args:
        path: The file.
        remedy: What to do if it is damaged, a sentence for the error.

    Raises:
        DamagedFile: If it is no such file, is damaged, or holds far more than its size allows.
        OSError: If it cannot be opened.
    """
    try:
        arrays = npz_arrays(path)
        if CHECKSUMS not in arrays:
            raise ValueError("it has no checksums, so another program or version wrote it")
        sums = parse_json(arrays.pop(CHECKSUMS).tobytes())
        if not isinstance(sums, dict) or set(sums) != set(arrays):
            raise ValueError("its checksums are not those of its arrays")
        wrong = [name for name, array in arrays.items() if array_checksum(array) != sums[name]]
        if wrong:
            raise ValueError(f"the checksum of {', '.join(wrong)} differs")
        return arrays
    except NO_ACCESS:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen kinds for damaged bytes
        problem = error if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise DamagedFile(path, problem, remedy) from error


def read_lines(path: str | os.PathLike) -> Iterator[dict]:
    """Yield the objects that `append_line` wrote; what they held is made again if damaged.

    A line without its end was cut off by a kill and is passed over. Other damaged lines are
    passed over with a warning that names them. No file, no lines.
    """
    if not os.path.exists(path):
        return
    damaged = []
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(_LARGEST_LINE):
            number += 1
            try:
                if line.endswith(b"\n"):
                    yield _verified(line)
            except ValueError:
                damaged.append(number)
    if damaged:
        shown = ", ".join(map(str, damaged[:5])) + (", …" if len(damaged) > 5 else "")
        warn_made_again(DamagedFile(path, f"line {shown} is damaged", ""))


# Checksums.


def checksum(content: bytes) -> str:
    """Return 64 bits of BLAKE2b, in hexadecimal."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def array_checksum(array: np.ndarray) -> str:
    """Return the checksum of an array's type, shape and values."""
    found = hashlib.blake2b(f"{array.dtype.str} {array.shape}".encode(), digest_size=8)
    found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data if array.size else b"")
    return found.hexdigest()


def file_checksum(path: str | os.PathLike) -> str:
    """Return the checksum of a file's bytes."""
    found = hashlib.blake2b(digest_size=8)
    with open(path, "rb") as file:
        while content := file.read(_CHUNK):
            found.update(content)
    return found.hexdigest()


_checked: set[tuple] = set()


def file_checksums(folder: str | os.PathLike, names: Iterable[str]) -> dict[str, str]:
    """Return the checksum of each file of a folder, for its manifest."""
    found = {}
    for name in names:
        path = Path(folder, name)
        found[name] = file_checksum(path)
        _checked.add(_identity(path, found[name]))
    return found


def check_files(folder: str | os.PathLike, expected: dict[str, str], remedy: str) -> None:
    """Compare files with the checksums of `file_checksums`, each once in a process.

    Raises:
        DamagedFile: If a file is missing or differs.
    """
    for name, wanted in expected.items():
        path = Path(folder, name)
        try:
            known = _identity(path, wanted)
        except FileNotFoundError:
            raise DamagedFile(path, "it is missing", remedy) from None
        if known in _checked:
            continue
        if file_checksum(path) != wanted:
            raise DamagedFile(path, "its checksum differs", remedy)
        _checked.add(known)


def _identity(path, wanted):
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, wanted


def _json_checksum(value):
    return checksum(json.dumps(value, sort_keys=True, allow_nan=False).encode())


def _verified(content):
    """The object that JSON bytes hold, without its checksum."""
    value = parse_json(content)
    if not isinstance(value, dict):
        raise ValueError(f"it is a JSON object. Received: {type(value).__name__}")
    if CHECKSUM not in value:
        raise ValueError("it has no checksum, so another program or version wrote it")
    expected = value.pop(CHECKSUM)
    try:
        found = _json_checksum(value)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    if found != expected:
        raise ValueError("its checksum differs")
    return value


def npz_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays of any npz file, none of which is larger than it says or than it can be.

    Args:
        path: The file, whoever wrote it. Objects are not read.

    Raises:
        ValueError: If it has arrays of objects, is damaged, or holds far more than its size allows.
        Exception: What zipfile, zlib and NumPy raise for damaged bytes.
    """
    with zipfile.ZipFile(path) as file:
        parts = file.infolist()
        check_inflated(sum(part.file_size for part in parts), os.path.getsize(path))
        found = {part.filename.removesuffix(".npy"): _array(file.read(part)) for part in parts}
        if len(found) != len(parts):
            raise ValueError("it has two arrays of one name")
        return found


def check_inflated(size: int, compressed: float) -> None:
    """Refuse content that is out of proportion to the file that it is unpacked from.

    Args:
        size: Bytes of the content.
        compressed: Bytes of the file.

    Raises:
        ValueError: If the content is beyond 256 MiB and 50 times the file.
    """
    if size > max(_FREE, _RATIO * compressed):
        raise ValueError(f"its {compressed:,} bytes would unpack to {size:,}")


def _array(content):
    """The array in the bytes of an npy file, whose header is compared with their number."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    headers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in headers:
        raise ValueError(f"it has an array of the format {version}")
    shape, _, dtype = headers[version](stream)
    if dtype.hasobject:
        raise ValueError("it has an array of Python objects")
    if math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError("it has an array that is not as large as it says")
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)
