"""What each task of the atlas expects of a function, also of one that no task has trained.

For each task a Gaussian process on the functions that it has trained, with the outputs' kernel of
`distance_process`, f and -f being alike:

    expected(g) = ȳ + k(g, F) (k(F, F) + v I)⁻¹ (y - ȳ),
    k(f, g) = q(f, g) / √(q(f, f) q(g, g)),    q(f, g) = e(d_o(f, g) / a) + e(d_o(f, -g) / a),

y being the Savage scores of the task's functions F. So a function that the task has trained takes
its own result, smoothed by its neighbours' since a training is noisy, and any other one that of
its neighbours. Far from all, it is the mean.

The scale a and the noise v are the same for all tasks: `SCALE` and `NOISE`, chosen by the error of
each function's score when it is left out (`benchmarks/atlas_prior.py`).
"""

import functools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..._optional import require
from ...expressions.unique import sampled_inputs
from ..distance_process import Distances, correlation, savage_scores
from ..embedding import prepare_outputs
from .table import Atlas, values_of

#: Scale a of the outputs' distances, in medians over pairs, and noise v, in variances of scores.
SCALE = 0.3
NOISE = 0.1

_BLOCK = 4096  # candidates whose distances are computed at once


class AtlasPrior:
    """The expectations of an atlas's tasks, computed for any candidates.

    Args:
        atlas: An `Atlas` of one task or more.
        scale: a.
        noise: v.

    Example:
    ```python
    from keras_actfn.search.atlas.table import load_atlas, values_of

    prior = AtlasPrior(load_atlas())
    prior.expected(values_of(["gelu(x)", "tanh(x)"]))  # two rows, a column for each task
    ```
    """

    def __init__(self, atlas: Atlas, scale: float = SCALE, noise: float = NOISE) -> None:
        self.atlas = atlas
        self.scale, self.noise = scale, noise

    def expected(self, outputs: np.ndarray) -> np.ndarray:
        """Expected Savage scores, (candidates, tasks).

        Args:
            outputs: Values at `sampled_inputs(0)`, (candidates, 1000), finite.
        """
        points = prepare_outputs(outputs).astype("float64") / self._unit
        known, solutions, means = self._fitted
        found = np.empty((len(points), len(self.atlas.tasks)))
        for start in range(0, len(points), _BLOCK):
            cross = self._kernel(points[start : start + _BLOCK], known)
            found[start : start + _BLOCK] = means + cross @ solutions
        return found

    @property
    def means(self) -> np.ndarray:
        """What the tasks expect of a function of which nothing is known, (tasks,)."""
        return self._fitted[2]

    @functools.cached_property
    def _rows(self):
        """The functions that take part: with finite outputs."""
        return np.flatnonzero(np.isfinite(self.atlas.outputs).all(1))

    @functools.cached_property
    def _points(self):
        return prepare_outputs(self.atlas.outputs[self._rows]).astype("float64")

    @functools.cached_property
    def _unit(self):
        """The median distance of random pairs."""
        first, second = np.random.default_rng(0).integers(len(self._points), size=(2, 2000))
        distances = np.linalg.norm(self._points[first] - self._points[second], axis=1)
        positive = distances[distances > 0]
        return float(np.median(positive)) if len(positive) else 1.0

    @functools.cached_property
    def _fitted(self):
        """Points, (functions, inputs); (K + v I)⁻¹ (y - ȳ), (functions, tasks); and ȳ, (tasks,)."""
        linalg = require("scipy.linalg", extra="search")
        points = self._points / self._unit
        kernel = self._kernel(points, points)
        scores = self.atlas.scores[self._rows]
        solutions, means = np.zeros(scores.shape), np.zeros(scores.shape[1])
        trained = ~np.isnan(scores)
        # Tasks that have trained the same functions share the one expensive step.
        for pattern in np.unique(trained, axis=1).T:
            (rows,) = np.nonzero(pattern)
            (tasks,) = np.nonzero((trained == pattern[:, None]).all(0))
            targets = np.stack([savage_scores(scores[rows, task]) for task in tasks], axis=1)
            means[tasks] = targets.mean(0)
            noisy = kernel[np.ix_(rows, rows)] + self.noise * np.eye(len(rows))
            factor = linalg.cho_factor(noisy, lower=True, overwrite_a=True, check_finite=False)
            solved = linalg.cho_solve(factor, targets - means[tasks], check_finite=False)
            solutions[np.ix_(rows, tasks)] = solved
        return points, solutions, means

    def _kernel(self, points, others):
        return correlation(_distances(points, others), self.scale, 1.0, 0.0)


def _distances(points, others):
    """`Distances` of outputs, and of their negatives."""
    own, other = (points**2).sum(1), (others**2).sum(1)
    product = 2 * points @ others.T
    squares = own[:, None] + other
    same, opposite = (np.sqrt(np.maximum(squares + sign * product, 0.0)) for sign in (-1, 1))
    return Distances(same, opposite, (2 * np.sqrt(own), 2 * np.sqrt(other)), None)


def expected_in_pool(prior: AtlasPrior, pool: Any, numbers: ArrayLike) -> np.ndarray:
    """What the atlas expects of candidates of a search, (candidates, tasks).

    A tuple of functions, one for each group of places, has the mean of its functions.

    Args:
        prior: An `AtlasPrior`.
        pool: A `Pool`, or a `TandemPool`.
        numbers: Numbers of the candidates.
    """
    numbers = np.asarray(numbers, int)
    if hasattr(pool, "digits"):
        digits = np.array([pool.digits(number) for number in numbers], int)
        parts, place = np.unique(digits, return_inverse=True)
        found = expected_in_pool(prior, pool.pool, parts)
        return found[place.reshape(digits.shape)].mean(1)
    if np.array_equal(pool.unique.inputs, sampled_inputs(0)):
        outputs = pool.outputs(numbers)
    else:
        outputs = values_of(map(pool.expression, numbers))
    found = np.tile(prior.means, (len(numbers), 1))
    finite = np.isfinite(outputs).all(1)
    if finite.any():
        found[finite] = prior.expected(outputs[finite])
    return found
