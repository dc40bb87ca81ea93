"""Local moves against further random probes, where the value of every function is known.

    KERAS_BACKEND=torch python benchmarks/local_moves.py > benchmarks/local_moves.txt

A search of a large space has probed a few of its functions: here 300 of the 2,412 finite functions
of the three-node space, drawn at random. It evaluates the eight usual functions, then what
`distance_gp` chooses without the atlas, 50 functions in all. Three searches with the same 300:

    probed     nothing is added,
    random     before each evaluation 5 further functions of the space, drawn at random, are probed,
    moves      before each evaluation 5 functions around the best ones are probed.

`random` and `moves` compute as many spectra. Part A looks the accuracies on Fashion-MNIST up.
Functions outside the space have none there, so that moves to them are passed over. In part B the
best function is known and lies outside the space: it has five operators, drawn at random. The
value of a function f is -log10 of its error, the root mean square of f - target by the target's
standard deviation, on the inputs of the space; candidates are known by their outputs.

Intervals are of 95 %, by Student's t over the seeds; differences are paired.
"""

import argparse
import itertools

import numpy as np
from scipy import stats

from keras_actfn import expressions, search
from keras_actfn._progress import Progress
from keras_actfn.expressions import SearchSpace
from keras_actfn.search.moves import LocalMoves
from keras_actfn.search.pool import Pool
from keras_actfn.search.surrogate import CandidateFeatures, suggest

PROBES, MOVES, SEEDS = 300, 5, 8
EVALUATIONS = (20, 30, 50)
NAMES = ("probed", "random", "moves")
#: One in so many of the inputs is enough to compare outputs on.
EVERY = 4
#: Of targets, of errors that count as none.
DEVIATIONS, LEAST = (0.2, 5.0), 1e-6


class Accuracies:
    """Part A: the benchmark's accuracies, in per cent."""

    most_nodes = 3

    def __init__(self, pool, seed):
        self.bench = search.bench("fashion_cnn")
        self.pool = pool
        self.rows = {pool.find(f): row for row, f in enumerate(self.bench.functions)}

    def has(self, number):
        """Whether a function has a value."""
        return number in self.rows

    def value(self, number):
        """The accuracy."""
        return 100 * self.bench.score[self.rows[number]]

    def candidates(self, probed):
        """The numbers with a valid spectrum, and their features."""
        rows = np.array([self.rows[number] for number in probed])
        valid = self.bench.valid[rows]
        rows, bench = rows[valid], self.bench
        features = CandidateFeatures(bench.outputs[rows, ::EVERY], bench.cdfs[rows], bench.weights)
        return np.array(probed)[valid], features


class Distances:
    """Part B: how close functions are to a target outside the space."""

    most_nodes = None

    def __init__(self, pool, seed):
        self.pool = pool
        shapes = SearchSpace(["binary(unary(unary(x)),unary(unary(x)))"])
        for expression in shapes.sample(1000, seed):
            row = self._outputs(expression)
            usable = np.isfinite(row).all() and DEVIATIONS[0] < row.std() < DEVIATIONS[1]
            if usable and pool.number_of(expression) >= len(pool):
                self.target = row
                break

    def has(self, number):
        """Every function has a value."""
        return True

    def value(self, number):
        """How close a function is."""
        row = self.pool.outputs([number])[0].astype("float64")
        error = np.sqrt(np.mean((row - self.target) ** 2)) / self.target.std()
        return -np.log10(max(error, LEAST))

    def candidates(self, probed):
        """All numbers, and their features."""
        return np.array(probed), CandidateFeatures(self.pool.outputs(probed)[:, ::EVERY])

    def _outputs(self, expression):
        with np.errstate(all="ignore"):
            return np.asarray(expression(self.pool.unique.inputs), "float64")


def searched(problem, pool, seed, adds):
    """The best value after each evaluation of one search."""
    baselines = [pool.find(name) for name in search.BASELINES]
    drawn = [n for n in pool.draw(len(pool), seed, without=baselines) if problem.has(n)]
    probed = [*baselines, *drawn[:PROBES]]
    further = iter(drawn[PROBES:])
    local = LocalMoves(pool, seed, most_nodes=problem.most_nodes)
    evaluated, values = list(baselines), [problem.value(number) for number in baselines]
    ids, features = problem.candidates(probed)
    while len(evaluated) < max(EVALUATIONS):
        if adds == "random":
            probed += itertools.islice(further, MOVES)
        elif adds == "moves":
            proposals = local.proposals(evaluated, values, probed)
            found = ((number, f) for number, f in proposals if problem.has(number))
            for number, function in itertools.islice(found, MOVES):
                pool.join(number, function)
                probed.append(number)
        if adds != "probed":
            ids, features = problem.candidates(probed)
        position = {number: i for i, number in enumerate(ids.tolist())}
        known = [(position[n], v) for n, v in zip(evaluated, values, strict=True) if n in position]
        free = [i for number, i in position.items() if number not in set(evaluated)]
        chosen = suggest(features, *zip(*known, strict=True), free, "distance_gp", seed=seed)
        evaluated.append(int(ids[chosen]))
        values.append(problem.value(evaluated[-1]))
    return np.maximum.accumulate(values)


def interval(values):
    """A mean with its half width."""
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.3f} ± {half:.3f}"


def table(title, curves):
    """Means of each search, and differences from `moves`."""
    print(f"{title:36}" + "".join(f"{f'{n} evaluations':>20}" for n in EVALUATIONS))
    for name in NAMES:
        cells = [interval(curves[name][:, n - 1]) for n in EVALUATIONS]
        print(f"{name:36}" + "".join(f"{cell:>20}" for cell in cells))
    for other in (name for name in NAMES if name != "moves"):
        cells = [interval((curves["moves"] - curves[other])[:, n - 1]) for n in EVALUATIONS]
        print(f"{f'moves - {other}':36}" + "".join(f"{cell:>20}" for cell in cells))


def main():
    """Search and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    seeds = range(parser.parse_args().seeds)
    unique = expressions.three_node().unique()
    found = {kind: {name: [] for name in NAMES} for kind in (Accuracies, Distances)}
    best = []
    with Progress(len(found) * len(NAMES) * len(seeds), True) as bar:
        for kind, seed in itertools.product(found, seeds):
            for name in NAMES:
                pool = Pool(unique, extra=search.BASELINES)
                problem = kind(pool, seed)
                found[kind][name].append(searched(problem, pool, seed, name))
                bar.advance()
            if kind is Distances:
                best.append(max(problem.value(n) for n in np.flatnonzero(pool.valid)))
    print(f"{PROBES} functions probed, {MOVES} more before each evaluation; {len(seeds)} seeds\n")
    curves = {k: {n: np.array(rows) for n, rows in all_.items()} for k, all_ in found.items()}
    table("A. Best accuracy, %", curves[Accuracies])
    print()
    table("B. -log10 of the least error", curves[Distances])
    print(f"{'the best of the space':36}{interval(best):>20}")
    beyond = {name: np.mean(rows[:, -1] > best) for name, rows in curves[Distances].items()}
    shares = ", ".join(f"{name} {share:.0%}" for name, share in beyond.items())
    print(f"Closer than every function of the space after {max(EVALUATIONS)}: {shares}")


if __name__ == "__main__":
    main()
