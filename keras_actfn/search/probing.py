"""Spectra of many functions, by this process or several, kept in a store as they come."""

import contextlib
import dataclasses
import functools
import itertools
import math
import os
import pickle
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import keras

from .._optional import require
from .cores import share, take
from .feature_store import FeatureStore
from .outcomes import outcomes
from .probe import Probe

#: Results are written when there are this many, or when this many seconds have passed.
SHARD_RESULTS, SHARD_SECONDS = 16, 20.0


def probe_many(
    probe: Probe,
    pool: Any,
    ids: Iterable[int],
    store: FeatureStore,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    until: float = math.inf,
) -> int:
    """Probe functions of a pool and keep the results in a store.

    Functions in the store are skipped. Results are written a few at a time, so that a kill
    loses little, and an interrupt nothing.

    With `workers` other than 1 the work goes to joblib: to processes on this machine, or to the
    cluster that a `joblib.parallel_config` around the call names. With Dask (`pip install
    keras-actfn[dask]`; workers of one thread each):

    ```python
    client = dask.distributed.Client("scheduler:8786")
    with joblib.parallel_config("dask"):
        probe_many(probe, pool, ids, store, workers=-1)
    ```

    With Ray (`keras-actfn[ray]`), whose joblib backend returns lists only, so that results are
    kept after each round of four functions a process:

    ```python
    ray.init("auto")
    register_ray()  # from ray.util.joblib
    with joblib.parallel_config("ray"):
        probe_many(probe, pool, ids, store, workers=-1)
    ```

    Args:
        probe: A `Probe`; with several workers, its `build_model` must be picklable by cloudpickle,
            as functions and lambdas are. Modules that it names are found where this process finds
            them, and in the current folder.
        pool: A `Pool`.
        ids: Numbers of functions.
        store: A `FeatureStore`.
        workers: Processes; −1 for one a core. Each takes its share of the cores.
        progress: Called with the numbers of functions done and to do, after each.
        until: Time of `time.monotonic` from which on no further result is waited for.

    Returns:
        How many functions were probed.

    Raises:
        ValueError: If joblib is set to threads or forks, or workers run another backend or cannot
            load the builder.
        Exception: See `Probe.result`.
    """
    present = store.ids()
    missing = [number for number in dict.fromkeys(map(int, ids)) if number not in present]
    tasks = ((number, pool.expression(number).name, i > 0) for i, number in enumerate(missing))
    if workers == 1 or len(missing) < 2:
        found = contextlib.nullcontext(_result(probe, *task) for task in tasks)
    else:
        found = _distributed(probe, tasks, workers)
    done = 0
    with _Shards(store) as shards, found as results:
        for result in results:
            shards.add(result)
            done += 1
            if progress is not None:
                progress(done, len(missing))
            if time.monotonic() >= until:
                break
    return done


def _distributed(probe, tasks, workers):
    joblib = require("joblib", extra="search")
    active, _ = joblib.parallel.get_active_backend()
    forks = type(active) is joblib.parallel.MultiprocessingBackend
    if forks or getattr(active, "supports_sharedmem", False):
        raise ValueError(
            "Spectra are computed by processes that are no forks, since a backend that is imported "
            f"does not survive one. Received joblib's {type(active).__name__}. Use its default, "
            "'loky', or 'dask' or 'ray'."
        )
    shipped = _Shipped.of(probe, share(workers))
    jobs = (joblib.delayed(_task)(shipped, *task) for task in tasks)
    if not active.supports_return_generator:
        return contextlib.closing(_in_rounds(joblib, jobs, workers))
    return outcomes(jobs, workers)


def _in_rounds(joblib, jobs, workers):
    """The results of a joblib backend that returns lists only, a few for each process at a time."""
    with joblib.Parallel(n_jobs=workers, batch_size=1) as parallel:
        size = 4 * joblib.effective_n_jobs(workers)
        while some := list(itertools.islice(jobs, size)):
            yield from parallel(some)


@dataclasses.dataclass(frozen=True, eq=False)
class _Shipped:
    """A `Probe` for another process, which may not find the builder's module by itself.

    Attributes:
        content: The pickled `Probe`, which is loaded when `path` is in force.
        path: Where this process looks for modules.
        backend: Keras's backend here.
        threads: Threads of the other process.
    """

    content: bytes
    path: tuple[str, ...]
    backend: str
    threads: int

    @classmethod
    def of(cls, probe, threads):
        wrapper = require("joblib.externals.loky.cloudpickle_wrapper", extra="search")
        return cls(wrapper.dumps(probe), (*sys.path, os.getcwd()), keras.backend.backend(), threads)

    def load(self):
        if keras.backend.backend() != self.backend:
            raise ValueError(
                f"Workers compute on the backend of the search, '{self.backend}'. Received a "
                f"worker with '{keras.backend.backend()}'. Start workers with "
                f"KERAS_BACKEND={self.backend}."
            )
        take(self.threads)
        sys.path.extend(folder for folder in self.path if folder not in sys.path)
        try:
            return _loaded(self.content)
        except (ImportError, AttributeError) as error:
            raise ValueError(
                "A worker imports the modules that build_model names. Received in a worker: "
                f"{error}. Put the module into the current folder or into PYTHONPATH."
            ) from error


@functools.lru_cache(maxsize=1)
def _loaded(content):
    return pickle.loads(content)


def _task(shipped, number, text, quiet):
    """Probe one function in another process."""
    return _result(shipped.load(), number, text, quiet)


def _result(probe, number, text, quiet):
    """Probe one function, in whatever process; `quiet` as the first one has warned already."""
    with warnings.catch_warnings():
        if quiet:
            warnings.filterwarnings("ignore", "The Fisher spectrum leaves out")
        return probe.result(text, number)


class _Shards:
    """Collects results and writes them to a store in small groups, the last one in any case."""

    def __init__(self, store):
        self._store = store
        self._results = []
        self._written = time.monotonic()

    def __enter__(self):
        return self

    def add(self, result):
        self._results.append(result)
        late = time.monotonic() - self._written > SHARD_SECONDS
        if late or len(self._results) >= SHARD_RESULTS:
            self._write()

    def __exit__(self, *error):
        self._write()

    def _write(self):
        results, self._results = self._results, []
        self._store.append(results)
        self._written = time.monotonic()
