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

import os
from pathlib import Path

import numpy as np

from ..._files import DamagedFile, parse_json, read_npz
from ..._names import unknown_name
from ...fisher.spectrum import bin_weights
from .act_bench import ActBench

#: Where the benchmarks of the package lie, one a task.
DATA = Path(__file__).parent / "data"
FORMAT = 2
_REMEDY = "Copy it again, or write it with `keras-actfn bench build`."


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
