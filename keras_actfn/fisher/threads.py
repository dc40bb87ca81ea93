"""A thread pool for NumPy work, with the BLAS at one thread in each worker.

Factors of different layers are computed side by side: that uses the cores better than a
threaded BLAS on one small matrix after another. The BLAS is limited with `threadpoolctl`
for the duration of the pool; without that library there is one worker and the BLAS keeps
its threads.
"""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np


@contextlib.contextmanager
def numpy_pool():
    """Yield a function `submit(function, *arguments)` that returns a future."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        limit, workers = contextlib.nullcontext(), 1
    else:
        limit, workers = threadpool_limits(1, user_api="blas"), _cores()
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
