"""Local moves against further random probes, where every function's accuracy is known.

    KERAS_BACKEND=torch python benchmarks/local_moves.py > benchmarks/local_moves.txt

The project's benchmark has all 2,412 finite functions of the three-node space. A search that has
probed all of them is what a small space allows. In a large space only a few are: here 300, drawn at
random. Then, from the evaluation of the usual functions on,

    probed     nothing is added,
    random     before each evaluation `MOVES` further functions, drawn at random, are probed,
    moves      before each evaluation `MOVES` functions around the best ones are probed.

`random` and `moves` compute as many spectra. Functions outside the space have no known accuracy:
moves to them are passed over, so that this is a lower bound of what moves find. All searches use
`distance_gp` and begin with the eight usual functions; each seed has the same 300 functions in all
rows. Intervals are of 95 %, by Student's t over the seeds, and of paired differences.
"""

import argparse
import itertools

import numpy as np
from scipy import stats

from keras_actfn import expressions, search
from keras_actfn._progress import Progress
from keras_actfn.search.moves import LocalMoves
from keras_actfn.search.pool import Pool
from keras_actfn.search.surrogate import CandidateFeatures, suggest

PROBES = 300
MOVES = 5
SEEDS = 40
EVALUATIONS = (20, 30, 50)


class Known:
    """The benchmark's functions by their numbers in a pool."""

    def __init__(self):
        self.bench = search.fashion_mnist_bench()
        self.pool = Pool(expressions.three_node().unique(), extra=search.BASELINES)
        self.rows = {self.pool.find(f): row for row, f in enumerate(self.bench.functions)}
        self.value = self.bench.validation_accuracy
        self.baselines = [self.pool.find(name) for name in search.BASELINES]
        numbers, find = {}, self.pool.number_of
        # The same functions lie around the best ones of all searches.
        self.pool.number_of = lambda f: numbers[f] if f in numbers else numbers.setdefault(f, find(f))
        self.moves = LocalMoves(self.pool, most_nodes=3)

    def candidates(self, probed):
        """The probed functions with a valid spectrum."""
        rows = np.array([self.rows[number] for number in probed])
        valid = self.bench.valid[rows]
        return np.array(probed)[valid], rows[valid]


def searched(known, seed, adds, evaluations=max(EVALUATIONS)):
    """The best accuracy after each evaluation of one search."""
    drawn = np.random.default_rng(seed).permutation(sorted(set(known.rows) - set(known.baselines)))
    probed = [*known.baselines, *drawn[: len(drawn) if adds == "all" else PROBES].tolist()]
    further = iter(drawn[PROBES:].tolist())
    evaluated = list(known.baselines)
    values = [known.value[known.rows[number]] for number in evaluated]
    ids, rows = known.candidates(probed)
    features = None
    while len(evaluated) < evaluations:
        if adds == "random":
            probed += itertools.islice(further, MOVES)
        elif adds == "moves":
            around = known.moves.ranked(evaluated, values, probed)
            probed += itertools.islice((n for n, _ in around if n in known.rows), MOVES)
        if features is None or adds in ("random", "moves"):
            ids, rows = known.candidates(probed)
            bench = known.bench
            features = CandidateFeatures(bench.outputs[rows], bench.cdfs[rows], bench.weights)
        position = {number: i for i, number in enumerate(ids.tolist())}
        pairs = [(position[n], v) for n, v in zip(evaluated, values, strict=True) if n in position]
        free = [i for number, i in position.items() if number not in set(evaluated)]
        found = suggest(features, *zip(*pairs, strict=True), free, "distance_gp", seed=seed)
        evaluated.append(int(ids[found]))
        values.append(known.value[known.rows[evaluated[-1]]])
    return np.maximum.accumulate(values)


def interval(values):
    """A mean with its half width, in points."""
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{100 * np.mean(values):6.3f} ± {100 * half:.3f}"


def main():
    """Search and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    seeds = range(parser.parse_args().seeds)
    known = Known()
    names = ("probed", "random", "moves", "all")
    with Progress(len(names) * len(seeds), True) as bar:
        found = {name: [] for name in names}
        for seed in seeds:
            for name in names:
                found[name].append(searched(known, seed, name))
                bar.advance()
    curves = {name: np.array(rows) for name, rows in found.items()}
    best = np.nanmax(known.value[known.bench.valid])
    print(
        f"{len(known.rows):,} functions, {PROBES} probed, {MOVES} more before each evaluation; "
        f"{len(seeds)} seeds\n"
        f"Best of the usual functions {100 * curves['all'][0, 7]:.2f} %, of all {100 * best:.2f} %\n"
    )
    print(f"{'best accuracy, %':28}" + "".join(f"{f'{n} evaluations':>20}" for n in EVALUATIONS))
    for name in names:
        cells = [interval(curves[name][:, n - 1]) for n in EVALUATIONS]
        print(f"{name:28}" + "".join(f"{cell:>20}" for cell in cells))
    for other in ("probed", "random", "all"):
        cells = [interval((curves["moves"] - curves[other])[:, n - 1]) for n in EVALUATIONS]
        print(f"{f'moves - {other}':28}" + "".join(f"{cell:>20}" for cell in cells))


if __name__ == "__main__":
    main()
