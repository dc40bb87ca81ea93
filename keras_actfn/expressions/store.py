"""Unique functions in a folder: outputs memory-mapped, written whole or not at all.

    manifest.json   version, space and its hash, method, counts, versions of the libraries
    outputs.npy     float32 (unique functions, inputs): the first function of each class
    classes.npy     int32 (functions of the space,): class of every function
    first.npy       int32 (unique functions,): index in the space of each class's first
    valid.npy       bool (unique functions,): whether all outputs are finite
    inputs.npy      float64 (inputs,)

A folder appears under its name by one rename, when it is complete.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .._version import __version__
from .expression import Expression
from .spaces import SearchSpace

FORMAT = 1


class LazyExpressions(Sequence):
    """Expressions of a space by their indices, made when asked for."""

    def __init__(self, space: SearchSpace, indices: np.ndarray) -> None:
        self.space = space
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i):
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

    def __init__(self, path: str | Path, folder=None) -> None:
        """Open a folder; `folder` keeps a temporary one alive. Users call `load`."""
        self.path = Path(path)
        self._folder = folder
        self.manifest = _manifest(self.path)
        self.space = SearchSpace(**self.manifest["space"])
        if self.space.hash != self.manifest["space_hash"]:
            raise ValueError(
                f"The operators of the space in {self.path} have other formulas than when it was "
                "written. Build it again."
            )
        self.method = self.manifest["method"]
        self.up_to_sign = self.manifest["up_to_sign"]
        self.inputs = np.load(self.path / "inputs.npy")
        self.outputs = np.load(self.path / "outputs.npy", mmap_mode="r")
        self.classes = np.load(self.path / "classes.npy", mmap_mode="r")
        self.first = np.load(self.path / "first.npy")
        self.valid = np.load(self.path / "valid.npy")
        shapes = {len(self.outputs), len(self.first), len(self.valid), self.manifest["unique"]}
        if len(shapes) != 1 or len(self.classes) != len(self.space):
            raise ValueError(f"The files in {self.path} do not belong together. Build it again.")

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
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=".unique-", dir=path.parent)
        try:
            shutil.copytree(self.path, folder, dirs_exist_ok=True)
            os.replace(folder, path)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    @classmethod
    def load(cls, path: str | Path) -> "UniqueFunctions":
        """Open a folder that `save` or `unique(path=...)` wrote."""
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
        self._valid = []

    def __enter__(self) -> "OutputWriter":
        self._file = open(self.folder / "outputs.npy", "wb")
        self._header()
        return self

    def append(self, rows: np.ndarray) -> None:
        """Write float32 rows, (rows, inputs)."""
        self._file.write(rows.data)
        self._valid.append(np.isfinite(rows).all(axis=1))
        self.count += len(rows)

    def __exit__(self, kind, error, trace) -> None:
        # NumPy pads the header so that the number of rows can grow in place.
        self._file.seek(0)
        self._header()
        self._file.close()
        if kind is None:
            np.save(self.folder / "valid.npy", np.concatenate(self._valid))

    def _header(self):
        header = {"descr": "<f4", "fortran_order": False, "shape": (self.count, self.inputs)}
        np.lib.format.write_array_header_1_0(self._file, header)


def publish(folder, path, *, space, inputs, method, up_to_sign, classes) -> UniqueFunctions:
    """Complete the files in a temporary folder, rename it to `path`, and open it."""
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
        "method": method,
        "up_to_sign": up_to_sign,
        "functions": len(space),
        "unique": len(first),
    }
    (temporary / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    if path is None:
        return UniqueFunctions(temporary, folder)
    temporary.chmod(0o755)
    os.replace(temporary, Path(path).absolute())
    folder.cleanup()
    return UniqueFunctions(path)


def open_or_none(path: Path, *, space, inputs, method, up_to_sign) -> UniqueFunctions | None:
    """Open `path` if it answers the same question; None if there is nothing."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return None
    if not (path / "manifest.json").exists():
        _refuse(path)
    found = UniqueFunctions(path)
    same = (
        found.space.hash == space.hash
        and (found.method, found.up_to_sign) == (method, up_to_sign)
        and np.array_equal(found.inputs, inputs)
    )
    if not same:
        raise ValueError(
            f"The folder {path} holds the unique functions of another space, method or inputs. "
            "Choose another folder, or delete this one."
        )
    return found


def _refuse(path):
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise ValueError(
            f"{path} exists and does not hold these unique functions. Choose another folder."
        )


def _manifest(path):
    file = path / "manifest.json"
    if not file.exists():
        raise ValueError(f"There are no unique functions in {path}: it has no manifest.json.")
    manifest = json.loads(file.read_text())
    if manifest.get("format") != FORMAT:
        raise ValueError(
            f"{file} has format {manifest.get('format')}; this version reads {FORMAT}. "
            "Build it again."
        )
    return manifest
