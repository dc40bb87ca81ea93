"""A Gaussian process on the distances of activation functions, without an embedding.

Two candidates are alike if their outputs and their Fisher spectra are. With

    d_o(f, g) = root mean square of arcsinh f - arcsinh g over the inputs  (Eq. 3, compressed),
    d_s(f, g) = Manhattan distance of the spectra's cumulative distributions  (Eq. 2),

each divided by its median over pairs of candidates, the covariance of two values is

    k(f, g) = s² exp(-d_o(f, g) / a) exp(-d_s(f, g) / b),

and observations carry independent noise. The scales a and b and the noise maximise the
marginal likelihood on a small grid; s² then has a closed form. Both factors are positive
definite: exp(-Euclidean distance) and exp(-Manhattan distance) are.

Values are replaced by normal scores of their ranks before fitting, since failed trainings lie
far below and would fix the scale. The score is expected improvement.
"""

import itertools

import numpy as np

from .._optional import require
from .acquisition import expected_improvement
from .embedding import check_features, nearest_with_spectrum

#: Bins a layer's spectrum is pooled into; distances of pooled spectra are nearly the same.
POOLED_BINS = 64
SCALES = (0.1, 0.3, 1.0, 3.0)
NOISE = (0.01, 0.1, 0.5)
_COMPONENTS = 50


class DistanceProcess:
    """Gaussian process on output and spectrum distances with expected improvement.

    Args:
        seed: Not used: nothing here is random. Every regressor takes one.
    """

    def __init__(self, seed=0):
        self.seed = seed

    def fit(self, features, known, values):
        """See `Regressor.fit`."""
        self.features, self.known = features, np.asarray(known)
        target = normal_scores(values)
        self.best = target.max()
        self.mean = target.mean()
        target = target - self.mean
        linalg = require("scipy.linalg", extra="search")
        distances = self._distances(self.known)
        found = []
        scales = [SCALES if d is not None else (1.0,) for d in distances]
        for pair in itertools.product(*scales):
            correlation = _correlation(distances, pair)
            for noise in NOISE:
                noisy = correlation + noise * np.eye(len(target))
                factor = linalg.cholesky(noisy, lower=True, check_finite=False)
                solved = linalg.solve_triangular(factor, target, lower=True, check_finite=False)
                variance = max(float(solved @ solved) / len(target), 1e-12)
                likelihood = -0.5 * len(target) * np.log(variance) - np.log(np.diag(factor)).sum()
                found.append((likelihood, len(found), pair, factor, solved, variance))
        _, _, self.scales, self.factor, self.solved, self.variance = max(found)
        return self

    def scores(self, rows):
        """See `Regressor.scores`."""
        linalg = require("scipy.linalg", extra="search")
        cross = _correlation(self._distances(np.asarray(rows)), self.scales)
        whitened = linalg.solve_triangular(self.factor, cross.T, lower=True, check_finite=False)
        mean = self.mean + whitened.T @ self.solved
        rest = np.maximum(1.0 - (whitened**2).sum(0), 0.0)
        return expected_improvement(mean, np.sqrt(self.variance * rest), self.best)

    def _distances(self, rows):
        """Distances by outputs and by spectra, (rows, known) each; None where not used."""
        distance = require("scipy.spatial.distance", extra="search")
        points = self.features.points
        metrics = ("euclidean", "cityblock")
        return [
            None if part is None else distance.cdist(part[rows], part[self.known], metric)
            for part, metric in zip(points, metrics, strict=True)
        ]


def normal_scores(values):
    """Replace values by normal quantiles of their ranks: Φ⁻¹((rank - 1/2) / n), ties averaged.

    Example:
    ```python
    normal_scores([0.1, 0.8, 0.7])  # about [-0.97, 0.97, 0.0]
    ```
    """
    ranks = require("scipy.stats", extra="search").rankdata(values)
    return require("scipy.special", extra="search").ndtri((ranks - 0.5) / len(ranks))


def distance_points(outputs, cdfs=None, weights=None):
    """Points of all candidates whose distances the process uses.

    Args:
        outputs: As in `embed`.
        cdfs: As in `embed`.
        weights: As in `embed`.

    Returns:
        Points whose Euclidean distance is that of outputs, (candidates, 50 at most), and points
        whose Manhattan distance is that of spectra, or None without spectra. A candidate
        without a spectrum has that of the nearest by outputs.
    """
    outputs, cdfs = check_features(outputs, cdfs, weights)
    decomposition = require("sklearn.decomposition", extra="search")
    count = min(_COMPONENTS, *outputs.shape)
    points = decomposition.PCA(count, random_state=0).fit_transform(outputs.astype("float64"))
    spectra = None
    if cdfs is not None:
        with_spectrum, nearest = nearest_with_spectrum(outputs, cdfs)
        spectra = _pooled(cdfs)[with_spectrum][nearest].astype("float64")
    return _unit_median(points, 2), None if spectra is None else _unit_median(spectra, 1)


def _pooled(cdfs):
    width = -(-cdfs.shape[1] // 512)
    if width == 1:
        return cdfs
    starts = np.arange(0, cdfs.shape[1], width)
    return np.add.reduceat(cdfs, starts, axis=1)


def _unit_median(points, order):
    """Scale points so that the median distance of random pairs is one."""
    first, second = np.random.default_rng(0).integers(len(points), size=(2, 2000))
    distances = np.linalg.norm(points[first] - points[second], order, axis=1)[first != second]
    positive = distances[distances > 0]
    return points / np.median(positive) if len(positive) else points


def _correlation(distances, scales):
    total = sum(d / scale for d, scale in zip(distances, scales, strict=True) if d is not None)
    return np.exp(-total)
