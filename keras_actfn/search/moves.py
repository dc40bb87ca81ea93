"""Local moves: functions one change away from the best evaluated ones, whether in the space or not.

Of the functions of a large space few are probed, and the space itself is a choice. Functions that
are one change (`keras_actfn.expressions.neighbors`) away from good ones are good more often than
functions drawn at random. Some of them, drawn from around each of the best in turn, become
candidates: their spectra are computed as those of all others, and the search's regressor chooses
among all.
"""

import itertools
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from ..expressions import Expression, count_nodes, neighbors, simplify
from .pool import Pool

#: How many of the best evaluated functions moves start from.
PARENTS = 3

#: Operators of a function that is proposed: as many as in the four-node space, or one more than the
#: best function has, but no more than the greatest number.
NODES, MOST_NODES = 4, 8


class LocalMoves:
    """Proposes functions that are close to the best evaluated ones.

    The same evaluations give the same proposals.

    Args:
        pool: A `Pool`.
        seed: Seed of what is drawn.
        parents: How many of the best evaluated functions to start from.
        most_nodes: Greatest number of operators of a proposed function; None for 4, or one more
            than the best function has, up to 8.
    """

    def __init__(
        self, pool: Pool, seed: int = 0, parents: int = PARENTS, most_nodes: int | None = None
    ) -> None:
        self.pool = pool
        self.seed = seed
        self.parents = parents
        self.most_nodes = most_nodes
        self._around: dict[tuple, list[Expression]] = {}

    def propose(
        self, count: int, known: Sequence[int], values: Sequence[float], present: Collection[int]
    ) -> list[tuple[int, Expression]]:
        """Functions to add to the candidates, with their numbers.

        Args:
            count: How many; fewer if there are no more.
            known: Numbers of the evaluated functions.
            values: Their values, more being better; NaN for a failure.
            present: Numbers of the functions that are candidates, or can be none.
        """
        return list(itertools.islice(self.proposals(known, values, present), count))

    def proposals(
        self, known: Sequence[int], values: Sequence[float], present: Collection[int]
    ) -> Iterator[tuple[int, Expression]]:
        """All functions of which `propose` returns the first."""
        random = np.random.default_rng([self.seed, len(known)])
        drawn = [
            [around[i] for i in random.permutation(len(around))]
            for around in self._around_best(known, values)
        ]
        taken = {*present, *known}
        for function in itertools.chain(*itertools.zip_longest(*drawn)):
            if function is None or not self._is_finite(function):
                continue
            number = self.pool.number_of(function)
            if number not in taken:
                taken.add(number)
                yield number, function

    def _around_best(self, known, values):
        """The functions around each of the best ones, the best first."""
        order = sorted((-value, i) for i, value in enumerate(values) if np.isfinite(value))
        functions = [self.pool.expression(known[i]) for _, i in order]
        parents = [simplify(f) for f in functions if isinstance(f, Expression)][: self.parents]
        if not parents:
            return []
        most = self.most_nodes or min(MOST_NODES, max(NODES, 1 + count_nodes(parents[0])))
        operators = self.pool.unique.space.operators
        # What was around the same parents at the last evaluation is not listed again.
        self._around = {
            (parent, most): self._around.get((parent, most)) or neighbors(parent, operators, most)
            for parent in parents
        }
        return list(self._around.values())

    def _is_finite(self, function):
        with np.errstate(all="ignore"):
            row = np.asarray(function(self.pool.unique.inputs)).astype(np.float32)
        return np.isfinite(row).all()
