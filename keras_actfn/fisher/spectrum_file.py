"""Reading and writing spectra: one npz file with arrays and a JSON manifest."""

import json
import zipfile
from pathlib import Path

import numpy as np

from .._files import write_npz
from .factors import Pair

FORMAT = "keras-actfn fisher spectrum"
VERSION = 1


def save(spectrum, path) -> None:
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


def load(path) -> tuple[dict, list[list[Pair]]]:
    """Return the manifest and each block's pairs from a file written by `save`.

    Raises:
        ValueError: If the file is not a spectrum, or of a newer version.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        manifest = json.loads(bytes(arrays["manifest"]))
        known = manifest["format"] == FORMAT
    except (AttributeError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        known = False
    if not known:
        raise ValueError(
            f"{path} is not a Fisher spectrum. Pass a file written by FisherSpectrum.save."
        )
    if manifest["version"] > VERSION:
        raise ValueError(
            f"{path} has format version {manifest['version']}; this version of keras_actfn reads "
            f"up to {VERSION}. Install a newer keras-actfn."
        )
    pairs = [
        [Pair(arrays[f"{i}.{j}.omega"], arrays[f"{i}.{j}.gamma"]) for j in range(entry["pairs"])]
        for i, entry in enumerate(manifest["blocks"])
    ]
    return manifest, pairs
