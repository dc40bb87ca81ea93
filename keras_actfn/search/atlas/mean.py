"""How a surrogate begins from the atlas and gives way to the task's own evaluations.

Of n evaluated candidates with the Savage scores y, and with the expectations P of the atlas's tasks
(`prior`), every candidate x has the mean

    μ(x) = ȳ + b / (1 + n / HALF) (m(x) - m̄),    m = P w,

in which w are positive weights of the tasks and b says how much their expectations are worth
here. m is brought to the mean 0 and the deviation 1 over all candidates; ȳ and m̄ are means over
those evaluated. Any regressor then predicts what is left, y - μ; a candidate's score is μ plus that
prediction. The slope b is halved after HALF evaluations, and goes on falling: what the task says
itself decides in the end.

Weights follow from how well each task ranks the evaluated candidates, as in the two-stage surrogate
with rankings of Wistuba, Schilling and Schmidt-Thieme (2016, section 4.2), and as in RGPE (Feurer,
Letham and Bakshy 2018):

    w_t ∝ max(0, 1 - (χ_t / RADIUS)²),    χ_t = (wrong_t + PAIRS · 0.4) / (pairs + PAIRS),

wrong_t being the number of pairs of different values that task t ranks the other way round, and
pairs that of all; PAIRS imagined ones keep the weights together at the start. b is the slope of a
ridge regression of y on m towards SLOPE, which counts as much as STRENGTH evaluations, and is at
least 0.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..distance_process import savage_scores
from ..regressor import Regressor

if TYPE_CHECKING:
    from ..surrogate import CandidateFeatures

#: The constants of the formulas; tuned on the atlas's own tasks, each left out in turn.
RADIUS = 0.6
PAIRS = 10
SLOPE = 0.5
STRENGTH = 8.0
HALF = 20.0

_TIED = 0.4  # share of wrong pairs of a task of which nothing is known


def task_weights(expected: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Weights w of tasks by the formula of the module, (tasks,); equal where no task is of use.

    Args:
        expected: What the tasks expect of the evaluated candidates, (evaluated, tasks).
        scores: What these reached, (evaluated,), higher is better.

    Example:
        >>> right, wrong = [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]
        >>> task_weights(np.transpose([right, wrong]), [0.1, 0.5, 0.9]).round(2).tolist()
        [0.79, 0.21]
    """
    expected, scores = np.asarray(expected, "float64"), np.asarray(scores, "float64")
    first, second = np.triu_indices(len(scores), 1)
    differ = scores[first] != scores[second]
    first, second = first[differ], second[differ]
    order = np.sign(scores[first] - scores[second])[:, None]
    found = np.sign(expected[first] - expected[second])
    wrong = np.where(found == 0, 0.5, found != order).sum(0)
    share = (wrong + _TIED * PAIRS) / (len(first) + PAIRS)
    weights = np.maximum(0.0, 1.0 - (share / RADIUS) ** 2)
    if not weights.any():
        weights = np.ones(expected.shape[1])
    return weights / weights.sum()


def prior_mean(expected: np.ndarray, known: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """μ of all candidates by the formula of the module, (candidates,).

    Args:
        expected: What the tasks expect of all candidates, (candidates, tasks).
        known: Rows of the evaluated candidates; without any, μ is m.
        scores: Their Savage scores, (known,).
    """
    known = np.asarray(known, int)
    combined = expected @ task_weights(expected[known], scores)
    combined = (combined - combined.mean()) / (combined.std() or 1.0)
    if not len(known):
        return combined
    centred = combined - combined[known].mean()
    part = centred[known]
    rest = scores - np.mean(scores)
    slope = max(0.0, (STRENGTH * SLOPE + part @ rest) / (STRENGTH + part @ part))
    return np.mean(scores) + slope / (1 + len(known) / HALF) * centred


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
        scores = savage_scores(values) if len(known) else np.zeros(0)
        self.mean = prior_mean(expected, known, scores)
        self.fitted = len(known) > 0
        if self.fitted:
            fit = getattr(self.regressor, "fit_scores", self.regressor.fit)
            fit(features, known, scores - self.mean[known])
        return self

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """See `Regressor.scores`; without any evaluation, the prior's alone."""
        return self.mean[rows] + (self.regressor.scores(rows) if self.fitted else 0.0)
