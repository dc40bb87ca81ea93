"""Reading the pickles of the CIFAR archives without running what a pickle could run.

A pickle is a program: it may import any function and call it. The CIFAR files need no more
than dictionaries, lists, integers, bytes and one kind of object, NumPy arrays of numbers.
Anything else that a file asks for is refused before it is imported.
"""

import io
import pickle
import struct

import numpy as np


def load_pickle(content: bytes, what: str) -> object:
    """The object in a pickle of built-in types and NumPy arrays.

    Args:
        content: The pickle, as bytes; strings of Python 2 become bytes.
        what: What it is, for messages.

    Raises:
        ValueError: If the pickle is truncated or damaged, or asks for anything but arrays.
    """
    try:
        loaded = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        if isinstance(loaded, dict):
            return {key: _finished(value) for key, value in loaded.items()}
        return _finished(loaded)
    except _Refused as error:
        raise ValueError(
            f"{what} asks for '{error}', which no CIFAR file does: the file has been tampered "
            "with or is another one. Nothing in it was run. Get the official archive."
        ) from None
    except (
        pickle.UnpicklingError,
        EOFError,
        AttributeError,
        ImportError,
        IndexError,
        KeyError,
        MemoryError,
        OverflowError,
        RecursionError,
        TypeError,
        UnicodeDecodeError,
        ValueError,
        struct.error,
    ) as error:
        raise ValueError(
            f"{what} is no pickle of Python, or is truncated or damaged: {error}."
        ) from error


class _Refused(Exception):
    """A name that a pickle may not use."""


class _Unpickler(pickle.Unpickler):
    """Finds the names that NumPy's arrays of numbers need, and no others."""

    def find_class(self, module, name):
        """The object that a pickle means by a name of the table."""
        table = {
            ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
            ("numpy", "ndarray"): _Array,
            ("numpy", "dtype"): _Dtype,
            ("_codecs", "encode"): _encode,
        }
        found = table.get((module.replace("numpy._core", "numpy.core"), name))
        if found is None:
            raise _Refused(f"{module}.{name}")
        return found

    def persistent_load(self, pid):
        """Refuse references to outside of the file."""
        raise _Refused("a persistent reference")


class _Dtype:
    """Stands for `numpy.dtype`, numbers only."""

    def __init__(self, name, *flags):
        name = name.decode("ascii") if isinstance(name, bytes) else name
        if name not in ("u1", "i1", "i2", "i4", "i8", "f4", "f8"):
            raise _Refused(f"the dtype {name!r}")
        self.dtype = np.dtype(name)

    def __setstate__(self, state):
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stands for `numpy.ndarray`, whose own way to read a state trusts it."""

    value = None

    def __setstate__(self, state):
        _, shape, dtype, fortran, content = state
        values = np.frombuffer(content, dtype.dtype)
        self.value = values.reshape(shape, order="F" if fortran else "C")


def _finished(value):
    """An array from what stands for it."""
    return value.value if isinstance(value, _Array) else value


def _reconstruct(kind, shape, typecode):
    """As NumPy's own function, an array that a state is read into afterwards."""
    if kind is not _Array:
        raise _Refused("an array of another kind")
    return _Array()


def _encode(text, encoding):
    """Bytes that newer pickles of old protocols write as Latin text."""
    if encoding not in ("latin1", b"latin1") or not isinstance(text, str):
        raise _Refused("another encoding")
    return text.encode("latin1")
