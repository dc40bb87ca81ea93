"""Results of joblib's processes, none of which goes on when the work is interrupted."""

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from .._optional import require


@contextlib.contextmanager
def outcomes(jobs: Iterable, workers: int, dispatched: str = "3*n_jobs") -> Iterator[Iterator[Any]]:
    """The results of jobs, in the order in which they come.

    Whatever ends the `with` block early, an interrupt above all, ends joblib's processes as well
    before it goes on: none is left to write, or to keep memory until it has waited long enough.

    Args:
        jobs: What `joblib.delayed` gives.
        workers: Processes; -1 for one a core.
        dispatched: How many jobs are handed out ahead, as joblib's `pre_dispatch`.

    Example:
    ```python
    import joblib

    with outcomes((joblib.delayed(abs)(-n) for n in range(3)), workers=2) as results:
        print(sorted(results))  # [0, 1, 2]
    ```
    """
    joblib = require("joblib", extra="search")
    parallel = joblib.Parallel(
        n_jobs=workers, return_as="generator_unordered", pre_dispatch=dispatched, batch_size=1
    )
    results = parallel(jobs)
    try:
        yield results
    finally:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*unnecessary computation")
            results.close()
