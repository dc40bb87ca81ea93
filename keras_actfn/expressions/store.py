"""Unique functions in a folder: outputs memory-mapped, written whole or not at all.

    manifest.json   version, space and its hash, method, counts, versions of the libraries,
                    checksums of the other files
    outputs.npy     float32 (unique functions, inputs): the first function of each class
    classes.npy     int32 (functions of the space,): class of every function
    first.npy       int32 (unique functions,): index in the space of each class's first
    valid.npy       bool (unique functions,): whether all outputs are finite
    inputs.npy      float64 (inputs,)

A folder appears under its name by one rename, when it is complete. Its files are compared with
their checksums when it is opened, each once in a process.
"""

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._drafts import Draft, remove_dead
from .._files import (
    DamagedFile,
    array_checksum,
    check_files,
    file_checksums,
    read_json,
    warn_made_again,
    write_json,
)
from .._version import __version__
from .expression import Expression
from .spaces import SearchSpace

#: What the names of folders that are being filled begin with.
DRAFTS = ".unique-"

FORMAT = 1
_FILES = ("inputs.npy", "outputs.npy", "classes.npy", "first.npy", "valid.npy")
_REMEDY = "Delete the folder and build the space again."


class LazyExpressions(Sequence):
    """Expressions of a space by their indices, made when asked for."""

    def __init__(self, space: SearchSpace, indices: np.ndarray) -> None:
        self.space = space
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return LazyExpressions(self.space, self.indices[i])
        return self.space[int(self.indices[i])]

    def __repr__(self) -> str:
        return f"<{len(self)} expressions of {self.space!r}>"


class UniqueFunctions:
    """The functions of a space that differ on sampled inputs.

    Attributes:
        space: The space.
        inputs: The inputs, (inputs,).
        method: Definition of equality.
        up_to_sign: Whether f and -f are one.
        outputs: Values of each unique function, float32 (unique functions, inputs),
            memory-mapped.
        valid: Whether all outputs of a function are finite, (unique functions,).
        classes: Unique function that every function of the space equals, (functions,).
        first: Index in the space of each unique function, the first of its class.
        path: The folder.
    """

    def __init__(self, path: str | Path, folder: Any = None) -> None:
        """Open a folder; `folder` keeps a temporary one alive. Users call `load`."""
        self.path = Path(path)
        self._folder = folder
        self.manifest, self.space = _manifest(self.path)
        check_files(self.path, self.manifest["files"], _REMEDY)
        self.method = self.manifest["method"]
        self.up_to_sign = self.manifest["up_to_sign"]
        try:
            self.inputs = np.load(self.path / "inputs.npy")
            self.outputs = np.load(self.path / "outputs.npy", mmap_mode="r")
            self.classes = np.load(self.path / "classes.npy", mmap_mode="r")
            self.first = np.load(self.path / "first.npy")
            self.valid = np.load(self.path / "valid.npy")
            self._check()
        except (EOFError, ValueError) as error:
            raise DamagedFile(self.path, error, _REMEDY) from error

    def _check(self):
        """Raise unless the arrays are of one space."""
        count = self.manifest["unique"]
        wanted = {
            "inputs": ((len(self.inputs),), "float64"),
            "outputs": ((count, len(self.inputs)), "float32"),
            "classes": ((len(self.space),), "int32"),
            "first": ((count,), "int32"),
            "valid": ((count,), "bool"),
        }
        for name, (shape, dtype) in wanted.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise ValueError(
                    f"{name} has the shape {shape} and the type {dtype}. Received: {array.shape} "
                    f"and {array.dtype}"
                )
        if (
            not 0 <= self.classes.min() <= self.classes.max() < count
            or not 0 <= self.first.min() <= self.first.max() < len(self.space)
            or not np.array_equal(self.classes[self.first], np.arange(count))
        ):
            raise ValueError("its classes do not belong to its functions")

    def __len__(self) -> int:
        return len(self.first)

    @property
    def expressions(self) -> LazyExpressions:
        """The unique functions, the first of each class, made when asked for."""
        return LazyExpressions(self.space, self.first)

    def equivalents(self, i: int) -> LazyExpressions:
        """Return all functions of the space equal to unique function `i`, itself first."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"There are {len(self)} unique functions; there is no {i}.")
        return LazyExpressions(self.space, np.flatnonzero(self.classes == i % len(self)))

    def index(self, expression: Expression) -> int:
        """Return the unique function that an expression of the space equals."""
        return int(self.classes[self.space.index(expression)])

    def counts(self) -> dict[str, int]:
        """Return the numbers of functions, by what they are."""
        return {
            "functions": len(self.space),
            "unique": len(self),
            "unique_and_finite": int(self.valid.sum()),
            "finite": int(self.valid[self.classes].sum()),
        }

    def save(self, path: str | Path) -> None:
        """Write a copy to a new folder, whole or not at all."""
        path = Path(path).absolute()
        _refuse(path)
        with new_draft(path) as draft:
            for name in (*self.manifest["files"], "manifest.json"):
                shutil.copy2(self.path / name, draft.name)
            Path(draft.name).chmod(0o755)
            os.replace(draft.name, path)

    @classmethod
    def load(cls, path: str | Path) -> "UniqueFunctions":
        """Open a folder that `save` or `unique(path=...)` wrote.

        Raises:
            ValueError: If there is none, a file is damaged, or the space's operators have changed.
        """
        return cls(path)

    def __repr__(self) -> str:
        return f"<{len(self)} unique functions of {self.space!r}>"


class OutputWriter:
    """Writes `outputs.npy` row by row, and remembers which rows are finite.

    Args:
        folder: Where.
        inputs: Columns.
    """

    def __init__(self, folder: Path, inputs: int) -> None:
        self.folder = folder
        self.inputs = inputs
        self.count = 0
        self._valid: list[np.ndarray] = []

    def __enter__(self) -> "OutputWriter":
        self._file = open(self.folder / "outputs.npy", "wb")
        self._header()
        return self

    def append(self, rows: np.ndarray) -> None:
        """Write float32 rows, (rows, inputs)."""
        self._file.write(rows.data)
        self._valid.append(np.isfinite(rows).all(axis=1))
        self.count += len(rows)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        # NumPy pads the header so that the number of rows can grow in place.
        self._file.seek(0)
        self._header()
        self._file.close()
        if kind is None:
            np.save(self.folder / "valid.npy", np.concatenate(self._valid))

    def _header(self):
        header = {"descr": "<f4", "fortran_order": False, "shape": (self.count, self.inputs)}
        np.lib.format.write_array_header_1_0(self._file, header)


def publish(
    folder: Any,
    path: str | Path | None,
    *,
    space: "SearchSpace",
    inputs: np.ndarray,
    method: str,
    up_to_sign: bool,
    classes: Any,
) -> UniqueFunctions:
    """Complete the files in a temporary folder, rename it to `path`, and open it.

    Of several processes that publish at once one succeeds; the others open what it published.
    """
    temporary = Path(folder.name)
    _, first = np.unique(classes, return_index=True)
    np.save(temporary / "inputs.npy", inputs)
    np.save(temporary / "classes.npy", classes)
    np.save(temporary / "first.npy", first.astype(np.int32))
    manifest = {
        "format": FORMAT,
        "keras_actfn": __version__,
        "numpy": np.__version__,
        "space": space.get_config(),
        "space_hash": space.hash,
        "inputs": len(inputs),
        "inputs_checksum": array_checksum(inputs),
        "method": method,
        "up_to_sign": up_to_sign,
        "functions": len(space),
        "unique": len(first),
        "files": file_checksums(temporary, _FILES),
    }
    write_json(temporary / "manifest.json", manifest, checked=True)
    if path is None:
        return UniqueFunctions(temporary, folder)
    temporary.chmod(0o755)
    question: dict[str, Any] = {
        "space": space,
        "inputs": inputs,
        "method": method,
        "up_to_sign": up_to_sign,
    }
    try:
        os.replace(temporary, Path(path).absolute())
        published = UniqueFunctions(path)
    except OSError:
        # Another process that started at the same moment has published its own: the same.
        found = open_or_none(Path(path), **question)
        if found is None:
            raise
        published = found
    folder.cleanup()
    return published


def open_or_none(
    path: Path, *, space: "SearchSpace", inputs: np.ndarray, method: str, up_to_sign: bool
) -> UniqueFunctions | None:
    """Open `path` if it answers the same question; None if there is nothing."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return None
    if not (path / "manifest.json").exists():
        _refuse(path)
    manifest, found = _manifest(path)
    same = (
        found.hash == space.hash
        and (manifest["method"], manifest["up_to_sign"]) == (method, up_to_sign)
        and manifest["inputs_checksum"] == array_checksum(inputs)
    )
    if not same:
        raise ValueError(
            f"The folder {path} holds the unique functions of another space, method or inputs. "
            "Choose another folder, or delete this one."
        )
    try:
        found = UniqueFunctions(path)
    except DamagedFile as error:
        warn_made_again(error, stacklevel=4)
    else:
        # A worker that was killed while another one published leaves its draft to whoever opens.
        remove_dead(Path(path).absolute().parent, DRAFTS)
        return found
    # Moved first, as other processes may have its files open; then it is a dead draft.
    with contextlib.suppress(FileNotFoundError), new_draft(path) as draft:
        os.rename(path, Path(draft.name) / "damaged")
    return None


def new_draft(path: str | Path | None) -> Draft:
    """Return a new folder to fill and to move to `path`, or to use as it is if that is None."""
    return Draft(None if path is None else Path(path).absolute().parent, prefix=DRAFTS)


def _refuse(path):
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise ValueError(
            f"{path} exists and does not hold these unique functions. Choose another folder."
        )


def _manifest(path):
    """The manifest of a folder, and the space that it describes."""
    file = path / "manifest.json"
    if not file.exists():
        raise ValueError(f"There are no unique functions in {path}: it has no manifest.json.")
    manifest = read_json(file, _REMEDY)
    if manifest.get("format") != FORMAT:
        raise ValueError(
            f"{file} has format {manifest.get('format')}; this version reads {FORMAT}. "
            "Build it again."
        )
    try:
        if set(manifest["files"]) != set(_FILES):
            raise ValueError(f"its files are {', '.join(_FILES)}")
        space = SearchSpace(**manifest["space"])
        for name in ("method", "up_to_sign", "unique", "inputs_checksum"):
            manifest[name]
        space_hash = manifest["space_hash"]
    except (
        AttributeError,
        KeyError,
        OverflowError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        problem = f"it describes no unique functions ({type(error).__name__}: {error})"
        raise DamagedFile(file, problem, _REMEDY) from error
    if space.hash != space_hash:
        raise ValueError(
            f"The operators of the space in {path} have other formulas than when it was "
            "written. Build it again."
        )
    return manifest, space
