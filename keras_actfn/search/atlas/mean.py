"""How a surrogate begins from the atlas, and what it takes from the atlas for likeness.

E being what the atlas's T tasks expect of N candidates (`prior`), the standing of candidate i in
task t is its rank among the candidates, with the mean 0 and the deviation 1 over them:

    r(i, t) = (rank of E(i, t) - (N + 1) / 2) / deviation.

Ranks, since tasks differ in how far their best functions are ahead. Two things follow from them.

* Where a surrogate begins: every candidate has the mean μ(i) = SLOPE · m(i), with m the mean
  standing over tasks, brought to the deviation 1. Savage scores have about that deviation, so that
  SLOPE is the correlation to be expected. Any regressor then predicts what is left, y - μ, of the
  Savage scores y of the evaluated ones; a candidate's score is μ plus that prediction.
* Which candidates are alike: those with the same standings, in all tasks. `distance_process` takes
  the distance of standings beside those of outputs and of spectra. A task that resembles some of
  the known ones and not others shows it by its own evaluations: what did well lies where those
  tasks are high and the others are not, and so do the candidates that are suggested next.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..._optional import require
from ..distance_process import savage_scores
from ..regressor import Regressor

if TYPE_CHECKING:
    from ..surrogate import CandidateFeatures

#: The mean's factor; tuned on the atlas's own tasks, each left out in turn.
SLOPE = 0.5


def standings(expected: np.ndarray) -> np.ndarray:
    """Standings r by the module's formula, (candidates, tasks); equals share a rank.

    Args:
        expected: What the tasks expect of the candidates, (candidates, tasks).

    Example:
        >>> standings(np.array([[0.1], [0.9], [7.0]])).round(2).tolist()
        [[-1.22], [0.0], [1.22]]
    """
    ranks = require("scipy.stats", extra="search").rankdata(expected, axis=0)
    return _standard(ranks)


def prior_mean(expected: np.ndarray) -> np.ndarray:
    """μ of the module's formula, (candidates,).

    Args:
        expected: What the tasks expect of the candidates, (candidates, tasks).
    """
    return SLOPE * _standard(standings(expected).mean(1))


def _standard(values):
    """Values with the mean 0 and the deviation 1 along the first axis; equal ones become 0."""
    centred = values - values.mean(0)
    deviation = centred.std(0)
    return centred / np.where(deviation > 0, deviation, 1.0)


class WithPrior(Regressor):
    """A regressor that begins from what the atlas expects of the candidates.

    Args:
        regressor: What predicts the rest: an object with the methods of `Regressor`. If it has
            `fit_scores`, that is called in the place of `fit`, for a regressor that would else
            turn values into Savage scores itself.
    """

    def __init__(self, regressor: Any) -> None:
        self.regressor = regressor

    def fit(
        self, features: "CandidateFeatures", known: np.ndarray, values: np.ndarray
    ) -> "WithPrior":
        """See `Regressor.fit`; the features have a prior."""
        expected = features.expectations()
        assert expected is not None
        self.mean = prior_mean(expected)
        self.fitted = len(known) > 0
        if self.fitted:
            fit = getattr(self.regressor, "fit_scores", self.regressor.fit)
            fit(features, known, savage_scores(values) - self.mean[known])
        return self

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """See `Regressor.scores`; without any evaluation, the prior's alone."""
        return self.mean[rows] + (self.regressor.scores(rows) if self.fitted else 0.0)
