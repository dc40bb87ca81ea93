"""Build the project's own benchmark: every function of a space, trained; resumable.

Results are lines of JSON with a checksum, one a training, appended to `results.jsonl` by one
process as they arrive. The training of a line that is damaged or was cut off by a kill is repeated.
Trainings run in a random but fixed order, functions with Bessel operators last: PyTorch takes ten
times as long for those.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..._files import DamagedFile, append_line, read_lines
from ..._optional import require
from ..._progress import Progress
from ...expressions import SearchSpace, three_node
from ..outcomes import outcomes
from .tasks import BenchRecipe, train_function

FILE = "results.jsonl"


def bench_functions(space: SearchSpace | None = None) -> list[str]:
    """The unique functions of a space (three-node if None) whose outputs are finite, as texts."""
    unique = (space or three_node()).unique()
    return [str(unique.expressions[i]) for i in np.flatnonzero(unique.valid)]


def read_results(folder: str | os.PathLike) -> dict[tuple[str, int], dict]:
    """The finished trainings in a folder, by function and seed."""
    found = {}
    path = Path(folder) / FILE
    for result in read_lines(path):
        if not {"function", "seed", "validation_accuracy"} <= set(result):
            raise DamagedFile(path, "a line is not a training", "Move it away.")
        found[result["function"], result["seed"]] = result
    return found


def build_bench(
    folder: str | os.PathLike,
    functions: Iterable[str] | None = None,
    seeds: Sequence[int] = (0,),
    workers: int | None = None,
    limit: int | None = None,
    progress: bool = True,
) -> dict[tuple[str, int], dict]:
    """Train functions with seeds and append what is missing in `folder`.

    Args:
        folder: Where `results.jsonl` is or will be.
        functions: Texts of expressions; None for `bench_functions()`.
        seeds: Seeds; all functions are trained with the first before any with the second.
        workers: Processes; None for one a core.
        limit: Train at most so many now; None for all.
        progress: Whether to show a bar.

    Returns:
        `read_results(folder)` at the end.
    """
    joblib = require("joblib", extra="search")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    functions = bench_functions() if functions is None else list(functions)
    order = sorted(
        np.random.default_rng(0).permutation(len(functions)), key=lambda i: "bessel" in functions[i]
    )
    done = read_results(folder)
    tasks = [
        (functions[i], seed) for seed in seeds for i in order if (functions[i], seed) not in done
    ][:limit]
    workers = workers or os.cpu_count() or 1
    path = folder / FILE
    jobs = (joblib.delayed(_task)(*task, seeds[0]) for task in tasks)
    with (
        joblib.parallel_config(backend="loky", inner_max_num_threads=1),
        Progress(len(tasks), progress) as bar,
        outcomes(jobs, workers) as results,
    ):
        bar.describe("trainings")
        for result in results:
            append_line(path, result)
            bar.advance()
    return read_results(folder)


def _task(function, seed, first_seed):
    import torch

    torch.set_num_threads(1)
    return train_function(function, seed, BenchRecipe(), spectrum=seed == first_seed)
