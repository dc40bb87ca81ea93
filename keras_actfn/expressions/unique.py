"""The functions of a space that differ on sampled inputs, with their outputs on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._files import naming_the_file
from .enumeration import Enumeration, in_order
from .equality import METHODS
from .spaces import SearchSpace
from .store import OutputWriter, UniqueFunctions, new_draft, open_or_none, publish

#: Most functions of a space that are compared, and most bytes of a part's values.
MOST_FUNCTIONS = 1 << 24
MOST_BYTES = 1 << 31


def sampled_inputs(seed: int = 0, count: int = 1000) -> np.ndarray:
    """Return `count` draws of N(0, 1), clipped to [-5, 5], from NumPy's RandomState(seed)."""
    return np.clip(np.random.RandomState(seed).randn(count), -5.0, 5.0)


def unique_functions(
    space: SearchSpace,
    inputs: ArrayLike | None = None,
    seed: int = 0,
    *,
    method: str = "grid",
    up_to_sign: bool = False,
    path: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> UniqueFunctions:
    """Return the functions of `space` that differ on the inputs.

    Two functions are one if their keys are equal; of equal functions the first in the order of
    the space stands for all.

    Args:
        space: The space.
        inputs: Numbers to compare functions on, (inputs,); `None`: 1,000 draws of N(0, 1)
            clipped to [-5, 5].
        seed: Seed of the drawn inputs.
        method: `"grid"` compares float64 values on a grid, which gives the same counts on every
            machine and backend (`equality.Grid`); `"float32"` compares float32 outputs of the
            TensorFlow backend, as published (`equality.Float32`).
        up_to_sign: Whether f and -f are one: networks train alike with either.
        path: Folder to keep the result in. A folder with the result of the same question is
            opened instead of computing again. `None`: a temporary folder that lives as long
            as the result.
        progress: Called with the numbers of rows done and of rows in all.

    Returns:
        The unique functions.

    Raises:
        ValueError: If the method is unknown, the inputs are not one finite row, `path` holds
            something else, or the space has more than 2^24 functions, or a part of a schema as
            many as would take 2 GiB. That is checked before anything is computed.
    """
    if method not in METHODS:
        raise ValueError(f"The method is one of {', '.join(METHODS)}; got {method!r}.")
    equality = METHODS[method]()
    inputs = sampled_inputs(seed) if inputs is None else np.asarray(inputs, "float64")
    if inputs.ndim != 1 or not inputs.size or not np.isfinite(inputs).all():
        raise ValueError(
            "The inputs are one row of one finite number or more; got an array of shape "
            f"{inputs.shape}."
        )
    _refuse_sizes(space, len(inputs))
    question: dict[str, Any] = {
        "space": space,
        "inputs": inputs,
        "method": method,
        "up_to_sign": up_to_sign,
    }
    if path is not None:
        found = open_or_none(Path(path), **question)
        if found is not None:
            return found
    folder = new_draft(path)
    try:
        with naming_the_file(path or folder.name):
            with OutputWriter(Path(folder.name), len(inputs)) as writer:
                classes = _classify(space, inputs, equality, up_to_sign, writer, progress)
            return publish(folder, path, classes=classes, **question)
    except BaseException:
        folder.cleanup()
        raise


def _refuse_sizes(space, inputs):
    if len(space) > MOST_FUNCTIONS:
        raise ValueError(
            f"Unique functions are found among at most {MOST_FUNCTIONS:,}. Received: a space of "
            f"{len(space):,} functions. Search it without, or use shorter lists of operators."
        )
    for schema in space.schemas:
        for part in schema.subexpressions():
            size = space.count(part) * inputs * 8
            if part != schema and size > MOST_BYTES:
                raise ValueError(
                    f"The values of a part of a schema take at most {MOST_BYTES:,} bytes. "
                    f"Received: {part} with {space.count(part):,} functions on {inputs:,} "
                    f"inputs, up to {size:,} bytes. Use fewer inputs or shorter lists."
                )


def _classify(space, inputs, equality, up_to_sign, writer, progress):
    """Write the output of each new function; return the class of every function."""
    enumeration = Enumeration(space, inputs, equality)
    layouts = [enumeration.layout(schema) for schema in space.schemas]
    total = sum(int(layout.max()) + 1 for layout in layouts)
    first: dict[bytes, int] = {}
    classes, done = [], 0
    for schema, layout in zip(space.schemas, layouts, strict=True):
        class_of = np.empty(int(layout.max()) + 1, np.int32)
        start = 0
        tasks = (_keyed(block, equality, up_to_sign) for block in enumeration.blocks(schema))
        for rows, keys in in_order(tasks, equality.threads):
            new: list[int] = []
            for i, key in enumerate(keys):
                found = first.setdefault(key, len(first))
                if found == writer.count + len(new):
                    new.append(i)
                class_of[start + i] = found
            writer.append(rows[new])
            start += len(keys)
            if progress is not None:
                progress(done + start, total)
        done += start
        classes.append(class_of[layout])
    return np.concatenate(classes)


def _keyed(block, equality, up_to_sign):
    def task():
        rows = block()
        with np.errstate(all="ignore"):
            keys = equality.keys(rows, up_to_sign)
            return rows.astype(np.float32), keys

    return task
