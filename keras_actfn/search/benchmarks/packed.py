"""The compact file of this package's own benchmark: packed from trainings, read as an `ActBench`.

An npz file without pickled objects, with the checksums of its arrays:

    manifest     JSON: format, name, metric, mode, chance, measures, recipe, seeds, environment,
                 layers, counts
    functions    texts, (functions,)
    equivalents  JSON: for each function the texts of all functions that it stands for
    counts       cumulative counts of eigenvalues, unsigned (functions, bins)
    valid        whether the spectrum is valid, bool (functions,)
    diverged     int8 (functions, seeds); -1 where not trained
    curve_metric validation metric after each epoch, float32 (functions, seeds, epochs)
    curve_loss   mean training loss of each epoch, likewise
    …            each of the manifest's measures, float64 (functions, seeds); NaN where not trained
"""

import dataclasses
import json
import os
import platform
from importlib import metadata
from pathlib import Path

import numpy as np

from ..._files import DamagedFile, parse_json, read_npz, write_npz
from ..._names import unknown_name
from ...expressions import SearchSpace, three_node
from ...fisher.spectrum import bin_weights
from .act_bench import ActBench
from .build import read_results
from .published import MEASURES

#: Where the benchmarks of the package lie, one a task.
DATA = Path(__file__).parent / "data"
FORMAT = 2
_REMEDY = "Copy it again, or write it with `keras-actfn bench build`."


def pack_bench(
    folder: str | os.PathLike, path: str | os.PathLike, space: SearchSpace | None = None
) -> dict:
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
        "name": "fashion_cnn",
        "metric": "accuracy",
        "mode": "max",
        "chance": 0.1,
        "measures": list(MEASURES),
        "epochs": BenchRecipe().epochs,
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
    shape = (len(functions), len(seeds), BenchRecipe().epochs)
    write_npz(
        path,
        curve_metric=np.full(shape, np.nan, "float32"),
        curve_loss=np.full(shape, np.nan, "float32"),
        manifest=np.array(json.dumps(manifest)),
        functions=np.array(functions),
        equivalents=np.array(
            json.dumps([[str(e) for e in unique.equivalents(int(positions[f]))] for f in functions])
        ),
        counts=np.array([spectra[f]["cdf"] for f in functions], "uint16"),
        valid=np.array([spectra[f]["valid"] for f in functions]),
        diverged=np.array(
            [[-1 if run is None else int(run["diverged"]) for run in row] for row in table], "int8"
        ),
        **arrays,
    )
    return manifest


def bench_names() -> tuple[str, ...]:
    """The tasks with a benchmark that comes with the package, for `bench`.

    Example:
        >>> "fashion_cnn" in bench_names()
        True
    """
    return tuple(sorted(path.stem for path in DATA.glob("*.npz")))


def bench(name: str) -> ActBench:
    """Read one of the package's own benchmarks: the three-node functions on one task.

    Args:
        name: One of `bench_names()`.

    Raises:
        ValueError: If there is none of that name, or its file is damaged.

    Example:
        >>> found = bench("fashion_cnn")
        >>> found.metric, found.mode, len(found)
        ('accuracy', 'max', 2412)
        >>> found.functions[int(np.nanargmax(found.score))]
        'mul(log_sigmoid(x),selu(x))'
    """
    names = bench_names()
    if name not in names:
        raise unknown_name("A benchmark", name, names)
    return read_bench(DATA / f"{name}.npz")


def read_bench(path: str | os.PathLike) -> ActBench:
    """Read a file that `pack_bench` wrote.

    Args:
        path: The file.

    Returns:
        An `ActBench`, whose `info` is the manifest.

    Raises:
        ValueError: If the file is missing, damaged, no such file, or of another format.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(
            f"There is no benchmark file {path}. Write it with `keras-actfn bench build`."
        )
    arrays = read_npz(path, _REMEDY)
    try:
        manifest = parse_json(str(arrays["manifest"]))
        if manifest["format"] == FORMAT:
            return _bench(manifest, arrays)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        problem = f"it is no benchmark file ({type(error).__name__}: {error})"
        raise DamagedFile(path, problem, _REMEDY) from error
    raise ValueError(
        f"{path} has the format {manifest['format']}; this version reads {FORMAT}. Write it again "
        "with `keras-actfn bench build`, or update keras-actfn."
    )


def _bench(manifest, arrays):
    """The benchmark in a file's manifest and arrays, whose shapes must agree."""
    functions = tuple(str(text) for text in arrays["functions"])
    equivalents = parse_json(str(arrays["equivalents"]))
    bins, parameters, seeds = (
        [_natural(number, name) for number in manifest[name]]
        for name in ("layer_bins", "layer_parameters", "seeds")
    )
    measures, epochs = list(manifest["measures"]), _natural(manifest["epochs"], "epochs")
    _check_judged(manifest, measures)
    one_a_run = (len(functions), len(seeds))
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys((*measures, "diverged"), one_a_run)
    shapes |= dict.fromkeys(("curve_metric", "curve_loss"), (*one_a_run, epochs))
    shapes |= {"counts": (len(functions), sum(bins)), "valid": (len(functions),)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape or arrays[name].dtype.kind not in "fiub":
            raise ValueError(
                f"{name} are numbers of shape {shape}. Received: {arrays[name].dtype} of shape "
                f"{arrays[name].shape}"
            )
    if len(bins) != len(parameters) or not all(bins) or not all(parameters):
        raise ValueError("layer_bins and layer_parameters are positive, one a layer")
    if len(equivalents) != len(functions) or not all(
        isinstance(texts, list) and all(isinstance(text, str) for text in texts)
        for texts in equivalents
    ):
        raise ValueError("equivalents are a list of texts for each function")
    cdfs = arrays["counts"].astype("float32") / np.repeat(parameters, bins).astype("float32")
    cdfs[~arrays["valid"].astype(bool)] = np.nan
    runs = {name: arrays[name].astype("float64") for name in measures}
    curves = {name: arrays[f"curve_{name}"].astype("float64") for name in ("metric", "loss")}
    diverged = arrays["diverged"] == 1
    # The end of a curve is the measure itself, which is kept in full precision.
    end = runs[f"validation_{manifest['metric']}"]
    curves["metric"][..., -1:] = np.where(diverged, np.nan, end)[..., None]
    return ActBench(
        name=str(manifest["name"]),
        functions=functions,
        equivalents=tuple(map(tuple, equivalents)),
        runs=runs,
        cdfs=cdfs,
        weights=bin_weights(parameters, bins) if bins else None,
        seeds=tuple(seeds),
        info=manifest,
        metric=manifest["metric"],
        mode=manifest["mode"],
        chance=float(manifest["chance"]),
        diverged=diverged,
        epoch_runs=curves,
    )


def _check_judged(manifest, measures):
    metric, mode, chance = (manifest[name] for name in ("metric", "mode", "chance"))
    if mode not in ("min", "max"):
        raise ValueError(f"mode is 'min' or 'max'. Received: {mode!r:.50}")
    needed = {f"{part}_{metric}" for part in ("validation", "test")} | {"seconds"}
    if not all(isinstance(name, str) for name in measures) or not needed <= set(measures):
        raise ValueError(f"measures are names, {', '.join(sorted(needed))} among them")
    if type(chance) is not float or not np.isfinite(chance):
        raise ValueError(f"chance is a finite number. Received: {chance!r:.50}")


def _natural(number, name):
    if type(number) is not int or not 0 <= number < 2**31:
        raise ValueError(f"{name} are integers from 0. Received: {number!r:.50}")
    return number


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
