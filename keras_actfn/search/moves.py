"""Local moves: functions one change away from the best evaluated ones, whether in the space or not.

Of the functions of a large space few are probed, and the space itself is a choice. Functions that
are one change (`keras_actfn.expressions.neighbors`) away from the best ones can be better than they
are. A Gaussian process on outputs (`distance_process`) ranks them, and the first few that are no
candidates yet become some: their spectra are computed as those of all others, and the search's
regressor chooses among all of them.
"""

import itertools
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from ..expressions import Expression, count_nodes, neighbors, simplify
from .distance_process import DistanceProcess
from .pool import Pool
from .surrogate import CandidateFeatures, below_the_worst

#: How many of the best evaluated functions moves start from.
PARENTS = 3

#: Operators of a function that is proposed: as many as in the four-node space, or one more than the
#: best function has, but no more than the greatest number.
NODES, MOST_NODES = 4, 8

_EVERY = 4  # of the inputs on which functions are compared, every so manieth ranks them


class LocalMoves:
    """Proposes functions that are close to the best evaluated ones.

    Nothing is random: the same evaluations give the same proposals.

    Args:
        pool: A `Pool`.
        parents: How many of the best evaluated functions to start from.
        most_nodes: Greatest number of operators of a proposed function; None for 4, or one more
            than the best function has, up to 8.
    """

    def __init__(self, pool: Pool, parents: int = PARENTS, most_nodes: int | None = None) -> None:
        self.pool = pool
        self.parents = parents
        self.most_nodes = most_nodes
        self._rows: dict[Expression, np.ndarray] = {}

    def propose(
        self, count: int, known: Sequence[int], values: Sequence[float], present: Collection[int]
    ) -> list[tuple[int, Expression]]:
        """Functions to add to the candidates, with their numbers; the most promising first.

        Args:
            count: How many; fewer if there are no more.
            known: Numbers of the evaluated functions.
            values: Their values, more being better; NaN for a failure.
            present: Numbers of the functions that are candidates, or can be none.
        """
        return list(itertools.islice(self.ranked(known, values, present), count))

    def ranked(
        self, known: Sequence[int], values: Sequence[float], present: Collection[int]
    ) -> Iterator[tuple[int, Expression]]:
        """All functions of which `propose` returns the first."""
        found = self._around(known, values)
        if not found:
            return
        expressions = list(found)
        rows = np.concatenate(
            [self.pool.outputs(known)[:, ::_EVERY], np.array(list(found.values()), np.float32)]
        )
        process = DistanceProcess().fit(
            CandidateFeatures(rows),
            np.arange(len(known)),
            below_the_worst(np.asarray(values, "float64")),
        )
        scores = process.scores(np.arange(len(known), len(rows)))
        taken = {*present, *known}
        for i in np.argsort(-scores, kind="stable"):
            number = self.pool.number_of(expressions[i])
            if number not in taken:
                taken.add(number)
                yield number, expressions[i]

    def _around(self, known, values):
        """Values on some inputs of the functions around the best ones, by function."""
        order = sorted(
            (-value, i) for i, value in enumerate(values) if np.isfinite(value)
        )
        functions = [self.pool.expression(known[i]) for _, i in order]
        parents = [simplify(f) for f in functions if isinstance(f, Expression)][: self.parents]
        if not parents:
            return {}
        most = self.most_nodes or min(MOST_NODES, max(NODES, 1 + count_nodes(parents[0])))
        operators = self.pool.unique.space.operators
        around = dict.fromkeys(f for p in parents for f in neighbors(p, operators, most))
        # What was around the same parents at the last evaluation is not computed again.
        self._rows = {f: self._rows[f] if f in self._rows else self._row(f) for f in around}
        return {f: row[::_EVERY] for f, row in self._rows.items() if len(row)}

    def _row(self, function):
        """Values on the inputs, or nothing if they are not finite in float32."""
        with np.errstate(all="ignore"):
            row = np.asarray(function(self.pool.unique.inputs)).astype(np.float32)
        return row if np.isfinite(row).all() else row[:0]
