"""Are the gains that `recommend` expects calibrated, and is an order by spectra any better?

    KERAS_BACKEND=torch python benchmarks/recommend.py > benchmarks/recommend.txt

Each task of the atlas is left out in turn. Functions and expectations come from the other tasks
alone; gains are those of the task that was left out. Functions with an invalid spectrum there are
left out, as `recommend` does.
"""

import numpy as np
from scipy import stats

from keras_actfn import search
from keras_actfn.search.atlas.expectation import expectation, gains_over_relu
from keras_actfn.search.atlas.portfolio import greedy
from keras_actfn.search.atlas.table import USUAL, Atlas, normalised

LEVELS = (0.5, 0.8, 0.9)
SIZES = (8, 24)


def proxies(bench, rows, relu):
    """Figures of the untrained network's spectra, more being expected to be better, by name."""
    cdfs, weights = bench.cdfs, bench.weights
    if not cdfs.shape[1]:
        return {}
    weights = np.ones(cdfs.shape[1]) if weights is None else weights
    mean = -(cdfs[rows] * weights).sum(1)  # the mean log-eigenvalue, up to a constant
    distance = (np.abs(cdfs[rows] - cdfs[relu]) * weights).sum(1)
    return {
        "near ReLU": -distance,
        "far from ReLU": distance,
        "small eigenvalues": -mean,
        "large eigenvalues": mean,
    }


def main():
    """Print the tables."""
    benches = [search.bench(name) for name in search.bench_names()]
    atlas = Atlas.of(benches)
    everything = gains_over_relu(atlas)
    print(f"{len(benches)} tasks: " + ", ".join(f"{b.name} ({len(b):,})" for b in benches))
    if len(benches) < 3:
        print("An interval needs two tasks beside the one that is left out.")
        return
    held = {level: [] for level in LEVELS}
    ranges, called, orders = [], [], {}
    for column, bench in enumerate(benches):
        others = atlas.without([bench.name])
        learned = gains_over_relu(others)
        valid = {bench.functions[i] for i in np.flatnonzero(bench.valid)}
        usual = [f"{name}(x)" for name in USUAL]
        names = dict.fromkeys([*greedy(others, max(SIZES)), *usual])
        rows = [
            (others.names.index(name), atlas.names.index(name))
            for name in names
            if name in others.names and name != "relu(x)"
        ]
        rows = [
            (of, at)
            for of, at in rows
            if np.isfinite(everything[at, column]) and atlas.functions[at] in valid
        ]
        true = np.array([everything[at, column] for _, at in rows])
        for level in LEVELS:
            found = [expectation(learned[of], level) for of, _ in rows]
            inside = [e.low <= gain <= e.high for e, gain in zip(found, true, strict=True)]
            held[level].append(np.mean(inside))
        least, most = np.nanmin(learned, axis=1), np.nanmax(learned, axis=1)
        ranges.append(
            np.mean([least[of] <= g <= most[of] for (of, _), g in zip(rows, true, strict=True)])
        )
        expected = np.array([expectation(learned[of]).mean for of, _ in rows])
        called += [
            (expectation(learned[of]).evidence, gain)
            for (of, _), gain in zip(rows, true, strict=True)
        ]
        position = {text: i for i, text in enumerate(bench.functions)}
        places = [position[atlas.functions[at]] for _, at in rows]
        shown = {"expected gain": expected}
        shown |= proxies(bench, places, bench.index("relu"))
        score = bench.score
        gains = normalised(score, [bench.index(name) for name in USUAL if name in atlas.usual])
        for name, value in shown.items():
            mixed = {name: value}
            if name != "expected gain":
                ranks = stats.rankdata(value) + stats.rankdata(expected)
                mixed[f"expected gain + {name}"] = ranks
            for label, order in mixed.items():
                first = np.argsort(-order, kind="stable")
                orders.setdefault(label, []).append(
                    (
                        stats.spearmanr(order, true).statistic,
                        true[first[0]],
                        true[first[:5]].max(),
                        gains[np.array(places)[first[:5]]].max(),
                    )
                )
    print("\nShare of the gains over ReLU on the task left out that an interval holds:")
    print(f"{'':<22}" + "".join(f"{b.name:>15}" for b in benches) + f"{'mean':>8}")
    for level, shares in held.items():
        line = "".join(f"{share:>15.0%}" for share in shares)
        print(f"{f'Student, {level:.0%}':<22}{line}{np.mean(shares):>8.0%}")
    line = "".join(f"{share:>15.0%}" for share in ranges)
    print(f"{'range over tasks':<22}{line}{np.mean(ranges):>8.0%}")
    print("\nWhat the 90 % interval says, and how the function did on the task left out:")
    for verdict in ("better", "no evidence", "worse"):
        found = [gain for said, gain in called if said == verdict]
        share = f"{np.mean(np.array(found) > 0):.0%} better than ReLU" if found else ""
        print(f"{verdict:<14}{len(found):>5} functions  {share}")
    print("\nOrders of the functions on the task left out (means over tasks that have spectra):")
    print(
        f"{'order':<34}{'Spearman':>9}{'first':>8}{'best of 5':>11}   (gain over ReLU)"
        f"{'best of 5':>11}   (gain over the best usual)"
    )
    for label, numbers in orders.items():
        rho, first, best, over = np.nanmean(np.array(numbers), axis=0)
        print(f"{label:<34}{rho:>9.2f}{first:>8.2f}{best:>11.2f}{'':<20}{over:>11.2f}")


if __name__ == "__main__":
    main()
