"""Searches on a benchmark: how many evaluations each surrogate needs (the paper's Fig. 6).

Every regressor searches with every set of features, many times: it begins with ReLU and seven
random functions, then evaluates the function that it suggests, until the budget is spent.
Results are looked up in the benchmark, by its score on validation data. As in the paper (Efficient
Activation Function Optimization through Surrogate Modeling, section 5), regressors only see
functions with a valid spectrum, while random search draws from all; trial t of every regressor
has the same start.

A search that holds the best function has nothing left to find and ends there.
"""

import functools
import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._drafts import make_folder
from ..._files import DamagedFile, append_line, read_json, read_lines, write_json, write_npz
from ..._optional import require
from ..._progress import Progress
from ..atlas.prior import AtlasPrior
from ..embedding import embed, read_coordinates
from ..outcomes import outcomes
from ..surrogate import REGRESSORS, CandidateFeatures, suggest
from .act_bench import ActBench
from .results import STARTS, BenchRun, target_of

#: Sets of features, and the embedding that the regressors in the plane work on.
FEATURE_SETS = {"both": "union", "outputs": "outputs", "spectra": "spectra"}
#: Regressors that need no map.
WITHOUT_MAP = ("distance_gp", "random")

_TRIALS, _SETTINGS = "trials.jsonl", "settings.json"


def run_bench(
    bench: ActBench,
    folder: str | os.PathLike | None = None,
    *,
    regressors: Sequence[str] = tuple(REGRESSORS),
    features: Sequence[str] = tuple(FEATURE_SETS),
    trials: int = 100,
    budget: int = 100,
    seed: int = 0,
    embedding: str = "umap",
    prior: AtlasPrior | None = None,
    start: Sequence[str] | None = None,
    share: float = 1.0,
    workers: int | None = None,
    progress: bool = True,
) -> BenchRun:
    """Run searches on a benchmark.

    Args:
        bench: An `ActBench`.
        folder: Where trials and embeddings are kept as they arrive; what is there is not run
            again. None keeps nothing.
        regressors: Names in `REGRESSORS`.
        features: Names in `FEATURE_SETS`; random search uses none.
        trials: Searches of each.
        budget: Evaluations of each search.
        seed: Of starts, embeddings and regressors.
        embedding: `"umap"` as in the paper, or `"pca"` to do without.
        prior: What the regressors begin from, learned from other benchmarks; None for nothing.
        start: Functions that every search evaluates first, those of them that the benchmark has
            with a valid spectrum; None for ReLU and seven random ones.
        share: Part of the functions that each trial searches, drawn at random; the start, the best
            usual function and the best of all are in it always. Below 1, searches that begin alike
            differ.
        workers: Processes; None for one a core.
        progress: Whether to show a bar.

    Returns:
        A `BenchRun`.

    Raises:
        ValueError: If a name is not known, the budget is less than the start or more than there
            are functions, or the folder has the searches of another benchmark or settings.

    Example:
    ```python
    run = run_bench(bench("fashion_cnn"), "runs/bench_run", trials=20)
    print(run.text())
    ```
    """
    value = bench.score
    rows = np.flatnonzero(bench.valid & np.isfinite(value))
    _check(regressors, features, budget, len(rows), embedding)
    relu = bench.index("relu")
    if relu not in rows:
        raise ValueError("Searches start from ReLU, whose spectrum is invalid in this benchmark.")
    first = None if start is None else _positions(bench, start, rows)
    settings = {"budget": budget, "seed": seed, "embedding": embedding}
    if first is not None or prior is not None or share != 1:
        learned = None if prior is None else prior.atlas.fingerprint
        settings |= {"prior": learned, "start": first and list(map(int, first)), "share": share}
    store = _Store(folder, bench, settings)
    wanted = [
        (name, kind) for name in regressors for kind in (features if name != "random" else ("",))
    ]
    done = store.load()
    left = [
        (name, kind, trial)
        for name, kind in wanted
        for trial in range(trials)
        if (name, kind, trial) not in done
    ]
    with Progress(len(left), progress) as bar:
        views = {}
        for kind in features:
            if any(task[1] == kind for task in left):
                bar.describe(f"embedding of {kind}")
                mapped = any(name not in WITHOUT_MAP for name, *_ in left)
                method = embedding if mapped else None
                views[kind] = _features(bench, rows, kind, method, seed, store, prior)
        bar.describe("searches")
        usual, target = target_of(bench)
        kept = [relu, usual, int(np.nanargmax(value)), *(first or [])]
        search = functools.partial(
            _search,
            value=value,
            relu=relu,
            budget=budget,
            seed=seed,
            first=first,
            share=share,
            kept=kept,
        )
        every = np.flatnonzero(np.isfinite(value))
        tasks = (
            (name, kind, trial, views.get(kind), rows if kind else every)
            for name, kind, trial in left
        )
        for key, evaluated in _map(search, tasks, workers, len(left)):
            done[key] = evaluated
            store.append(key, evaluated)
            bar.advance()
    found = {
        (name, kind): [done[name, kind, trial] for trial in range(trials)] for name, kind in wanted
    }
    starts = STARTS if first is None else len(first)
    return BenchRun(bench, budget, relu, usual, target, found, starts)


def _search(task, *, value, relu, budget, seed, first, share, kept):
    """One trial: the key of the task, and the functions evaluated in order."""
    name, kind, trial, features, rows = task
    position = np.full(len(value), -1)
    position[rows] = np.arange(len(rows))
    random = np.random.default_rng([seed, trial])
    searched = rows
    if share < 1:
        left = np.random.default_rng([seed, trial, 1]).random(len(rows)) < share
        searched = rows[left | np.isin(rows, kept)]
    evaluated = first
    if evaluated is None:
        evaluated = [
            relu,
            *random.choice(searched[searched != relu], STARTS - 1, replace=False),
        ]
    evaluated = list(evaluated)
    best = value[searched].max()
    while len(evaluated) < budget and value[evaluated].max() < best:
        known = position[evaluated]
        available = np.setdiff1d(position[searched], known, assume_unique=True)
        row = suggest(features, known, value[evaluated], available, name, seed=trial)
        evaluated.append(rows[row])
    return (name, kind, trial), np.array(evaluated, int)


def _map(function, tasks, workers, count):
    """Results of a function, in the order in which they arrive."""
    workers = min(workers or os.cpu_count() or 1, max(count, 1))
    if workers == 1:
        yield from map(function, tasks)
        return
    joblib = require("joblib", extra="search")
    jobs = (joblib.delayed(function)(task) for task in tasks)
    with (
        joblib.parallel_config(backend="loky", inner_max_num_threads=1),
        outcomes(jobs, workers, "2*n_jobs") as results,
    ):
        yield from results


def _positions(bench, functions, rows):
    """Positions of functions that a benchmark has among `rows`, each once."""
    found = []
    for function in functions:
        try:
            found.append(bench.index(function))
        except ValueError:
            continue
    found = [row for row in dict.fromkeys(found) if row in rows]
    if not found:
        raise ValueError(
            f"A search starts from one function or more that the benchmark '{bench.name}' has "
            f"with a valid spectrum. Received: {', '.join(functions) or 'none'}."
        )
    return found


def _features(bench, rows, kind, embedding, seed, store, prior):
    """The features of the functions that take part, with coordinates."""
    outputs = None if kind == "spectra" else bench.outputs[rows]
    cdfs = None if kind == "outputs" else bench.cdfs[rows]
    coordinates = store.coordinates(kind, len(rows))
    if coordinates is None and embedding is not None:
        method = "pca" if embedding == "pca" else FEATURE_SETS[kind]
        coordinates = embed(outputs, cdfs, weights=bench.weights, method=method, seed=seed)
        store.save_coordinates(kind, coordinates)
    expected = None if prior is None else prior.expected(bench.outputs[rows])
    features = CandidateFeatures(outputs, cdfs, bench.weights, coordinates, expected)
    _ = features.distances  # computed here, not by every worker
    return features


class _Store:
    """Trials as lines of JSON, and embeddings, in a folder for one benchmark and one setting."""

    def __init__(self, folder, bench, settings):
        self.folder = None if folder is None else make_folder(folder)
        if self.folder is None:
            return
        self._rows = set(range(len(bench)))
        settings = settings | {"bench": bench.name, "fingerprint": _fingerprint(bench)}
        path = self.folder / _SETTINGS
        if not path.exists():
            write_json(path, settings, checked=True)
        found = read_json(path, "Delete the folder to search again.")
        changed = [name for name in settings if found.get(name) != settings[name]]
        if changed:
            raise ValueError(
                f"{self.folder} has searches with other settings ({', '.join(changed)}). Choose "
                "another folder, or delete it."
            )

    def load(self):
        """The trials there are, by regressor, features and number."""
        found = {}
        folder: Any = self.folder
        for entry in read_lines(folder / _TRIALS) if folder else ():
            key = tuple(entry.get(name) for name in ("regressor", "features", "trial"))
            evaluated = entry.get("evaluated")
            if not isinstance(evaluated, list) or not set(evaluated) <= self._rows:
                raise DamagedFile(
                    folder / _TRIALS,
                    f"the trial {key} has functions that the benchmark has not",
                    "Delete the folder to search again.",
                )
            found[key] = np.array(evaluated, int)
        return found

    def append(self, key, evaluated):
        """Add a trial."""
        if self.folder is not None:
            entry = dict(zip(("regressor", "features", "trial"), key, strict=True))
            append_line(self.folder / _TRIALS, entry | {"evaluated": evaluated.tolist()})

    def coordinates(self, kind, candidates):
        """The embedding of a set of features, or None."""
        if self.folder is None:
            return None
        return read_coordinates(self.folder / f"embedding-{kind}.npz", candidates)

    def save_coordinates(self, kind, coordinates):
        """Keep an embedding."""
        if self.folder is not None:
            write_npz(self.folder / f"embedding-{kind}.npz", coordinates=coordinates)


def _check(regressors, features, budget, candidates, embedding):
    for names, table, what in (
        (regressors, REGRESSORS, "A regressor"),
        (features, FEATURE_SETS, "A set of features"),
        ((embedding,), ("umap", "pca"), "An embedding"),
    ):
        for name in names:
            if name not in table:
                raise ValueError(f"{what} is one of {', '.join(table)}. Received: '{name}'.")
    if not STARTS <= budget <= candidates:
        raise ValueError(
            f"The budget is at least the {STARTS} evaluations of the start, and at most the "
            f"{candidates} functions with a valid spectrum. Received: {budget}."
        )


def _fingerprint(bench):
    found = hashlib.sha256("\n".join(bench.functions).encode())
    found.update(np.ascontiguousarray(bench.score, "float64").tobytes())
    found.update(np.ascontiguousarray(bench.cdfs, "float32").tobytes())
    return found.hexdigest()[:16]
