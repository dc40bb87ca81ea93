"""Write the trainings of a task into the compact file that `packed` reads."""

import dataclasses
import json
import os
import platform
from importlib import metadata
from pathlib import Path

import numpy as np

from ..._files import write_npz
from ...expressions import SearchSpace
from .build import read_results
from .packed import FORMAT, bench
from .tasks import task_of


def pack_bench(
    folder: str | os.PathLike,
    task: str,
    path: str | os.PathLike | None = None,
    space: SearchSpace | None = None,
) -> dict:
    """Write the trainings of `bench build` on one task into one small file, all or nothing.

    Functions that were not trained yet are left out; the manifest counts them.

    Args:
        folder: With `TASK.jsonl`.
        task: Name of the task.
        path: The file to write, ending in .npz; `TASK.npz` in the folder if None.
        space: The space that was trained; that of the atlas, three-node, if None.

    Returns:
        The manifest.

    Raises:
        ValueError: If the folder has no results of functions of the space.
    """
    judged = task_of(task)
    results = read_results(folder, task)
    if not results:
        raise ValueError(
            f"There are no trainings of {task} in {folder}. Run `keras-actfn bench build --task "
            f"{task}` with that folder first."
        )
    equivalents = _equivalents(space)
    trained = {function for function, _ in results}
    spectra = {f: r for (f, _), r in results.items() if "cdf" in r or not judged.has_spectrum}
    functions = [f for f in equivalents if f in trained and f in spectra]
    seeds = sorted({seed for _, seed in results})
    if not functions:
        raise ValueError(
            f"No training of {task} in {folder} is of a function of the space, with its spectrum."
        )
    table = [[results.get((function, seed)) for seed in seeds] for function in functions]
    arrays = {
        name: np.array([[_value(run, name) for run in row] for row in table])
        for name in judged.measures
    }
    layers = judged.layers() if judged.has_spectrum else []
    counts = np.array([spectra[f].get("cdf", []) for f in functions], "uint32")
    manifest = {
        "format": FORMAT,
        "name": task,
        "title": judged.title,
        "metric": judged.metric,
        "mode": judged.mode,
        "chance": judged.chance,
        "measures": list(judged.measures),
        "epochs": judged.recipe.epochs,
        "functions": len(functions),
        "functions_of_the_space": len(equivalents),
        "trainings": int(sum(run is not None for row in table for run in row)),
        "trained_with_seed": {
            str(seed): int(sum(row[i] is not None for row in table)) for i, seed in enumerate(seeds)
        },
        "core_seconds": float(np.nansum(arrays["seconds"])),
        "seeds": seeds,
        "layer_parameters": layers,
        "layer_bins": [parameters // 100 for parameters in layers],
        "recipe": dataclasses.asdict(judged.recipe),
        "environment": _environment(),
        "command": f"keras-actfn bench build --task {task}",
    }
    write_npz(
        Path(folder) / f"{task}.npz" if path is None else path,
        manifest=np.array(json.dumps(manifest)),
        functions=np.array(functions),
        equivalents=np.array(json.dumps([equivalents[f] for f in functions])),
        counts=counts.astype("uint16") if counts.max(initial=0) < 2**16 else counts,
        valid=np.array([spectra[f].get("valid", True) for f in functions]),
        diverged=np.array(
            [[-1 if run is None else int(run["diverged"]) for run in row] for row in table], "int8"
        ),
        **{name: _curves(table, name, judged.recipe.epochs) for name in _CURVES},
        **arrays,
    )
    return manifest


_CURVES = ("curve_metric", "curve_loss")


def _curves(table, name, epochs):
    """Values by epoch, (functions, seeds, epochs); NaN where there are none."""
    found = np.full((len(table), len(table[0]), epochs), np.nan, "float32")
    for i, row in enumerate(table):
        for j, run in enumerate(row):
            values = [] if run is None else run.get(name, [])[:epochs]
            found[i, j, : len(values)] = [np.nan if v is None else v for v in values]
            if run is not None and name not in run and name == "curve_loss":
                # Only the end is known, of a training that kept no curves.
                found[i, j, -1] = np.nan if run["diverged"] else _value(run, "training_loss")
    return found


def _equivalents(space):
    """The functions of the space in its order, each with the texts of those that it stands for."""
    if space is None:
        known = bench("fashion_cnn")  # Enumerating them takes many seconds.
        return {f: list(texts) for f, texts in zip(known.functions, known.equivalents, strict=True)}
    unique = space.unique()
    return {
        str(unique.expressions[i]): [str(e) for e in unique.equivalents(int(i))]
        for i in np.flatnonzero(unique.valid)
    }


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
