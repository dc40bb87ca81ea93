"""How much better than ReLU a function is to be expected on a new task, by the known ones.

On task t, function f gains over ReLU the share

    g(f, t) = max((s(f, t) - s(ReLU, t)) / (best(t) - s(ReLU, t)), -1)

of what any function of the atlas gains there: 0 is ReLU, 1 the best function of all. What is
expected on a new task is the mean over the T known ones, with the interval in which Student's t
expects one more value (a prediction interval, wider than that of the mean):

    mean ± t₍LEVEL, T-1₎ · deviation · √(1 + 1 / T),    cut at -1 and 1.

With one task there is no interval but [-1, 1]. `benchmarks/recommend.py` prints how often such an
interval holds the gain on a task that was left out.
"""

import dataclasses

import numpy as np

from ..._optional import require
from .table import FLOOR, Atlas, normalised

#: Probability that an interval is to hold the gain on a new task.
LEVEL = 0.9


@dataclasses.dataclass(frozen=True)
class Expectation:
    """What a function is expected to gain over ReLU on a new task: the formulas of the module.

    Attributes:
        mean: Mean over tasks.
        low: Lower end of the interval.
        high: Upper end.
        tasks: How many tasks have trained the function.
    """

    mean: float
    low: float
    high: float
    tasks: int

    @property
    def evidence(self) -> str:
        """`"better"` or `"worse"` than ReLU, or `"no evidence"` if the interval includes 0."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no evidence"


def gains_over_relu(atlas: Atlas) -> np.ndarray:
    """g(f, t), (functions, tasks); NaN where not trained."""
    relu = atlas.usual["relu"]
    columns = zip(atlas.scores.T, atlas.tasks, strict=True)
    return np.stack([normalised(scores, [relu], task) for scores, task in columns], axis=1)


def expectation(gains: np.ndarray, level: float = LEVEL) -> Expectation:
    """The expectation from a function's gains over ReLU on several tasks.

    Args:
        gains: (tasks,); NaN where the function was not trained.
        level: Probability that the interval is to hold one more value.

    Raises:
        ValueError: If no task has trained the function.

    Example:
        >>> found = expectation([0.5, 0.7, 0.6])
        >>> round(found.mean, 2), round(found.low, 2), found.evidence
        (0.6, 0.26, 'better')
    """
    known = np.asarray(gains, "float64")
    known = known[~np.isnan(known)]
    if not len(known):
        raise ValueError(
            "An expectation needs a task that has trained the function. Received: none."
        )
    mean, half = float(known.mean()), np.inf
    if len(known) > 1:
        stats = require("scipy.stats", extra="search")
        width = stats.t.ppf(0.5 + level / 2, len(known) - 1)
        half = float(width * known.std(ddof=1) * np.sqrt(1 + 1 / len(known)))
    return Expectation(mean, max(mean - half, FLOOR), min(mean + half, 1.0), len(known))
