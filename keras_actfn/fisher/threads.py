"""A thread pool for NumPy work, with the BLAS at one thread in each worker.

Factors of different layers are computed side by side: that uses the cores better than a
threaded BLAS on one small matrix after another. The BLAS is limited with `threadpoolctl`
while any pool is open, whichever thread opened it; without that library there is one worker
and the BLAS keeps its threads.
"""

import contextlib
import importlib.util
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np


class _BlasAtOneThread:
    """Limits the BLAS of the process from the first of its contexts until the last ends."""

    def __init__(self):
        self._lock = threading.Lock()
        self._open = 0
        self._limit: Any = None

    def __enter__(self):
        from threadpoolctl import threadpool_limits

        with self._lock:
            if not self._open:
                self._limit = threadpool_limits(1, user_api="blas")
            self._open += 1

    def __exit__(self, *exception):
        with self._lock:
            self._open -= 1
            if not self._open:
                self._limit.restore_original_limits()


_BLAS = _BlasAtOneThread()


@contextlib.contextmanager
def numpy_pool() -> Iterator[Callable[..., Future]]:
    """Yield a function `submit(function, *arguments)` that returns a future."""
    known = importlib.util.find_spec("threadpoolctl") is not None
    limit, workers = (_BLAS, _cores()) if known else (contextlib.nullcontext(), 1)
    with limit, ThreadPoolExecutor(workers) as executor:

        def submit(function, *arguments):
            return executor.submit(_quietly, function, *arguments)

        yield submit


def _quietly(function, *arguments):
    # Overflow and NaN are results here: they make a spectrum invalid.
    with np.errstate(all="ignore"):
        return function(*arguments)


def _cores():
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
