"""Reading and writing spectra: one npz file with arrays and a JSON manifest."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._files import DamagedFile, parse_json, read_npz, write_npz
from .factors import Pair

if TYPE_CHECKING:
    from .spectrum import FisherSpectrum

FORMAT = "keras-actfn fisher spectrum"
VERSION = 1
REMEDY = "Pass a file written by FisherSpectrum.save, or compute the spectrum again."


def save(spectrum: "FisherSpectrum", path: str | os.PathLike) -> None:
    """Write a spectrum's factor eigenvalues and manifest; the file appears whole or not at all.

    Args:
        spectrum: A `FisherSpectrum`.
        path: The file's name; the ending `.npz` is usual but not added.
    """
    path = Path(path)
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "blocks": [
            {
                "name": block.name,
                "parameters": block.parameters,
                "pairs": len(block.pairs),
                "clipped": block.clipped,
            }
            for block in spectrum.blocks
        ],
        "uncovered": spectrum.uncovered,
        "excluded": spectrum.excluded,
        "settings": spectrum.settings,
    }
    arrays = {"manifest": np.frombuffer(json.dumps(manifest).encode(), np.uint8)}
    for i, block in enumerate(spectrum.blocks):
        for j, (omega, gamma) in enumerate(block.pairs):
            arrays[f"{i}.{j}.omega"], arrays[f"{i}.{j}.gamma"] = omega, gamma
    write_npz(path, **arrays)


def load(path: str | os.PathLike) -> tuple[dict, list[list[Pair]]]:
    """Return the manifest and each block's pairs from a file written by `save`.

    Raises:
        ValueError: If the file is not a spectrum, is damaged, or of a newer version.
    """
    arrays = read_npz(path, REMEDY)
    try:
        manifest = parse_json(arrays["manifest"].tobytes())
        if manifest["format"] != FORMAT:
            raise ValueError(f"its format is {manifest['format']!r}")
        version = manifest["version"]
        if type(version) is not int or version <= VERSION:
            _check(manifest)
            return manifest, [
                [_pair(arrays, f"{i}.{j}") for j in range(entry["pairs"])]
                for i, entry in enumerate(manifest["blocks"])
            ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DamagedFile(path, f"it is not a Fisher spectrum ({error})", REMEDY) from error
    raise ValueError(
        f"{path} has format version {version}; this version of keras_actfn reads up to {VERSION}. "
        "Install a newer keras-actfn."
    )


def _check(manifest):
    if manifest["version"] != VERSION:
        raise ValueError(f"its version is {manifest['version']!r}")
    for entry in manifest["blocks"]:
        if not (
            isinstance(entry["name"], str)
            and all(
                type(entry[name]) is int and entry[name] >= 0 for name in ("parameters", "pairs")
            )
            and isinstance(entry["clipped"], int | float)
        ):
            raise ValueError("a block has no name, numbers of parameters and pairs, and clipped")
    for name in ("uncovered", "excluded", "settings"):
        if not isinstance(manifest[name], dict):
            raise ValueError(f"{name} is not a dictionary")


def _pair(arrays, name):
    pair = Pair(arrays[f"{name}.omega"], arrays[f"{name}.gamma"])
    if any(part.ndim != 1 or part.dtype.kind != "f" or not part.size for part in pair):
        raise ValueError("eigenvalues are one row of numbers")
    return pair
