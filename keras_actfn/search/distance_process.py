"""A Gaussian process on the distances of activation functions, without an embedding.

Two candidates are alike if their outputs are, up to sign (weights are symmetric about zero, so
f and -f train alike), or if their Fisher spectra are. With

    d_o(f, g) = Euclidean distance of arcsinh f and arcsinh g on the sampled inputs  (Eq. 3),
    d_s(f, g) = Manhattan distance of the spectra's cumulative distributions         (Eq. 2),

each divided by its median over pairs of candidates, the covariance of two values is

    k(f, g) = s² {(1 - m) q(f, g) / √(q(f, f) q(g, g)) + m exp(-d_s(f, g) / b)},
    q(f, g) = e(d_o(f, g) / a) + e(d_o(f, -g) / a),    e(d) = exp(-d² / 2),

so that k(f, -g) = k(f, g) without spectra and k(f, f) = s²; values have independent noise s² v.
Each part is positive definite: e of a Euclidean distance, its sum over signs, what is left after
dividing by the diagonal, and exp of minus a Manhattan distance. The scales a, b, the share m and
the noise v maximise the marginal likelihood over a small grid, which also finds how much the
spectra say; s² has a closed form.

In a search that begins from the atlas, two candidates are alike, above all, if the atlas's T tasks
treat them alike. With the standings r of `atlas.mean`,

    k(f, g) ← (1 - RESULTS) k(f, g) + RESULTS s² e(d_r(f, g) / RESULT_SCALE),
    d_r(f, g)² = mean over tasks of (r(f, t) - r(g, t))².

Values enter as Savage scores, -log(1 - (rank - 1/2) / n), exponential quantiles of their ranks:
failed trainings lie far below and would decide everything, the best few should. The score of a
candidate is its predicted mean plus one standard deviation (an upper confidence bound): with
noisy values, expected improvement over the best of them stayed near it for too long.

Equations are of Efficient Activation Function Optimization through Surrogate Modeling; the
process is not in that paper. The kernel's form, the scores, the bound and the grid were chosen on
the first 680 trainings of the project's benchmark (28 %, a random sample), what is taken from the
atlas on its eight tasks, each left out in turn.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._optional import require
from .embedding import nearest_with_spectrum, prepare_outputs, prepare_spectra
from .regressor import Regressor

#: The grid: scales a of outputs and b of spectra, shares m of the spectra (or none), noise v.
OUTPUT_SCALES = (0.1, 0.3, 1.0, 3.0)
SPECTRUM_SCALES = (0.3, 1.0, 3.0)
SHARES = (0.25, 0.5)
NOISE = (0.01, 0.1)

#: Share of the kernel on standings in the atlas's tasks, and its scale.
RESULTS = 0.7
RESULT_SCALE = 0.7

#: Standard deviations added to the mean.
OPTIMISM = 1.0

_COMPONENTS = 50
_BINS = 1024
_BLOCK = 256  # candidates whose spectra are compared at once


@dataclasses.dataclass(frozen=True)
class Distances:
    """Distances between candidates, each divided by its median over pairs.

    Attributes:
        same: d_o(f, g), (candidates, others), or None without outputs.
        opposite: d_o(f, -g), the same shape, or None.
        norms: d_o(f, -f), (candidates,), and (others,), or None.
        spectra: d_s(f, g), the same shape as `same`, or None without spectra.
        results: d_r(f, g), the same shape, not divided by anything; None without the atlas.
    """

    same: Any
    opposite: Any
    norms: Any
    spectra: Any
    results: Any = None

    def rows(self, rows: ArrayLike) -> "Distances":
        """The distances of some candidates."""
        norms = None if self.norms is None else (self.norms[0][rows], self.norms[1])
        same, opposite, spectra, results = (
            None if part is None else part[rows]
            for part in (self.same, self.opposite, self.spectra, self.results)
        )
        return Distances(same, opposite, norms, spectra, results)


class DistanceTable:
    """The distances of all candidates of a pool to some; each is computed once.

    Args:
        outputs: As in `embed`, or None to compare spectra alone.
        cdfs: As in `embed`, or None to compare outputs alone. A candidate without a spectrum
            has that of the nearest by outputs.
        weights: As in `embed`.
        standings: Those of the candidates in the atlas's tasks, (candidates, tasks), or None.

    Raises:
        ValueError: If there is neither, or no outputs and a spectrum is missing.
    """

    def __init__(
        self, outputs: Any = None, cdfs: Any = None, weights: Any = None, standings: Any = None
    ):
        self.standings = standings
        self.points = self.spectra = None
        if outputs is not None:
            outputs = prepare_outputs(outputs)
            self.points = _directions(outputs)
            self.points /= _median_distance(self.points, 2)
        if cdfs is not None:
            spectra = prepare_spectra(cdfs, weights)
            if spectra is not None:
                rows, nearest = nearest_with_spectrum(outputs, spectra)
                spectra = spectra[rows][nearest]
                spectra = _pooled(spectra)
                self.spectra = spectra / np.float32(_median_distance(spectra, 1))
        if self.points is None and self.spectra is None:
            raise ValueError("A process on distances needs outputs or spectra of the candidates.")
        self._columns: dict = {}

    def to(self, known: Sequence[int]) -> Distances:
        """`Distances` from every candidate to known ones, (candidates, known)."""
        for row in known:
            if row not in self._columns:
                self._columns[row] = self._column(row)
        parts = zip(*(self._columns[row] for row in known), strict=True)
        same, opposite, spectra, results = (
            None if part[0] is None else np.stack(part, axis=1).astype("float64") for part in parts
        )
        norms = None
        if self.points is not None:
            own = 2 * np.linalg.norm(self.points, axis=1)
            norms = own, own[known]
        return Distances(same, opposite, norms, spectra, results)

    def _column(self, row):
        same = opposite = spectra = results = None
        if self.points is not None:
            same = np.linalg.norm(self.points - self.points[row], axis=1).astype("float32")
            opposite = np.linalg.norm(self.points + self.points[row], axis=1).astype("float32")
        if self.spectra is not None:
            spectra = np.concatenate(
                [
                    np.abs(self.spectra[i : i + _BLOCK] - self.spectra[row]).sum(1)
                    for i in range(0, len(self.spectra), _BLOCK)
                ]
            )
        if self.standings is not None:
            results = np.sqrt(((self.standings - self.standings[row]) ** 2).mean(1))
        return same, opposite, spectra, results


def correlation(
    distances: Distances, output_scale: float, spectrum_scale: float, share: float
) -> np.ndarray:
    """k(f, g) / s² of the module's formula; a feature that is missing leaves all to the other.

    Args:
        distances: `Distances`.
        output_scale: a.
        spectrum_scale: b.
        share: m.

    Returns:
        The shape of the distances.
    """
    total = np.zeros(())
    if distances.spectra is None:
        share = 0.0
    elif distances.same is None:
        share = 1.0
    if share < 1:
        own, other = (1 + _bell(norm / output_scale) for norm in distances.norms)
        both = _bell(distances.same / output_scale) + _bell(distances.opposite / output_scale)
        total = (1 - share) * both / np.sqrt(np.multiply.outer(own, other))
    if share > 0:
        total = total + share * np.exp(-distances.spectra / spectrum_scale)
    if distances.results is not None:
        total = (1 - RESULTS) * total + RESULTS * _bell(distances.results / RESULT_SCALE)
    return total


def savage_scores(values: ArrayLike) -> np.ndarray:
    """Replace values by exponential quantiles of their ranks: -log(1 - (rank - 1/2) / n).

    Equal values share the mean of their ranks.

    Example:
    ```python
    savage_scores([0.1, 0.8, 0.7])  # [0.182, 1.792, 0.693]
    ```
    """
    ranks = require("scipy.stats", extra="search").rankdata(values)
    return -np.log1p(-(ranks - 0.5) / len(ranks))


class DistanceProcess(Regressor):
    """Gaussian process on output and spectrum distances, with an upper confidence bound.

    Args:
        seed: Not used, nothing is random here; every regressor takes one.

    Example:
    ```python
    from keras_actfn.search.surrogate import CandidateFeatures, suggest

    features = CandidateFeatures(np.random.default_rng(0).normal(size=(5, 50)))
    row = suggest(features, [0, 3], [0.8, 0.1], [1, 2, 4], regressor="distance_gp")
    ```
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, features: Any, known: np.ndarray, values: np.ndarray) -> "DistanceProcess":
        """See `Regressor.fit`."""
        return self.fit_scores(features, known, savage_scores(values))

    def fit_scores(self, features: Any, known: np.ndarray, target: np.ndarray) -> "DistanceProcess":
        """The same for values that are scores already, which may have any sign.

        Args:
            features: The pool's `CandidateFeatures`.
            known: Rows of known candidates, (known,).
            target: Their scores, (known,), higher is better, finite.
        """
        linalg = require("scipy.linalg", extra="search")
        rows = [int(row) for row in known]
        self.distances = features.distances.to(rows)
        among = self.distances.rows(rows)
        self.mean = target.mean()
        target = target - self.mean
        best = -np.inf
        for setting in _grid(among):
            correlations = correlation(among, *setting)
            for noise in NOISE:
                noisy = correlations + noise * np.eye(len(target))
                factor = linalg.cholesky(noisy, lower=True, check_finite=False)
                solved = linalg.solve_triangular(factor, target, lower=True, check_finite=False)
                # Values that are all equal would have the variance zero.
                variance = max(float(solved @ solved) / len(target), 1e-12)
                likelihood = -0.5 * len(target) * np.log(variance) - np.log(np.diag(factor)).sum()
                if likelihood > best:
                    best = likelihood
                    self.setting, self.noise = setting, noise
                    self.factor, self.solved, self.variance = factor, solved, variance
        return self

    def predict(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations of candidates' Savage scores, (rows,) each."""
        linalg = require("scipy.linalg", extra="search")
        cross = correlation(self.distances.rows(rows), *self.setting)
        whitened = linalg.solve_triangular(self.factor, cross.T, lower=True, check_finite=False)
        rest = np.maximum(1.0 - (whitened**2).sum(0), 0.0)
        return self.mean + whitened.T @ self.solved, np.sqrt(self.variance * rest)

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """See `Regressor.scores`."""
        mean, deviation = self.predict(rows)
        return mean + OPTIMISM * deviation


def _grid(distances):
    """The settings to compare: scales or shares that change nothing are not varied."""
    if distances.same is None:
        return [(1.0, scale, 1.0) for scale in SPECTRUM_SCALES]
    settings = [(scale, 1.0, 0.0) for scale in OUTPUT_SCALES]
    if distances.spectra is not None:
        settings += itertools.product(OUTPUT_SCALES, SPECTRUM_SCALES, SHARES)
    return settings


def _bell(distance):
    return np.exp(-0.5 * distance**2)


def _directions(outputs):
    """Coordinates, 50 at most, that keep the distances of outputs and of their negatives."""
    outputs = outputs.astype("float64")
    if min(outputs.shape) <= _COMPONENTS:
        return outputs
    decomposition = require("sklearn.decomposition", extra="search")
    return decomposition.TruncatedSVD(_COMPONENTS, random_state=0).fit_transform(outputs)


def _pooled(spectra):
    """Spectra with neighbouring bins added up until at most `_BINS` are left.

    The Manhattan distance of two spectra stays the same wherever one of them is the greater in
    all the bins that are added, which is nearly everywhere: distributions seldom cross.
    """
    width = -(-spectra.shape[1] // _BINS)
    if width == 1:
        return spectra
    return np.add.reduceat(spectra, np.arange(0, spectra.shape[1], width), axis=1)


def _median_distance(points, order):
    """The median distance of random pairs, leaving out those that are equal."""
    first, second = np.random.default_rng(0).integers(len(points), size=(2, 2000))
    distances = np.linalg.norm(points[first] - points[second], order, axis=1)
    positive = distances[distances > 0]
    return float(np.median(positive)) if len(positive) else 1.0
