"""Train the atlas: every function of the three-node space on every task; resumable.

Results are lines of JSON with a checksum, one a training, appended to `TASK.jsonl` by one process
as they arrive. The training of a line that is damaged or was cut off by a kill is repeated.

The order of the functions is the same on all tasks, so that whatever is done is common to them:
the usual functions, then all others in a random but fixed order, those with Bessel operators last,
as PyTorch takes ten times as long for them. Tasks take turns (`STAGES`).
"""

import functools
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..._drafts import make_folder
from ..._files import DamagedFile, append_line, read_lines
from ..._optional import require
from ..._progress import Progress
from ...expressions import SearchSpace, three_node
from ..loop import BASELINES
from ..outcomes import outcomes
from .packed import bench
from .tasks import TASKS, task_of, train_function

#: What is trained one after the other, each on all tasks: the first so many functions with one
#: seed, or the best so many, with the usual ones, with two more. None: all functions.
STAGES = (
    ("first", 500),
    ("best", 20),
    ("first", 1000),
    ("first", None),
    ("best", 100),
)
SEEDS = (0, 1, 2)


def bench_functions(space: SearchSpace | None = None) -> list[str]:
    """The unique functions of a space (three-node if None) whose outputs are finite, as texts."""
    unique = (space or three_node()).unique()
    return [str(unique.expressions[i]) for i in np.flatnonzero(unique.valid)]


@functools.lru_cache(maxsize=1)
def atlas_functions() -> tuple[str, ...]:
    """The functions of `bench_functions()` in the order in which the atlas is trained."""
    known = bench("fashion_cnn")  # Reading them takes no time, enumerating them many seconds.
    usual = [known.functions[known.index(name)] for name in BASELINES]
    order = np.random.default_rng(0).permutation(len(known))
    others = sorted((known.functions[i] for i in order), key=lambda text: "bessel" in text)
    return tuple(dict.fromkeys([*usual, *others]))


def results_file(folder: str | os.PathLike, task: str) -> Path:
    """Where the trainings of a task are."""
    return Path(folder) / f"{task}.jsonl"


def read_results(folder: str | os.PathLike, task: str) -> dict[tuple[str, int], dict]:
    """The finished trainings of a task in a folder, by function and seed."""
    found = {}
    path = results_file(folder, task)
    needed = {"function", "seed", "diverged", f"validation_{task_of(task).metric}"}
    for result in read_lines(path):
        if not needed <= set(result):
            raise DamagedFile(path, "a line is not a training of this task", "Move it away.")
        found[result["function"], result["seed"]] = result
    return found


def build_bench(
    folder: str | os.PathLike,
    tasks: Iterable[str] | None = None,
    functions: int | None = None,
    workers: int | None = None,
    limit: int | None = None,
    progress: bool = True,
) -> dict[str, int]:
    """Train what the stages say and is missing in `folder`.

    Args:
        folder: Where the `TASK.jsonl` are or will be.
        tasks: Names in `TASKS`; all if None.
        functions: Train only the first so many of `atlas_functions()`; all if None.
        workers: Processes; None for one a core.
        limit: Train at most so many now; None for all.
        progress: Whether to show a bar.

    Returns:
        The number of trainings in the folder, by task.
    """
    joblib = require("joblib", extra="search")
    folder = make_folder(folder)
    names = list(TASKS if tasks is None else tasks)
    workers = workers or os.cpu_count() or 1
    done = {name: read_results(folder, name) for name in names}
    for kind, count in STAGES:
        for name in names:
            missing = _missing(kind, count, functions, done[name], task_of(name).mode, name)
            if limit is not None:
                missing = missing[:limit]
                limit -= len(missing)
            jobs = (joblib.delayed(_train)(name, *each) for each in missing)
            with (
                joblib.parallel_config(backend="loky", inner_max_num_threads=1),
                Progress(len(missing), progress and bool(missing)) as bar,
                outcomes(jobs, workers) as results,
            ):
                bar.describe(f"{name}, {kind} {count or 'all'}")
                for result in results:
                    append_line(results_file(folder, name), result)
                    done[name][result["function"], result["seed"]] = result
                    bar.advance()
    return {name: len(found) for name, found in done.items()}


def _missing(kind, count, functions, done, mode, name):
    """Functions and seeds of a stage that are not trained yet."""
    first = atlas_functions()[:functions]
    if kind == "first":
        wanted = [(function, SEEDS[0]) for function in first[:count]]
    else:
        found = [(done[f, SEEDS[0]], f) for f in first if (f, SEEDS[0]) in done]
        usual = atlas_functions()[: len(BASELINES)]
        best = [*_ranked(found, mode, f"validation_{task_of(name).metric}")[:count], *usual]
        wanted = [(f, seed) for seed in SEEDS[1:] for f in dict.fromkeys(best) if f in first]
    return [each for each in wanted if each not in done]


def _ranked(results, mode, measure):
    """Functions, the best first; the diverged are last."""
    sign = -1 if mode == "max" else 1

    def key(pair):
        value = pair[0][measure]
        failed = pair[0]["diverged"] or value is None
        return failed, 0.0 if failed else sign * value

    return [function for _, function in sorted(results, key=key)]


def _train(name: str, function: str, seed: int) -> dict:
    import torch

    torch.set_num_threads(1)
    return train_function(name, function, seed, spectrum=seed == SEEDS[0])


def train_again(task: str, function: str, seed: int = 0) -> dict:
    """The line of `TASK.jsonl` of one training, made again."""
    return _train(task, function, seed)
