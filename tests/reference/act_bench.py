"""A small benchmark with known answers: accuracy is a smooth function of two coefficients."""

import itertools

import numpy as np

from keras_actfn.fisher.spectrum import bin_weights
from keras_actfn.search.benchmarks.act_bench import ActBench
from keras_actfn.search.benchmarks.published import MEASURES

BINS, PARAMETERS = (20, 30), (2000, 3000)


def synthetic_bench(side=9, seed=0):
    """Functions a relu(x) + b tanh(x), a and b on a grid in [0, 1]; best: a = 0.75, b = 0.5.

    relu itself (a = 1, b = 0) is one of them. The first function has no valid spectrum.
    """
    grid = np.linspace(0, 1, side)
    pairs = np.array(list(itertools.product(grid, grid)))
    pairs = pairs[np.random.default_rng(seed).permutation(len(pairs))]
    a, b = pairs.T
    accuracy = 0.9 - 0.3 * (a - 0.75) ** 2 - 0.4 * (b - 0.5) ** 2
    functions = tuple(f"add(mul({x:.6g},relu(x)),mul({y:.6g},tanh(x)))" for x, y in pairs)
    cdfs = np.concatenate(
        [
            1 / (1 + np.exp(-(np.arange(bins) - bins * (0.3 + 0.4 * place[:, None]))))
            for bins, place in zip(BINS, (a, b), strict=True)
        ],
        axis=1,
    ).astype("float32")
    cdfs[0] = np.nan
    runs = {name: np.full((len(a), 1), np.nan) for name in MEASURES}
    runs["validation_accuracy"] = accuracy[:, None]
    runs["test_accuracy"] = accuracy[:, None] - 0.01
    return ActBench(
        "synthetic",
        functions,
        tuple((f,) for f in functions),
        runs,
        cdfs,
        bin_weights(PARAMETERS, BINS),
    )
