"""How well the other tasks order the functions of a task that is left out, by the prior's settings.

    KERAS_BACKEND=torch python benchmarks/atlas_prior.py > benchmarks/atlas_prior.txt

Spearman's correlation of the mean expectation of the other tasks (`search/atlas/prior.py`) with the
scores of the task left out, over its functions with a valid spectrum / over the best tenth of them;
means over tasks. `SCALE` and `NOISE` of the prior are chosen here.
"""

import numpy as np
from scipy import stats

from keras_actfn import search
from keras_actfn.search.atlas.prior import AtlasPrior
from keras_actfn.search.atlas.table import Atlas

SCALES, NOISES = (0.1, 0.3, 1.0), (0.1, 0.3, 1.0)


def main():
    """Print the table."""
    benches = [search.bench(name) for name in search.bench_names()]
    atlas = Atlas.of(benches)
    print(f"{len(benches)} tasks: " + ", ".join(f"{b.name} ({len(b):,})" for b in benches))
    print(f"{'scale':>6}" + "".join(f"{f'noise {noise}':>16}" for noise in NOISES))
    for scale in SCALES:
        line = f"{scale:>6}"
        for noise in NOISES:
            found = []
            for bench in benches:
                rows = np.flatnonzero(bench.valid & np.isfinite(bench.score))
                prior = AtlasPrior(atlas.without([bench.name]), scale, noise)
                expected, score = prior.expected(bench.outputs[rows]).mean(1), bench.score[rows]
                top = score >= np.quantile(score, 0.9)
                parts = (np.ones_like(top), top)
                found.append([stats.spearmanr(expected[p], score[p]).statistic for p in parts])
            everything, best = np.mean(found, axis=0)
            line += f"{f'{everything:.3f} / {best:.3f}':>16}"
        print(line)


if __name__ == "__main__":
    main()
