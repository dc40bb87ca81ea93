"""An Optuna sampler over a fixed pool of candidates of which only similarities are known.

Candidate i of N is the integer parameter `candidate` = i. Values y of the evaluated ones E,
standardised, are those of a Gaussian process with the covariance s² (K + v I), K the kernel:

    mean(i) = K_iE (K_EE + v I)^-1 y,    variance(i) = s² {K_ii - K_iE (K_EE + v I)^-1 K_Ei}.

The noise v maximises the marginal likelihood over `NOISE`; s² = yᵀ (K_EE + v I)^-1 y / |E| does so
in closed form. The candidate of the best acquisition among those not tried is tried next:

    "ei"     expected improvement over the best value (`acquisition`),
    "ucb"    mean + deviation,
    "mvr"    the variance, whatever the values: maximum variance reduction.

This is what issue 408 of the OptunaHub registry asks for.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._optional import require
from .acquisition import expected_improvement
from .claims import CANDIDATE
from .distance_process import Distances, DistanceTable, correlation

if TYPE_CHECKING:
    import optuna
else:
    optuna = require("optuna", extra="search")

#: Noise variances, as parts of the kernel's mean diagonal, of which the most likely is taken.
NOISE = (1e-6, 1e-3, 1e-2, 1e-1)

#: Scores of candidates from their means and deviations and the best value so far.
ACQUISITIONS = {
    "ei": expected_improvement,
    "ucb": lambda mean, deviation, best: mean + deviation,
    "mvr": lambda mean, deviation, best: deviation,
}


class PoolSampler(optuna.samplers.BaseSampler):
    """Samples one of N candidates by a Gaussian process with a given kernel.

    Other parameters of a trial are sampled at random. Candidates of failed and running trials count
    as tried; when all are tried, all can be tried again. An infinite value counts as the best or
    worst finite one.

    Args:
        kernel: Similarities of the candidates, (N, N), symmetric and positive semidefinite.
        graph: Instead of a kernel, weights of the edges between candidates, (N, N), symmetric
            and not negative; see `graph_kernel`.
        acquisition: A name of `ACQUISITIONS`.
        parameter: Name of the integer parameter, from 0 to N - 1.
        n_startup_trials: How many candidates are tried at random first.
        seed: Seed of what is random, and of the choice between equals.

    Raises:
        ValueError: If not exactly one of kernel and graph is given, or it is no such matrix.

    Example:
    ```python
    import optuna

    from keras_actfn import search

    x = np.linspace(0, 1, 50)
    kernel = np.exp(-50 * (x[:, None] - x) ** 2)
    study = optuna.create_study(sampler=search.PoolSampler(kernel, seed=0))
    study.optimize(lambda trial: (x[trial.suggest_int("candidate", 0, 49)] - 0.3) ** 2, n_trials=15)
    ```
    """

    def __init__(
        self,
        kernel: ArrayLike | None = None,
        *,
        graph: ArrayLike | None = None,
        acquisition: str = "ei",
        parameter: str = CANDIDATE,
        n_startup_trials: int = 5,
        seed: int | None = None,
    ) -> None:
        if (kernel is None) == (graph is None):
            raise ValueError(
                "A PoolSampler has a kernel or a graph. Received: "
                f"{'neither' if kernel is None else 'both'}. Pass one of kernel=…, graph=…."
            )
        if acquisition not in ACQUISITIONS:
            raise ValueError(
                f"The acquisition is one of {', '.join(ACQUISITIONS)}. Received: {acquisition!r}."
            )
        self.kernel = _matrix("kernel", kernel) if graph is None else graph_kernel(graph)
        self.parameter = parameter
        self._score = ACQUISITIONS[acquisition]
        self._first = n_startup_trials
        self._rng = np.random.default_rng(seed)
        self._random = optuna.samplers.RandomSampler(seed)

    def reseed_rng(self) -> None:
        """Give parallel threads different random numbers."""
        self._rng = np.random.default_rng()
        self._random.reseed_rng()

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """No parameter depends on another."""
        return {}

    def sample_relative(
        self, study: Any, trial: Any, search_space: dict[str, Any]
    ) -> dict[str, Any]:
        """No parameter depends on another."""
        return {}

    def sample_independent(
        self, study: Any, trial: Any, param_name: str, param_distribution: Any
    ) -> Any:
        """A candidate, or a random value for another parameter.

        Raises:
            ValueError: If the candidates are others than the kernel's, or the study has several
                values.
        """
        if param_name != self.parameter:
            return self._random.sample_independent(study, trial, param_name, param_distribution)
        size = len(self.kernel)
        if param_distribution != optuna.distributions.IntDistribution(0, size - 1):
            raise ValueError(
                f"The parameter '{self.parameter}' is a candidate of the kernel's {size}: "
                f"suggest_int('{self.parameter}', 0, {size - 1}). Received: {param_distribution}."
            )
        if len(study.directions) > 1:
            raise ValueError(
                f"A PoolSampler is for a study of one value. Received: {len(study.directions)}."
            )
        return self._choose(study)

    def _choose(self, study):
        sign = 1.0 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1.0
        known, values, tried = [], [], set()
        for trial in study.get_trials(deepcopy=False):
            number = trial.params.get(self.parameter)
            if number is not None:
                tried.add(number)
                if trial.state == optuna.trial.TrialState.COMPLETE:
                    known.append(number)
                    values.append(sign * trial.value)
        free = np.setdiff1d(np.arange(len(self.kernel)), list(tried))
        if not len(free):
            free = np.arange(len(self.kernel))
        finite = np.array(values)[np.isfinite(values)]
        if len(known) < max(self._first, 1) or not len(finite):
            return int(self._rng.choice(free))
        values = np.clip(values, finite.min(), finite.max())
        scores = self._score(*self.posterior(known, values, free), values.max())
        return int(self._rng.choice(free[scores == scores.max()]))

    def posterior(
        self, known: ArrayLike, values: ArrayLike, candidates: ArrayLike
    ) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations of candidates' values, without noise, (candidates,) each.

        Args:
            known: Evaluated candidates, with repetitions if some were evaluated twice.
            values: Their values.
            candidates: Candidates to predict.

        Raises:
            ValueError: If the kernel is not positive semidefinite on the evaluated candidates.
        """
        linalg = require("scipy.linalg", extra="search")
        known, candidates = np.asarray(known, int), np.asarray(candidates, int)
        values = np.asarray(values, "float64")
        centre, scale = values.mean(), values.std() or 1.0
        target = (values - centre) / scale
        among = self.kernel[np.ix_(known, known)]
        likeliest, found = -np.inf, None
        for noise in np.diag(self.kernel).mean() * np.array(NOISE):
            try:
                factor = linalg.cholesky(among + noise * np.eye(len(known)), lower=True)
            except np.linalg.LinAlgError:
                continue
            solved = linalg.solve_triangular(factor, target, lower=True)
            variance = max(float(solved @ solved) / len(known), 1e-12)
            likelihood = -0.5 * len(known) * np.log(variance) - np.log(np.diag(factor)).sum()
            if likelihood > likeliest:
                likeliest, found = likelihood, (factor, solved, variance)
        if found is None:
            raise ValueError(
                "A kernel is positive semidefinite. Received: one that is not on the evaluated "
                f"candidates {known.tolist()[:10]}."
            )
        factor, solved, variance = found
        whitened = linalg.solve_triangular(
            factor, self.kernel[np.ix_(known, candidates)], lower=True
        )
        rest = np.maximum(np.diag(self.kernel)[candidates] - (whitened**2).sum(0), 0.0)
        return centre + scale * (whitened.T @ solved), scale * np.sqrt(variance * rest)


def graph_kernel(graph: ArrayLike, smoothness: float = 1.5, length: float = 1.0) -> np.ndarray:
    """The Matérn kernel on a graph, with a mean diagonal of one.

        K ∝ (2 ν / κ² I + L)^-ν,    L = D - W,

    W the weights of the edges, D their sums at each node on the diagonal (Borovitskiy et al.,
    Matérn Gaussian Processes on Graphs, AISTATS 2021).

    Args:
        graph: W, (N, N), symmetric and not negative.
        smoothness: ν.
        length: κ.

    Raises:
        ValueError: If it is no such matrix.

    Example:
    ```python
    path = np.eye(5, k=1) + np.eye(5, k=-1)
    graph_kernel(path).shape  # (5, 5)
    ```
    """
    weights = _matrix("graph", graph)
    if (weights < 0).any():
        raise ValueError(
            f"The weights of a graph are not negative. Received: {weights.min()} among them."
        )
    values, vectors = np.linalg.eigh(np.diag(weights.sum(1)) - weights)
    spectrum = (2 * smoothness / length**2 + np.maximum(values, 0.0)) ** -smoothness
    kernel = (vectors * spectrum) @ vectors.T
    return kernel / np.diag(kernel).mean()


def output_kernel(outputs: ArrayLike, scale: float = 1.0) -> np.ndarray:
    """The kernel of activation functions by their outputs, f and -f alike.

        k(f, g) = q(f, g) / √(q(f, f) q(g, g)),    q(f, g) = e(d(f, g) / a) + e(d(f, -g) / a),

    e(d) = exp(-d² / 2), d the Euclidean distance of arcsinh f and arcsinh g, divided by its median:
    the part of `distance_process` that needs no spectra.

    Args:
        outputs: Values of each function at the same inputs, (functions, inputs), finite.
        scale: a.

    Returns:
        (functions, functions), with ones on the diagonal.

    Example:
    ```python
    x = np.linspace(-3, 3, 50)
    output_kernel([np.tanh(x), -np.tanh(x), np.maximum(x, 0)]).round(2)
    ```
    """
    distance = require("scipy.spatial.distance", extra="search")
    points = np.asarray(DistanceTable(outputs).points)
    norms = 2 * np.linalg.norm(points, axis=1)
    same, opposite = (distance.cdist(points, sign * points) for sign in (1, -1))
    return correlation(Distances(same, opposite, (norms, norms), None), scale, 1.0, 0.0)


def _matrix(name, values):
    """A symmetric matrix of finite numbers."""
    matrix = np.asarray(values, "float64")
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] and matrix.size > 0
    if not square or not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T):
        raise ValueError(
            f"A {name} is a symmetric matrix of finite numbers, (candidates, candidates). "
            f"Received: shape {matrix.shape}{', not symmetric or not finite' if square else ''}."
        )
    return matrix
