"""Works that are killed and started again, and what must be true of them in the end."""

import dataclasses
import functools
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import optuna
from robustness_files import search_bench

from keras_actfn import activation
from keras_actfn.expressions import SearchSpace, parse
from keras_actfn.search import ActivationSearch, claims
from keras_actfn.search.storage import open_storage
from keras_actfn.training import Task, compare

UNARY = ["relu", "tanh", "exp", "square", "negative", "sigmoid", "softplus", "erf"]
SPACE = SearchSpace(["unary(unary(x))"], UNARY)
LARGE_SPACE = SearchSpace(["binary(unary(unary(x)),unary(x))"], UNARY)
EVALUATIONS, PROBES = 10, 24
#: What the works import late; Keras imports TensorFlow to save a layer's settings.
_LATE = ("optuna.storages", "alembic.command", "sklearn.decomposition", "sklearn.neighbors")
_LATE += ("tensorflow", "xxhash", "scipy.stats")
_LIMIT = 120.0  # seconds after which a work counts as one that never ends


@dataclasses.dataclass(frozen=True)
class Work:
    """A work that is killed.

    Attributes:
        run: Does the work in a folder, or goes on with it.
        result: What it has found, by name, to compare with that of a work that was not killed.
        workers: Processes that do it together.
        done: The pieces of work that are finished in a folder, by name with a stamp; a piece that
            is there after a kill must be there in the end, unchanged.
    """

    run: Callable[[Path], None]
    result: Callable[[Path], dict]
    workers: int = 1
    done: Callable[[Path], dict] = lambda folder: {}


# Spaces.


def build_space(folder):
    """Build a space."""
    LARGE_SPACE.unique(path=folder / "space")


def read_space(folder):
    """What was built; the folder holds nothing else."""
    found = LARGE_SPACE.unique(path=folder / "space", progress=_never)
    rest = sorted(path.name for path in folder.iterdir())
    return {"outputs": found.outputs.tobytes(), "classes": found.classes.tolist(), "folder": rest}


def _never(*_):
    raise AssertionError("a finished space is built again")


# Searches.


def model(spec):
    """A small classifier."""
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(60),
            activation(spec),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def objective(expression):
    """The negative distance to softplus on a grid, after a moment."""
    time.sleep(0.01)
    x = np.linspace(-3, 3, 61)
    return -float(np.abs(parse(expression)(x) - np.logaddexp(0, x)).mean())


def _search(folder, ending):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    x = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
    return ActivationSearch(
        Task(model, x, objective=objective, mode="max"),
        SPACE,
        storage=folder / f"search.{ending}",
        probes=PROBES,
        embedding="pca",
        baselines=("relu", "tanh"),
        from_scratch=True,
    )


def search(folder, ending):
    """Probe and evaluate."""
    claims.LEASE_SECONDS = 2.0  # a kill between asking and leasing is waited for this long
    _search(folder, ending).run(EVALUATIONS)


def read_search(folder, ending, ordered):
    """Evaluated functions with their values, in their order if one worker did it, and spectra."""
    found = _search(folder, ending)
    rows = [(row.number, row.expression, row.value) for row in found.table()]
    names = [name for _, name, _ in sorted(rows)]
    features = found.store.load()
    values = {name: value for _, name, value in rows}
    common = {
        "evaluated twice": sorted({name for name in names if names.count(name) > 1}),
        "wrong values": [name for name in names if values[name] != objective(name)],
        "probed functions": [features.ids.tolist(), features.invalid],
        "spectra": features.cdfs.tobytes(),
    }
    return common | {"evaluated functions": names if ordered else len(names)}


def evaluated(folder, ending):
    """The finished evaluations."""
    if not (folder / f"search.{ending}").exists():
        return {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = open_storage(folder / f"search.{ending}")
    if not storage.get_all_studies():
        return {}
    (summary,) = storage.get_all_studies()
    trials = storage.get_all_trials(summary._study_id, deepcopy=False)
    return {
        str(trial.number): (trial.params["candidate"], trial.value)
        for trial in trials
        if trial.state == optuna.trial.TrialState.COMPLETE
    }


# Comparisons and searches on the benchmark.


def compare_some(folder):
    """Train three activations with two seeds."""
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    x = (rng.normal(size=(240, 6)) + np.eye(3)[y].repeat(2, axis=1)).astype("float32")
    data = {"train": (x[:180], y[:180]), "validation": 0, "test": (x[180:], y[180:])}
    compare(
        Task(model, **data, epochs=2, batch_size=30),
        ["relu", "tanh", "pwl(knots=9)"],
        seeds=2,
        output=folder / "results",
        plots=False,
    )


def read_comparison(folder):
    """The table, without times."""
    import csv

    with open(folder / "results" / "runs.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {"rows": [[v for k, v in row.items() if "seconds" not in k] for row in rows]}


def stamps(folder, pattern):
    """Files that are finished, by name with the time of their writing."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob(pattern)}


def bench_run(folder):
    """Search on a small benchmark."""
    search_bench(folder / "bench", trials=12)


def read_bench_run(folder):
    """The trials, and how often each was written."""
    lines = (folder / "bench" / "trials.jsonl").read_bytes().splitlines()
    found = search_bench(folder / "bench", trials=12).trials
    trials = {str(key): [rows.tolist() for rows in each] for key, each in found.items()}
    return {"trials": trials, "lines": len(lines)}


def _searches(ending, workers):
    return Work(
        functools.partial(search, ending=ending),
        functools.partial(read_search, ending=ending, ordered=workers == 1),
        workers,
        functools.partial(evaluated, ending=ending),
    )


#: Every work that is killed.
WORKS = {
    "search, SQLite, 1 worker": _searches("db", 1),
    "space, 1 worker": Work(build_space, read_space),
    "search, journal, 3 workers": _searches("log", 3),
    "compare": Work(
        compare_some, read_comparison, 1, lambda folder: stamps(folder, "results/runs/*.json")
    ),
    "search, SQLite, 3 workers": _searches("db", 3),
    "bench run": Work(bench_run, read_bench_run),
    "search, journal, 1 worker": _searches("log", 1),
    "space, 3 workers": Work(build_space, read_space, 3),
}


@functools.cache
def _context():
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([__name__, *_LATE])
    return found


def _start(name, folder):
    errors = str(folder.with_name(f"{folder.name}.errors"))
    worker = _context().Process(target=_child, args=(name, folder, errors))
    worker.start()
    return worker


def _child(name, folder, errors):
    descriptor = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    WORKS[name].run(folder)


def _finish(workers, folder):
    """Wait for processes; what went wrong with them."""
    until = time.monotonic() + _LIMIT
    for worker in workers:
        worker.join(max(0.0, until - time.monotonic()))
    if any(worker.exitcode is None for worker in workers):
        for worker in workers:
            worker.kill()
            worker.join()
        return [f"not finished after {_LIMIT:.0f} s"]
    if any(worker.exitcode for worker in workers):
        lines = folder.with_name(f"{folder.name}.errors").read_text().strip().splitlines()
        return [f"ended with an error: {lines[-1] if lines else 'none is written'}"]
    return []


@functools.cache
def reference(name):
    """What a work finds that is not killed, the seconds that it takes, and its faults."""
    work = WORKS[name]
    with tempfile.TemporaryDirectory() as root:
        for number in range(2):  # the second time, all is imported and compiled
            folder = Path(root, str(number))
            folder.mkdir()
            started = time.monotonic()
            faults = _finish([_start(name, folder) for _ in range(work.workers)], folder)
            seconds = time.monotonic() - started
        return (None if faults else work.result(folder)), seconds, faults


def killed_until_done(name, root, rng, kills):
    """Start a work, kill it up to so many times at random moments, and let it end.

    Args:
        name: A key of `WORKS`.
        root: An empty folder.
        rng: A NumPy generator.
        kills: How many times.

    Returns:
        How many times it was killed, and the faults.
    """
    work, (expected, seconds, faults) = WORKS[name], reference(name)
    if faults:
        return 0, [f"without a kill: {fault}" for fault in faults]
    folder = root / "work"
    folder.mkdir()
    done, pieces, faults = 0, {}, []
    for _ in range(kills):
        workers = [_start(name, folder) for _ in range(work.workers)]
        time.sleep(rng.uniform(0, 0.8 * seconds))
        # All of them die, or one.
        chosen = workers if rng.random() < 0.7 else [workers[rng.integers(len(workers))]]
        killed = [worker for worker in chosen if worker.exitcode is None]
        for worker in killed:
            worker.kill()
        faults += _finish([worker for worker in workers if worker not in killed], folder)
        for worker in killed:
            worker.join()
        done += bool(killed)
        pieces, changed = _changed(pieces, work.done(folder))
        faults += changed
        if faults or not killed:
            break
    if not faults:
        faults += _finish([_start(name, folder) for _ in range(work.workers)], folder)
    if not faults:
        faults += _changed(pieces, work.done(folder))[1]
        found = work.result(folder)
        faults += [
            f"{part}: {found[part]!s:.150} instead of {expected[part]!s:.150}"
            for part in expected
            if found[part] != expected[part]
        ]
    return done, faults


def _changed(before, now):
    lost = [name for name in before if before[name] != now.get(name)]
    return now, [f"{name} was lost or done twice" for name in lost]
