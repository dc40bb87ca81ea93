"""Time and memory of the search's own work: embedding a pool, and one suggestion.

    KERAS_BACKEND=torch python benchmarks/search.py > benchmarks/search.txt

The pool has 5,000 random functions of the four-node space with their real outputs at 1,000
inputs, and made-up spectra of 13,692 bins in nine layers, as many as All-CNN-C has: logistic
distributions whose place and width depend on the function's moments, some with a step of zeros.
A process of its own embeds the pool by each method, so that numba's compilation is included.
Bars on two cores: the union in 90 s and 3 GB, one suggestion in 1 s.
"""

import os
import platform
import resource
import subprocess
import sys
import time

import numpy as np

CANDIDATES, KNOWN = 5_000, 100
BINS = (26, 829, 829, 1_658, 3_317, 3_317, 3_317, 368, 31)


def pool(seed=0):
    """Outputs (5,000, 1,000), spectra (5,000, 13,692) and the spectra's weights (13,692,)."""
    from keras_actfn.expressions import four_node
    from keras_actfn.expressions.unique import sampled_inputs
    from keras_actfn.fisher.spectrum import bin_weights

    random, space, inputs = np.random.default_rng(seed), four_node(), sampled_inputs(0)
    rows, seen = [], set()
    with np.errstate(all="ignore"):
        while len(rows) < CANDIDATES:
            row = np.asarray(space[int(random.integers(len(space)))](inputs), "float64")
            row = np.broadcast_to(row, inputs.shape).astype("float32")
            if np.isfinite(row).all() and row.tobytes() not in seen:
                seen.add(row.tobytes())
                rows.append(row)
    outputs = np.array(rows)
    power = np.log(np.mean(np.arcsinh(outputs.astype("float64")) ** 2, axis=1) + 1e-9)
    spectra = []
    for depth, bins in enumerate(BINS, start=1):
        edges = np.linspace(-100, 100, bins + 1)[1:]
        place = -10 + depth * power[:, None] + random.normal(size=(CANDIDATES, 1))
        width = np.exp(random.normal(0.5, 0.3, size=(CANDIDATES, 1)))
        zeros = random.choice([0.0, 0.3, 0.7], p=[0.6, 0.2, 0.2], size=(CANDIDATES, 1))
        slope = np.clip((edges - place) / width, -50, 50)
        spectra.append((zeros + (1 - zeros) / (1 + np.exp(-slope))).astype("float32"))
    return outputs, np.concatenate(spectra, axis=1), bin_weights(np.multiply(100, BINS), BINS)


def measure(method):
    """Embed the pool in this process and print the seconds and the peak of memory."""
    import keras_actfn.search.embedding as embedding

    outputs, cdfs, weights = pool()
    before = _resident_peak()
    start = time.perf_counter()
    places = embedding.embed(outputs, cdfs, weights=weights, method=method)
    seconds = time.perf_counter() - start
    assert np.isfinite(places).all()
    print(
        f"{'embedding ' + method:<28}{seconds:>9.2f}{_resident_peak():>9.2f}{before:>10.2f}"
        f"{os.getloadavg()[0]:>7.1f}",
        flush=True,
    )


def suggestions():
    """Print the seconds of the first and of the following suggestion of each regressor."""
    from keras_actfn.search.surrogate import REGRESSORS, CandidateFeatures, suggest

    features = CandidateFeatures.embedded(*pool(), method="pca")
    random = np.random.default_rng(0)
    order = random.permutation(CANDIDATES)
    values = random.random(KNOWN + 1)
    start = time.perf_counter()
    _ = features.distances
    print(f"{'preparing distances':<28}{time.perf_counter() - start:>9.2f}", flush=True)
    for name in REGRESSORS:
        seconds = []
        for known in (KNOWN, KNOWN + 1):
            start = time.perf_counter()
            suggest(features, order[:known], values[:known], order[known:], name)
            seconds.append(time.perf_counter() - start)
        print(
            f"{'suggestion ' + name:<28}{seconds[1]:>9.3f}   the first: {seconds[0]:.2f}"
            f"{os.getloadavg()[0]:>7.1f}",
            flush=True,
        )


def _resident_peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # Linux: kB


def main():
    """Print the tables."""
    import sklearn
    import umap

    print(
        f"Python {platform.python_version()}, NumPy {np.__version__}, scikit-learn "
        f"{sklearn.__version__}, umap-learn {umap.__version__}; {os.cpu_count()} cores. "
        f"{CANDIDATES:,} candidates,\n1,000 outputs and {sum(BINS):,} bins. 'memory' is the "
        "process's peak in GB, 'before' that of imports and\ndata, 'load' the machine's load "
        "average: above its cores, others ran too.\n"
    )
    print(f"{'':<28}{'seconds':>9}{'memory':>9}{'before':>10}{'load':>7}", flush=True)
    for method in ("union", "outputs", "spectra", "pca"):
        subprocess.run([sys.executable, __file__, method], check=True)
    print(f"\nOne suggestion with {KNOWN + 1} known candidates, fit included:", flush=True)
    suggestions()


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
