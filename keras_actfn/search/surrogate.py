"""Surrogates: from the accuracies known so far to the candidate to evaluate next.

A regressor of `REGRESSORS` is fitted on known candidates and scores the others; the highest
score is evaluated next. The published ones (Efficient Activation Function Optimization through
Surrogate Modeling, section 5 and appendix E) are scikit-learn's, out of the box, on the two
coordinates of `embed`. `distance_gp` is this package's own and works on the features'
distances directly; see `distance_process`.

Higher values are better here; negate a loss. An evaluation that failed has the value NaN and
counts as worse than every other, whatever their scale (`below_the_worst`).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._names import nearest
from .._optional import require
from .acquisition import expected_improvement
from .atlas.mean import WithPrior, standings
from .distance_process import DistanceProcess, DistanceTable
from .embedding import embed
from .regressor import Regressor

#: Neighbours of the weighted nearest-neighbour regression (section 5).
NEIGHBORS = 3


@dataclasses.dataclass(eq=False)
class CandidateFeatures:
    """What a surrogate knows about the candidates of a pool before any training.

    Attributes:
        outputs: As in `embed`, (candidates, inputs); None for `distance_gp` on spectra alone.
        cdfs: As in `embed`, (candidates, bins), or None.
        weights: As in `embed`, (bins,), or None.
        coordinates: The candidates in the plane, (candidates, 2), for the regressors that
            work there; or a function that computes them, which is called where they are needed
            first. None if no such regressor is used.
        prior: What tasks of the atlas expect of the candidates, (candidates, tasks), as
            `atlas.prior.AtlasPrior` gives it; or a function that computes it. None: nothing is
            known but the task's own evaluations.

    Example:
    ```python
    outputs = np.random.default_rng(0).normal(size=(900, 50))
    features = CandidateFeatures.embedded(outputs, method="pca")
    row = suggest(features, known=[0, 3, 7], values=[0.8, 0.1, 0.7], available=range(8, 900))
    ```
    """

    outputs: np.ndarray | None
    cdfs: np.ndarray | None = None
    weights: np.ndarray | None = None
    coordinates: np.ndarray | Callable[[], np.ndarray] | None = None
    prior: np.ndarray | Callable[[], np.ndarray] | None = None

    @classmethod
    def embedded(
        cls,
        outputs: np.ndarray | None,
        cdfs: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        *,
        method: str = "union",
        seed: int = 0,
    ) -> "CandidateFeatures":
        """Features with the coordinates that `embed` gives them."""
        return cls(
            outputs, cdfs, weights, embed(outputs, cdfs, weights=weights, method=method, seed=seed)
        )

    def __len__(self) -> int:
        found = self.cdfs if self.outputs is None else self.outputs
        return 0 if found is None else len(found)

    def places(self) -> np.ndarray:
        """The coordinates, computed if need be.

        Raises:
            ValueError: If there are none.
        """
        if self.coordinates is None:
            raise ValueError(
                "This regressor works on coordinates, and the features have none. Make them by "
                "CandidateFeatures.embedded(outputs, cdfs)."
            )
        if callable(self.coordinates):
            self.coordinates = self.coordinates()
        return self.coordinates

    def expectations(self) -> np.ndarray | None:
        """The prior, computed if need be; None if there is none, or of no task."""
        if callable(self.prior):
            self.prior = self.prior()
        return self.prior if self.prior is not None and self.prior.shape[1] else None

    @functools.cached_property
    def distances(self) -> DistanceTable:
        """The candidates' distances by outputs, spectra and the prior: a `DistanceTable`."""
        expected = self.expectations()
        found = None if expected is None else standings(expected)
        return DistanceTable(self.outputs, self.cdfs, self.weights, found)


class PlaneRegressor(Regressor):
    """A scikit-learn regressor on the coordinates in the plane; the score is its prediction.

    Args:
        estimator: The regressor; fitted as a clone.
    """

    def __init__(self, estimator: Any):
        self.estimator = estimator

    def fit(self, features: CandidateFeatures, known: np.ndarray, values: np.ndarray) -> Regressor:
        """See `Regressor.fit`."""
        self.coordinates = features.places()
        self.best = np.max(values)
        self.model = require("sklearn.base", extra="search").clone(self.estimator)
        self._adapt(len(known))
        self.model.fit(self.coordinates[known], values)
        return self

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """See `Regressor.scores`."""
        return self.model.predict(self.coordinates[rows])

    def _adapt(self, known):
        """Change what the number of known candidates requires."""


class KNR(PlaneRegressor):
    """Mean of the three nearest known candidates, weighted by inverse distance: the default.

    With fewer than three known candidates, the mean of all.
    """

    def __init__(self, seed: int = 0) -> None:
        neighbors = require("sklearn.neighbors", extra="search")
        super().__init__(neighbors.KNeighborsRegressor(NEIGHBORS, weights="distance"))

    def _adapt(self, known):
        self.model.set_params(n_neighbors=min(NEIGHBORS, known))


class RFR(PlaneRegressor):
    """Random forest with scikit-learn's default hyperparameters."""

    def __init__(self, seed: int = 0) -> None:
        ensemble = require("sklearn.ensemble", extra="search")
        super().__init__(ensemble.RandomForestRegressor(random_state=seed))


class SVR(PlaneRegressor):
    """Support vector regression with scikit-learn's default hyperparameters."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(require("sklearn.svm", extra="search").SVR())


class GPR(PlaneRegressor):
    """Gaussian process with the kernel exp(-d² / 2); the score is expected improvement.

    The kernel, with length scale one and not fitted, is the one that scikit-learn used by default
    when the paper was written. Values are standardised, and a little noise (10⁻⁶) lets
    candidates share a place.
    """

    def __init__(self, seed: int = 0) -> None:
        process = require("sklearn.gaussian_process", extra="search")
        kernel = process.kernels.RBF(1.0, "fixed")
        super().__init__(process.GaussianProcessRegressor(kernel, alpha=1e-6, normalize_y=True))

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """See `Regressor.scores`."""
        mean, deviation = self.model.predict(self.coordinates[rows], return_std=True)
        return expected_improvement(mean, deviation, self.best)


class RandomSearch(Regressor):
    """The baseline: random scores, whatever is known."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, features: CandidateFeatures, known: np.ndarray, values: np.ndarray) -> Regressor:
        """See `Regressor.fit`."""
        self.random = np.random.default_rng([self.seed, len(known)])
        return self

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """See `Regressor.scores`."""
        return self.random.random(len(rows))


#: Regressors by name: functions of a seed, such as a class; `register_regressor` adds to them.
REGRESSORS: dict[str, Callable[[int], Regressor]] = {
    "knr": KNR,
    "rfr": RFR,
    "svr": SVR,
    "gpr": GPR,
    "distance_gp": DistanceProcess,
    "random": RandomSearch,
}


def register_regressor(name: str, make: Callable[[int], Regressor]) -> None:
    """Give a regressor of your own a name, which `ActivationSearch(regressor=…)` then takes.

    Args:
        name: Its name.
        make: Function of a seed that returns an object with the methods of `Regressor`, or a
            scikit-learn regressor, which is fitted on the coordinates in the plane.

    Raises:
        ValueError: If another regressor has the name.

    For example, `register_regressor("trees", lambda seed: ExtraTreesRegressor(random_state=seed))`,
    and then `ActivationSearch(task, space, regressor="trees")`.
    """
    if REGRESSORS.get(name, make) is not make:
        raise ValueError(f"A regressor's name is not taken. Received: {name!r}. Choose another.")
    REGRESSORS[name] = make


def get_regressor(spec: Any, seed: int = 0) -> Regressor:
    """A regressor from its name, or from a scikit-learn regressor.

    Args:
        spec: A name in `REGRESSORS`, a scikit-learn regressor (fitted on the coordinates in the
            plane), or an object with the methods of `Regressor`.
        seed: Seed of the named ones.

    Raises:
        ValueError: If no regressor has the name.
        TypeError: If `spec` is none of these.
    """
    if isinstance(spec, str):
        if spec not in REGRESSORS:
            hint = nearest(spec, REGRESSORS)
            raise ValueError(
                f"A regressor is one of {', '.join(REGRESSORS)}, or a scikit-learn regressor. "
                f"Received: '{spec}'. {hint}".rstrip()
            )
        return get_regressor(REGRESSORS[spec](seed), seed)
    if not isinstance(spec, type):
        if callable(getattr(spec, "fit", None)) and callable(getattr(spec, "scores", None)):
            return spec
        if callable(getattr(spec, "fit", None)) and callable(getattr(spec, "predict", None)):
            return PlaneRegressor(spec)
    raise TypeError(
        f"A regressor is one of {', '.join(REGRESSORS)}, an instance of a scikit-learn regressor "
        f"with fit and predict, or an object with fit and scores. Received: {spec!r}."
    )


def suggest(
    features: CandidateFeatures,
    known: ArrayLike,
    values: ArrayLike,
    available: ArrayLike,
    regressor: Any = "knr",
    seed: int = 0,
) -> int:
    """The candidate to evaluate next.

    Args:
        features: The pool's `CandidateFeatures`. If they have a prior, the regressor begins from
            it (`atlas.mean`).
        known: Rows of the candidates that were evaluated; if there is none, the suggestion is
            random, or what the features' prior expects most of.
        values: Their values, higher is better; NaN for an evaluation that failed.
        available: Rows to choose from.
        regressor: What `get_regressor` takes.
        seed: Decides between equal scores, and is the regressor's seed.

    Returns:
        A row of `available`: the same for the same arguments.

    Raises:
        ValueError: If nothing is available, or a value is infinite.

    Example:
    ```python
    features = CandidateFeatures(np.random.default_rng(0).normal(size=(5, 50)))
    row = suggest(features, [0, 3], [0.8, 0.1], [1, 2, 4], regressor="distance_gp")
    ```
    """
    available = np.asarray(available, dtype=int)
    if not len(available):
        raise ValueError("Every candidate has been evaluated or is being so; none is available.")
    scores = scores_of(features, known, values, available, regressor, seed)
    best = np.flatnonzero(scores == scores.max())
    return int(available[np.random.default_rng([seed, np.size(known)]).choice(best)])


def scores_of(
    features: CandidateFeatures,
    known: ArrayLike,
    values: ArrayLike,
    rows: ArrayLike,
    regressor: Any = "knr",
    seed: int = 0,
) -> np.ndarray:
    """How promising candidates are: what `suggest` takes the highest of.

    Args:
        features: As in `suggest`.
        known: As in `suggest`.
        values: As in `suggest`.
        rows: Rows of candidates.
        regressor: As in `suggest`.
        seed: As in `suggest`.

    Returns:
        (rows,), finite.

    Raises:
        ValueError: If a value is infinite, or the regressor's scores are not finite.
    """
    known = np.asarray(known, dtype=int)
    values = np.asarray(values, dtype="float64")
    if known.shape != values.shape or np.isinf(values).any():
        raise ValueError(
            "Known candidates have one finite value each, or NaN for an evaluation that failed. "
            f"Received: {len(known)} candidates, {int(np.isinf(values).sum())} infinite of "
            f"{len(values)} values."
        )
    values = below_the_worst(values)
    model = get_regressor(regressor, seed) if len(known) else RandomSearch(seed)
    if features is not None and features.expectations() is not None:
        model = WithPrior(model)
    scores = np.asarray(model.fit(features, known, values).scores(np.asarray(rows, int)), "float64")
    if not np.isfinite(scores).all():
        raise ValueError(
            f"The regressor {regressor!r} gave {int((~np.isfinite(scores)).sum())} scores that are "
            "not finite. Scores must be numbers."
        )
    return scores


def below_the_worst(values: np.ndarray) -> np.ndarray:
    """Values with a number in the place of each NaN: a tenth of their range below the worst.

    So a failure lies behind whatever ended, for a regressor that averages values as for one that
    ranks them, and does not outweigh the differences among the others.

    Args:
        values: Finite numbers and NaN, higher is better.

    Example:
        >>> below_the_worst(np.array([-3.0, np.nan, -1.0])).tolist()
        [-3.0, -3.2, -1.0]
    """
    failed = np.isnan(values)
    if failed.all():
        return np.zeros_like(values)
    worst, best = values[~failed].min(), values[~failed].max()
    step = 0.2 * (best / 2 - worst / 2) or 0.1 * max(abs(worst), 1.0)
    behind = min(worst - step, np.nextafter(worst, -np.inf))
    return np.where(failed, max(behind, np.finfo("float64").min), values)
