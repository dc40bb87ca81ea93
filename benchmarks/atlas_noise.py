"""How much of each task's gap is noise, and what the noise leaves to any search.

    KERAS_BACKEND=torch python benchmarks/atlas_noise.py > benchmarks/atlas_noise.txt

The gap is that between the best usual function and the best of all, the noise σ the standard
deviation between seeds (`ActBench.noise`). `tied` counts the functions within σ of the best.

The rest looks at the target of `bench run --leave-one-out`, the best function of a table, from what
somebody would know who had trained everything on the same task already:

other seeds   the place of seed 0's best function, and of the first of its best hundredth, in the
              order of the means over the other seeds. Only the functions with several seeds take
              part, which are the best of seed 0.
oracle        the same in the order of the table, for a table with fresh noise σ on every function
              that learns: the median and the 90 % quantile of 1,000 tables. Since the order has
              noise in it already, its functions lie further apart than in truth, and the number is
              rather too small.
"""

import numpy as np

from keras_actfn import search
from keras_actfn.search.benchmarks.results import target_of

DRAWS = 1000


def positions(order_by, table):
    """Places, from 1, of the table's best function and of the first of its best hundredth."""
    places = np.empty(len(table), int)
    places[np.argsort(-order_by, kind="stable")] = np.arange(1, len(table) + 1)
    hundredth = table >= np.quantile(table, 0.99)
    return places[np.argmax(table)], places[hundredth].min()


def main():
    """Print the table."""
    print(
        f"{'task':<16}{'valid':>6}{'gap':>9}{'noise':>9}{'gap/noise':>11}{'tied':>6}"
        f"{'several seeds':>15}{'other seeds: best':>19}{'top 1 %':>9}"
        f"{'oracle: best':>14}{'90 %':>6}{'top 1 %':>9}"
    )
    for name in search.bench_names():
        bench = search.bench(name)
        rows = np.flatnonzero(bench.valid & np.isfinite(bench.score))
        score, seeds = bench.score[rows], bench.seed_scores()[rows]
        usual, _ = target_of(bench)
        gap, noise = score.max() - bench.score[usual], bench.noise
        line = f"{name:<16}{len(rows):>6,}{gap:>9.3g}"
        if np.isnan(noise):
            print(f"{line}{'?':>9}{'?':>11}{'?':>6}{0:>15}")
            continue
        several = np.isfinite(seeds[:, 0]) & (np.isfinite(seeds).sum(1) > 1)
        best, top = positions(np.nanmean(seeds[several, 1:], axis=1), seeds[several, 0])
        rng = np.random.default_rng(0)
        learn = score > bench._floor(score)
        found = [
            positions(score[learn], score[learn] + noise * rng.normal(size=learn.sum()))
            for _ in range(DRAWS)
        ]
        oracle = np.median(found, axis=0)
        late = np.quantile([place for place, _ in found], 0.9)
        print(
            f"{line}{noise:>9.3g}{gap / noise:>11.2f}{(score >= score.max() - noise).sum():>6}"
            f"{several.sum():>15}{best:>19}{top:>9}{oracle[0]:>14.0f}{late:>6.0f}{oracle[1]:>9.0f}"
        )


if __name__ == "__main__":
    main()
