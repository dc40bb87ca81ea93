"""What stopping trainings early saves, on the curves of the atlas.

    KERAS_BACKEND=torch python benchmarks/fidelity.py > benchmarks/fidelity.txt

1. How well an early figure orders functions as the end does: Spearman's correlation over all
   functions with a valid spectrum, and over the best tenth at the end. The figures: the score after
   one epoch, after half of them, and minus the sum of the training losses up to there (SoTL, Ru et
   al. 2021, Speedy Performance Estimation for Neural Architecture Search).
2. What a random search has found for the cost of 20 whole trainings, as the share of the gap
   between the best usual function and the best: of 200 orders, the mean. "one epoch" looks at
   functions for one epoch, at three quarters of the cost, and ends those that lead; "half of the
   epochs" does so after half of them, and "sum of losses" by the training losses of that half.
   "median" and "halving" are the search's pruners, with Optuna's rules.
"""

import numpy as np
from scipy import stats

from keras_actfn import search
from keras_actfn.search.atlas.table import USUAL, normalised

TRAININGS, ORDERS, STARTUP, FACTOR = 20, 200, 5, 4


def whole(curves, losses, order, budget):
    """Train to the end, one after the other."""
    return order[: budget // curves.shape[1]], budget


def median(curves, losses, order, budget):
    """Optuna's MedianPruner: five trainings first; then the best so far, below the median, ends."""
    ended, cost = [], 0
    epochs = curves.shape[1]
    for row in order:
        stopped = None
        for epoch in range(epochs - 1):
            known = [curves[other, epoch] for other in ended]
            best = curves[row, : epoch + 1].max()
            if len(ended) >= STARTUP and best < np.median(known):
                stopped = epoch + 1
                break
        cost += stopped or epochs
        if cost > budget:
            break
        if stopped is None:
            ended.append(row)
    return ended, budget


def halving(curves, losses, order, budget):
    """Optuna's SuccessiveHalvingPruner: after epochs 1, 4, 16, … the best quarter goes on."""
    ended, cost = [], 0
    epochs = curves.shape[1]
    rungs = [FACTOR**i for i in range(10) if FACTOR**i < epochs]
    seen = {rung: [] for rung in rungs}
    for row in order:
        stopped = None
        for rung in rungs:
            value = curves[row, rung - 1]
            seen[rung].append(value)
            place = max(len(seen[rung]) // FACTOR - 1, 0)
            if value < np.sort(seen[rung])[::-1][place]:
                stopped = rung
                break
        cost += stopped or epochs
        if cost > budget:
            break
        if stopped is None:
            ended.append(row)
    return ended, budget


def leaders(figure_of, epochs_of):
    """Look at functions for some epochs, at 3/4 of the budget; the leaders by a figure end."""

    def rule(curves, losses, order, budget):
        epochs = curves.shape[1]
        first = epochs_of(epochs)
        looked = order[: budget * 3 // 4 // first]
        figure = figure_of(curves, losses, first)[looked]
        spent = first * len(looked)
        ends = max((budget - spent) // max(epochs - first, 1), 1)
        return looked[np.argsort(-figure, kind="stable")[:ends]], budget

    return rule


def score_after(curves, losses, epoch):
    """The score after an epoch."""
    return curves[:, epoch - 1]


def sum_of_losses(curves, losses, epoch):
    """Minus the sum of the training losses up to an epoch."""
    total = -losses[:, :epoch].sum(1)
    return np.where(np.isfinite(total), total, -np.inf)


def half(epochs):
    """Half of the epochs, or one."""
    return max(epochs // 2, 1)


RULES = {
    "whole": whole,
    "one epoch": leaders(score_after, lambda epochs: 1),
    "half of the epochs": leaders(score_after, half),
    "sum of losses": leaders(sum_of_losses, half),
    "median": median,
    "halving": halving,
}


def main():
    """Print the tables."""
    figures, found, names = {}, {}, []
    for name in search.bench_names():
        bench = search.bench(name)
        rows = np.flatnonzero(bench.valid & np.isfinite(bench.score))
        curves, losses = bench.curves[rows], bench.loss_curves[rows]
        if curves.shape[1] < 3 or not np.isfinite(curves).all():
            print(f"{name}: left out, it has no curves of three epochs or more for all functions")
            continue
        names.append(f"{name} ({curves.shape[1]})")
        score, epochs = bench.score[rows], curves.shape[1]
        top = score >= np.quantile(score, 0.9)
        usual = [bench.index(f) for f in USUAL]
        gains = normalised(bench.score, usual)[rows]
        early = {
            "score after epoch 1": curves[:, 0],
            "score after half": score_after(curves, losses, half(epochs)),
            "SoTL of epoch 1": sum_of_losses(curves, losses, 1),
            "SoTL of half": sum_of_losses(curves, losses, half(epochs)),
            "SoTL of all": sum_of_losses(curves, losses, epochs),
        }
        for label, value in early.items():
            pair = [
                stats.spearmanr(value[part], score[part]).statistic for part in (top | True, top)
            ]
            figures.setdefault(label, []).append(pair)
        for label, rule in RULES.items():
            best = []
            for order in range(ORDERS):
                shuffled = np.random.default_rng(order).permutation(len(rows))
                ended, _ = rule(curves, losses, shuffled, TRAININGS * epochs)
                best.append(gains[ended].max() if len(ended) else -1.0)
            mean = np.mean(best)
            found.setdefault(label, []).append((mean, 1.96 * np.std(best, ddof=1) / ORDERS**0.5))
    if not names:
        return
    print("\nSpearman's correlation with the final score, all functions / the best tenth:")
    print(f"{'':<22}" + "".join(f"{name:>20}" for name in names))
    for label, pairs in figures.items():
        print(f"{label:<22}" + "".join(f"{f'{a:.2f} / {b:.2f}':>20}" for a, b in pairs))
    print(f"\nShare of the gap closed for the cost of {TRAININGS} trainings, ± 95 %:")
    print(f"{'':<22}" + "".join(f"{name:>20}" for name in names) + f"{'mean':>8}")
    for label, values in found.items():
        line = "".join(f"{f'{mean:.2f} ± {width:.2f}':>20}" for mean, width in values)
        print(f"{label:<22}{line}{np.mean([mean for mean, _ in values]):>8.2f}")


if __name__ == "__main__":
    main()
