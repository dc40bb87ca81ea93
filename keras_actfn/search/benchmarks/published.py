"""The published Act-Bench files, which need a download.

Efficient Activation Function Optimization through Surrogate Modeling, section 2.
"""

import os
import re
from pathlib import Path

import numpy as np

from ...fisher.spectrum import bin_weights
from .act_bench import ActBench
from .json_stream import json_items

#: What is known of every function.
MEASURES = (
    "training_accuracy",
    "training_loss",
    "validation_accuracy",
    "validation_loss",
    "test_accuracy",
    "test_loss",
    "seconds",
)


def load_act_bench(path: str | os.PathLike) -> ActBench:
    """Read a published Act-Bench file.

    The file is JSON, plain or .gz: an object from each function's text to its results, or a
    list of results with the text under `Activation Function`. Results are the accuracies and
    losses (`train`, `validation` and `test`, each followed by `accuracy` or `loss`),
    `Equivalent Activation Functions`, `Fisher log eigenvalue CDF` and `Runtime (s)`. Upper and
    lower case do not matter, nor does `training` for `train` or `val` for `validation`.

    The file is read one function after the other: memory is that of the spectra in float32.

    Args:
        path: The file.

    Returns:
        An `ActBench`. A measure that the file lacks is NaN. A spectrum that is missing, null,
        or has a value that is not finite is a row of NaN.

    Raises:
        ValueError: If the file is not JSON of this kind, has no validation accuracy, or has
            spectra of several lengths.
    """
    path = Path(path)
    functions, equivalents, spectra = [], [], []
    numbers: dict[str, list[float]] = {name: [] for name in MEASURES}
    lengths = None
    for key, entry in json_items(path):
        if not isinstance(entry, dict):
            raise ValueError(
                f"Each item of a benchmark file is an object with the results of a function. "
                f"Received: {type(entry).__name__} under {key!r} in {path}."
            )
        entry = {_plain(name): value for name, value in entry.items()}
        text = key if isinstance(key, str) else _first(entry, "activationfunction", "function")
        if not isinstance(text, str):
            raise ValueError(
                f"Each item of a benchmark list names its function under 'Activation Function'. "
                f"Item {key} in {path} has {', '.join(entry)}."
            )
        functions.append(text)
        equivalents.append(_texts(entry.get("equivalentactivationfunctions") or text, text, path))
        for name in MEASURES:
            numbers[name].append(_number(entry.get(_KEYS[name]), name, text, path))
        try:
            spectrum, found = _spectrum(entry.get("fisherlogeigenvaluecdf"))
        except (OverflowError, TypeError, ValueError) as error:
            raise ValueError(
                "The spectrum of a function is a list of numbers, or one list for each layer. "
                f"Received for '{text}' in {path}: {error}."
            ) from error
        spectra.append(spectrum)
        lengths = lengths or found
    runs = {name: np.array(values, "float64")[:, None] for name, values in numbers.items()}
    if not np.isfinite(runs["validation_accuracy"]).any():
        raise ValueError(
            "A benchmark file has the key 'validation accuracy' for each function. Received: "
            f"{path}, with {len(functions)} functions and no such value."
        )
    sizes = {len(spectrum) for spectrum in spectra if spectrum is not None}
    if len(sizes) > 1:
        raise ValueError(
            f"All spectra of a benchmark have the same bins. Received: {path}, with "
            f"{', '.join(map(str, sorted(sizes)))} bins."
        )
    cdfs = np.full((len(functions), sizes.pop() if sizes else 0), np.nan, "float32")
    for row, spectrum in zip(cdfs, spectra, strict=True):
        if spectrum is not None and np.isfinite(spectrum).all():
            row[:] = spectrum
    weights = None if lengths is None else bin_weights([100 * n for n in lengths], lengths)
    name = re.sub(r"\.json(\.gz)?$", "", path.name)
    return ActBench(name, tuple(functions), tuple(equivalents), runs, cdfs, weights)


def _plain(name):
    """A key without case, spaces and signs, in one spelling."""
    name = re.sub("[^a-z]", "", name.lower())
    name = re.sub("^train(?=accuracy|loss)", "training", name)
    return re.sub("^val(?=accuracy|loss)", "validation", name)


_KEYS = {name: name.replace("_", "") for name in MEASURES} | {"seconds": "runtimes"}


def _first(entry, *names):
    return next((entry[name] for name in names if name in entry), None)


def _number(value, name, text, path):
    if value is None:
        return np.nan
    try:
        return float(value)
    except (OverflowError, TypeError, ValueError):
        raise ValueError(
            f"The {name.replace('_', ' ')} of a function is a number. Received: {value!r:.50} for "
            f"'{text}' in {path}."
        ) from None


def _texts(value, text, path):
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(each, str) for each in texts):
        raise ValueError(
            f"The equivalent functions of a function are texts. Received: {value!r:.50} for "
            f"'{text}' in {path}."
        )
    return tuple(texts)


def _spectrum(value):
    """A spectrum in one row, or None; and the bins of each layer, if it came by layers."""
    if isinstance(value, dict):
        value = list(value.values())
    if not value or not isinstance(value, list):
        return None, None
    if isinstance(value[0], list):
        layers = [_row(layer) for layer in value]
        return np.concatenate(layers), [len(layer) for layer in layers]
    return _row(value), None


def _row(value):
    row = np.array(value, "float32")
    if row.ndim != 1 or not row.size:
        raise ValueError(f"an array of shape {row.shape}")
    return row
