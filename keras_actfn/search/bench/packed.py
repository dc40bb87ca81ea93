"""The compact file of this package's own benchmark: packed from trainings, read as an `ActBench`.

An npz file without pickled objects:

    manifest     JSON: format, name, recipe, seeds, environment, layers, counts
    functions    texts, (functions,)
    equivalents  JSON: for each function the texts of all functions that it stands for
    counts       cumulative counts of eigenvalues, uint16 (functions, bins)
    valid        whether the spectrum is valid, bool (functions,)
    diverged     int8 (functions, seeds); -1 where not trained
    …            each of `MEASURES`, float64 (functions, seeds); NaN where not trained
"""

import dataclasses
import io
import json
import os
import platform
from importlib import metadata
from pathlib import Path

import numpy as np

from ..._files import write_file
from ...fisher.spectrum import bin_weights
from .build import read_results
from .published import MEASURES, ActBench

FORMAT = 1


def pack_bench(folder, path, space=None):
    """Write the trainings of `bench build` into one small file, all or nothing.

    Functions that were not trained yet are left out; the manifest counts them.

    Args:
        folder: With `results.jsonl`.
        path: The file to write, ending in .npz.
        space: The space that was trained; three-node if None.

    Returns:
        The manifest.

    Raises:
        ValueError: If the folder has no results, or none with a spectrum.
    """
    from ...expressions import three_node
    from .tasks import BenchRecipe, small_network

    results = read_results(folder)
    if not results:
        raise ValueError(
            f"There are no trainings in {folder}. Run `keras-actfn bench build` with that folder "
            "first."
        )
    unique = (space or three_node()).unique()
    positions = {str(unique.expressions[i]): i for i in np.flatnonzero(unique.valid)}
    trained = {function for function, _ in results}
    functions = [function for function in positions if function in trained]
    seeds = sorted({seed for _, seed in results})
    spectra = {f: r for (f, _), r in results.items() if "cdf" in r}
    functions = [function for function in functions if function in spectra]
    if not functions:
        raise ValueError(f"No training in {folder} is of a function of the space with a spectrum.")
    table = [[results.get((function, seed)) for seed in seeds] for function in functions]
    arrays = {
        name: np.array([[_value(run, name) for run in row] for row in table]) for name in MEASURES
    }
    layers = [
        int(sum(np.prod(weight.shape) for weight in layer.trainable_weights))
        for layer in small_network("relu").layers
        if layer.trainable_weights
    ]
    manifest = {
        "format": FORMAT,
        "name": "fashion_mnist",
        "functions": len(functions),
        "functions_of_the_space": len(positions),
        "trainings": int(sum(run is not None for row in table for run in row)),
        "trained_with_seed": {
            str(seed): int(sum(row[i] is not None for row in table)) for i, seed in enumerate(seeds)
        },
        "core_seconds": float(np.nansum(arrays["seconds"])),
        "seeds": seeds,
        "layer_parameters": layers,
        "layer_bins": [parameters // 100 for parameters in layers],
        "recipe": dataclasses.asdict(BenchRecipe()),
        "environment": _environment(),
        "command": "keras-actfn bench build",
    }
    _write(
        path,
        manifest=json.dumps(manifest),
        functions=np.array(functions),
        equivalents=json.dumps(
            [[str(e) for e in unique.equivalents(positions[f])] for f in functions]
        ),
        counts=np.array([spectra[f]["cdf"] for f in functions], "uint16"),
        valid=np.array([spectra[f]["valid"] for f in functions]),
        diverged=np.array(
            [[-1 if run is None else int(run["diverged"]) for run in row] for row in table], "int8"
        ),
        **arrays,
    )
    return manifest


def read_bench(path):
    """Read a file that `pack_bench` wrote.

    Args:
        path: The file.

    Returns:
        An `ActBench`, whose `info` is the manifest, with `diverged` (functions, seeds).

    Raises:
        ValueError: If the file is missing, no such file, or of a newer format.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(
            f"There is no benchmark file {path}. Write it with `keras-actfn bench build`."
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        manifest = json.loads(str(arrays["manifest"]))
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"{path} is no benchmark file of `keras-actfn bench build`. ({error})"
        ) from error
    if manifest["format"] > FORMAT:
        raise ValueError(
            f"{path} has the format {manifest['format']}; this version reads {FORMAT} and older. "
            "Update keras-actfn."
        )
    bins, parameters = manifest["layer_bins"], manifest["layer_parameters"]
    cdfs = arrays["counts"].astype("float32") / np.repeat(parameters, bins).astype("float32")
    cdfs[~arrays["valid"]] = np.nan
    return ActBench(
        name=manifest["name"],
        functions=tuple(str(text) for text in arrays["functions"]),
        equivalents=tuple(tuple(texts) for texts in json.loads(str(arrays["equivalents"]))),
        runs={name: arrays[name].astype("float64") for name in MEASURES},
        cdfs=cdfs,
        weights=bin_weights(parameters, bins),
        seeds=tuple(manifest["seeds"]),
        info=manifest | {"diverged": arrays["diverged"]},
    )


def _value(run, name):
    value = None if run is None else run.get(name)
    return np.nan if value is None else value


def _environment():
    """Versions and the machine's kind, as of packing."""
    versions = {name: metadata.version(name) for name in ("keras", "torch", "numpy", "scipy")}
    return versions | {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
    }


def _write(path, **arrays):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_file(path, buffer.getvalue())
