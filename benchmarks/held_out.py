"""Searches on functions that were not there when the project's own regressor was made.

    KERAS_BACKEND=torch python benchmarks/held_out.py > benchmarks/held_out.txt

The form and scales of `distance_gp` were chosen on the first 680 functions of the benchmark, in
the order of their training (`atlas/fashion_cnn.jsonl.gz`). These are left out
here but for ReLU, from which every search begins.
"""

import dataclasses
import gzip
import json
import os
from pathlib import Path

import numpy as np

from keras_actfn.search import bench as read_bench
from keras_actfn.search.benchmarks.run import run_bench

SEEN = 680
REGRESSORS = ("distance_gp", "knr", "random")


def first_trained(count):
    """The functions of the benchmark that were trained first."""
    with gzip.open(Path(__file__).with_name("atlas") / "fashion_cnn.jsonl.gz", "rt") as lines:
        order = dict.fromkeys(json.loads(line)["function"] for line in lines)
    return set(list(order)[:count])


def without(bench, functions):
    """The benchmark without some functions; ReLU stays."""
    left = np.array([function not in functions for function in bench.functions])
    left[bench.index("relu")] = True
    (rows,) = left.nonzero()
    return dataclasses.replace(
        bench,
        name=f"{bench.name}, held out",
        functions=tuple(bench.functions[row] for row in rows),
        equivalents=tuple(bench.equivalents[row] for row in rows),
        runs={name: values[rows] for name, values in bench.runs.items()},
        cdfs=bench.cdfs[rows],
    )


def main():
    """Search and print the table."""
    bench = read_bench("fashion_cnn")
    rest = without(bench, first_trained(SEEN))
    print(f"{len(rest):,} of {len(bench):,} functions; {os.cpu_count()} cores; seed 0")
    run = run_bench(rest, regressors=REGRESSORS, progress=False)
    print(run.text())


if __name__ == "__main__":
    main()
