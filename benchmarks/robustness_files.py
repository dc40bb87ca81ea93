"""Every kind of file that the package reads back: how it is written, read, and damaged."""

import dataclasses
import functools
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np

from keras_actfn._files import append_line
from keras_actfn.callbacks.activation_snapshots import Snapshots
from keras_actfn.expressions import SearchSpace, UniqueFunctions
from keras_actfn.fisher import BlockSpectrum, FisherSpectrum
from keras_actfn.fisher.factors import Pair
from keras_actfn.fisher.spectrum import bin_weights
from keras_actfn.search import claims
from keras_actfn.search.benchmarks.act_bench import ActBench
from keras_actfn.search.benchmarks.build import read_results, results_file
from keras_actfn.search.benchmarks.packed import DATA, read_bench
from keras_actfn.search.benchmarks.published import MEASURES
from keras_actfn.search.benchmarks.run import run_bench
from keras_actfn.search.chooser import Chooser
from keras_actfn.search.evaluating import evaluate_next
from keras_actfn.search.feature_store import FeatureStore, ProbeResult
from keras_actfn.search.objective import Evaluation
from keras_actfn.search.pool import Pool
from keras_actfn.search.results import search_rows
from keras_actfn.search.storage import open_storage, open_study
from keras_actfn.search.trials import check_trials, readable
from keras_actfn.training.run_store import RunResult, RunStore

SPACE = SearchSpace(["binary(unary(x),unary(x))"], ["relu", "tanh", "exp", "square", "negative"])
KEY = {"space": "s", "model": "m", "seed": 0}
SIZES = (200, 300)  # 2 and 3 bins


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of stored file.

    Attributes:
        write: Writes files into a folder.
        read: Gives what the package reads from the folder, as a dictionary of values.
        files: Pattern of the files to damage.
        partial: Whether reading may leave out what is damaged, as it is then made again. It must
            warn, unless the end of a file is missing, which is what a kill leaves.
    """

    write: Callable[[Path], object]
    read: Callable[[Path], dict]
    files: str
    partial: bool = False


def small_bench():
    """A benchmark of 64 functions, made up."""
    a, b = np.linspace(0, 1, 64), np.linspace(1, 0, 64) ** 2
    functions = tuple(
        f"add(mul({x:.4g},relu(x)),mul({y:.4g},tanh(x)))" for x, y in zip(a, b, strict=True)
    )
    functions = (*functions[:-1], "relu(x)")
    runs = {name: np.full((64, 1), np.nan) for name in MEASURES}
    runs["validation_accuracy"] = (0.9 - (a - 0.4) ** 2)[:, None]
    runs["test_accuracy"] = runs["validation_accuracy"] - 0.01
    cdfs = np.sort(np.random.default_rng(0).random((64, 5)), axis=1).astype("float32")
    equivalents = tuple((f,) for f in functions)
    return ActBench("made up", functions, equivalents, runs, cdfs, bin_weights(SIZES))


def search_bench(folder, **options):
    """Searches on the small benchmark."""
    settings = dict(regressors=("knr", "random"), features=("both",), trials=4, budget=12)
    settings |= dict(embedding="pca", workers=1, progress=False)
    return run_bench(small_bench(), folder, **settings | options)


def _read_space(folder):
    found = UniqueFunctions.load(folder / "space")
    names = ("inputs", "outputs", "classes", "first", "valid")
    return {name: np.array(getattr(found, name)) for name in names} | {
        "space": found.space.get_config(),
        "question": (found.method, found.up_to_sign),
    }


def _build_space(folder):
    found = SPACE.unique(path=folder / "space")
    return {name: np.array(getattr(found, name)) for name in ("outputs", "classes", "valid")}


def _probed():
    for number in range(40):
        rng = np.random.default_rng(number)
        if number % 4 == 1:
            yield ProbeResult(number, reason="its values are not finite")
        else:
            yield ProbeResult(number, np.sort(rng.random(5)).astype("float32"), None, SIZES)


def _write_features(folder):
    store, results = FeatureStore(folder, KEY), list(_probed())
    for start in range(0, len(results), 10):
        store.append(results[start : start + 10])


def _read_features(folder):
    found = FeatureStore(folder, KEY).load()
    rows = {f"spectrum {i}": row for i, row in zip(found.ids.tolist(), found.cdfs, strict=True)}
    return rows | {f"invalid {i}": reason for i, reason in found.invalid.items()}


@dataclasses.dataclass
class _Features:
    ids: np.ndarray
    cdfs: np.ndarray
    weights = np.ones(5)
    invalid: ClassVar[dict[int, str]] = {}


def _map(folder):
    pool = Pool(SPACE.unique())
    ids = pool.draw(30)
    store = type("Store", (), {"load": lambda self: _Features(np.sort(ids), _cdfs(len(ids)))})()
    return {"map": Chooser(pool, store, folder, (), embedding="pca").features.places()}


def _cdfs(count):
    return np.sort(np.random.default_rng(1).random((count, 5)), axis=1).astype("float32")


def _run():
    curves = {"step": np.arange(50), "loss": np.exp(-np.linspace(0, 3, 50))}
    values = zip(RunResult.NUMBERS, (1200, 50, 0.01, 1.5, False), strict=True)
    test = {"accuracy": 0.91, "loss": 0.25}
    return RunResult("relu", 1, "0123", None, test, **dict(values), arrays=curves)


def _read_run(folder):
    found = RunStore(folder).load("0123", "relu")
    return {"missing": True} if found is None else found.summary() | found.arrays


def _spectrum(folder):
    rng = np.random.default_rng(0)
    pairs = [Pair(np.sort(rng.gamma(1, 1, 9)), np.sort(rng.gamma(1, 1, 40))) for _ in range(2)]
    blocks = [BlockSpectrum(f"layer {i}", 360, [pair], 0.0) for i, pair in enumerate(pairs)]
    FisherSpectrum(blocks, {"a": "no rule"}, {}, {"mode": "exact"}).save(folder / "spectrum.npz")


def _read_spectrum(folder):
    found = FisherSpectrum.load(folder / "spectrum.npz")
    values = {f"{i} {j}": v for i, b in enumerate(found.blocks) for j, v in enumerate(b.pairs[0])}
    return values | {
        "layers": found.layers,
        "parameters": [block.parameters for block in found.blocks],
        "rest": (found.uncovered, found.excluded, found.settings),
    }


def _snapshots(folder):
    rng = np.random.default_rng(0)
    curves, counts = {"pwl": rng.random((3, 20, 2))}, {"pwl": rng.integers(0, 50, (3, 4, 10))}
    grids = np.arange(3), np.linspace(-1, 1, 20), np.linspace(-1, 1, 11)
    Snapshots(*grids, curves, counts).save(folder / "snapshots.npz")


def _read_snapshots(folder):
    found = Snapshots.load(folder / "snapshots.npz")
    return vars(found) | {
        "curves": found.curves.get("pwl"),
        "histograms": found.histograms.get("pwl"),
    }


def _read_bench(folder):
    found = read_bench(folder / "bench.npz")
    return found.runs | {
        "functions": found.functions,
        "equivalents": found.equivalents,
        "cdfs": found.cdfs,
        "weights": found.weights,
        "seeds": found.seeds,
        "info": {name: value for name, value in found.info.items() if name != "diverged"},
        "diverged": found.diverged,
    }


def _write_trainings(folder):
    for number in range(30):
        result = {"function": f"f{number}", "seed": 0, "validation_accuracy": number / 31}
        result["diverged"] = number == 3
        append_line(
            results_file(folder, "fashion_cnn"), result | {"cdf": list(range(number, number + 50))}
        )


def _read_trainings(folder):
    return {
        f"{key}": tuple(value.items()) for key, value in read_results(folder, "fashion_cnn").items()
    }


def _read_searches(folder):
    found = search_bench(folder).trials
    return {f"{key} {i}": rows for key, trials in found.items() for i, rows in enumerate(trials)}


def _copy_bench(folder):
    (folder / "bench.npz").write_bytes((DATA / "fashion_cnn.npz").read_bytes())


@functools.cache
def _pool():
    return Pool(SPACE.unique())


def _write_trials(name):
    def write(folder):
        study = open_study(open_storage(folder / name), "s", {"space": "a"})
        for number in range(12):
            study.enqueue_trial({claims.CANDIDATE: number})
            value = None if number == 5 else number / 13
            evaluation = Evaluation(value, {"epochs": 3, "loss": number / 7})
            evaluate_next(study, _pool(), lambda _, found=evaluation: found, 12)

    return write


def _read_trials(name):
    def read(folder):
        path = folder / name
        with readable(path):
            study = open_study(open_storage(path), "s", {"space": "a"}, place=path)
            check_trials(study, path, _pool())
        rows = search_rows(study, ())
        return {f"trial {row.number}": (row.expression, row.value, row.diverged) for row in rows}

    return read


def _write_run(folder):
    RunStore(folder).save(_run(), {})


#: Every kind of file. A new kind of stored file gets a row here.
KINDS = {
    "space, opened": Kind(_build_space, _read_space, "space/*"),
    "space, asked for": Kind(_build_space, _build_space, "space/*"),
    "spectra of a search": Kind(_write_features, _read_features, "*", partial=True),
    "map of a search": Kind(_map, _map, "embedding-*"),
    "run of compare": Kind(_write_run, _read_run, "runs/*"),
    "Fisher spectrum": Kind(_spectrum, _read_spectrum, "*.npz"),
    "snapshots": Kind(_snapshots, _read_snapshots, "*.npz"),
    "packed benchmark": Kind(_copy_bench, _read_bench, "*.npz"),
    "trainings of bench build": Kind(_write_trainings, _read_trainings, "*", partial=True),
    "trials in SQLite": Kind(_write_trials("s.db"), _read_trials("s.db"), "s.db", partial=True),
    "trials in a journal": Kind(
        _write_trials("s.log"), _read_trials("s.log"), "s.log", partial=True
    ),
    "searches of bench run": Kind(_read_searches, _read_searches, "*"),
}


def write_all(root):
    """Write every kind into a folder of its name."""
    for name, kind in KINDS.items():
        (root / name).mkdir(parents=True)
        kind.write(root / name)


def corrupted(folder, pattern, rng):
    """Damage one of the files at random; return its path and what was done."""
    paths = sorted(path for path in folder.glob(pattern) if path.is_file())
    path = paths[rng.integers(len(paths))]
    content = bytearray(path.read_bytes())
    place = int(rng.integers(len(content)))
    length = int(min(2 ** rng.integers(0, 10), len(content) - place))
    damage = ("flipped", "zeroed", "cut out", "cut off")[rng.integers(4)]
    if damage == "flipped":
        content[place] ^= 1 << int(rng.integers(8))
        length = 1
    elif damage == "zeroed":
        content[place : place + length] = bytes(length)
    elif damage == "cut out":
        del content[place : place + length]
    else:
        del content[place:]
    path.write_bytes(content)
    return path, f"{damage} {length} at {place}"


def judged(kind, folder, path, expected):
    """The outcome of reading a folder with a damaged file, and the detail of a fault."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = kind.read(folder)
        except ValueError as error:
            text = str(error)
            if str(path) in text or str(path.with_suffix("")) in text or f"{folder}:" in text:
                return "refused", text
            return "RAW", f"{type(error).__name__}: {text:.200}"
        except Exception as error:
            return "RAW", f"{type(error).__name__}: {error!s:.200}"
    warned = any(str(path) in str(warning.message) for warning in caught)
    left = [name for name in expected if name not in found]
    wrong = [name for name in found if not same(found[name], expected.get(name))]
    if wrong:
        return "SILENT", f"{', '.join(wrong)} differ"
    if left and not (kind.partial and (warned or path.suffix == ".jsonl")):
        return "SILENT", f"{', '.join(left)} missing"
    return ("made again" if warned or left else "the same"), ""


def same(a, b):
    """Whether two values are equal to the bit, NaN included."""
    if isinstance(a, np.ndarray):
        b = np.asarray(b)
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return type(a) is type(b) and a == b
