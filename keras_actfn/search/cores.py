"""The cores of a machine, shared out among the workers of a search.

A backend takes all cores for itself unless it is told otherwise. Several workers that each do so
are slower together than one alone: PyTorch's threads wait for each other while they keep the core
that the other needs.
"""

import contextlib
import os
import sys
from collections.abc import Iterator

#: What the backends and NumPy's libraries read, when they start, as their number of threads.
#: `NPROC` is JAX's.
VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "NPROC",
)


def cores() -> int:
    """The number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


def share(workers: int) -> int:
    """The number of threads of each of several workers on this machine, at least one.

    Args:
        workers: Their number; -1, as joblib has it, for one a core.
    """
    return max(1, cores() // workers) if workers > 0 else 1


def environment(threads: int) -> dict[str, str]:
    """Environment variables for a worker with this many threads; those that are set stay."""
    return {name: os.environ.get(name, str(threads)) for name in VARIABLES}


def take(threads: int) -> None:
    """Let this process use a number of threads from here on.

    PyTorch can change its number at any time, JAX and TensorFlow until their first operation.
    """
    os.environ.update(environment(threads))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@contextlib.contextmanager
def shared_among(workers: int) -> Iterator[int]:
    """Take this process's share for as long as it is one of several workers.

    Args:
        workers: Their number; with one, nothing changes.

    Yields:
        The number of threads of each.
    """
    if workers == 1:
        yield cores()
        return
    torch, before = sys.modules.get("torch"), dict(os.environ)
    threads = torch and torch.get_num_threads()
    take(share(workers))
    try:
        yield share(workers)
    finally:
        for name in VARIABLES:
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]
        if torch:
            torch.set_num_threads(threads)
