"""Which function a search evaluates next."""

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .._files import write_npz
from .._version import __version__
from .atlas.prior import AtlasPrior, expected_in_pool
from .embedding import check_method, embed, read_coordinates
from .feature_store import FeatureStore
from .sampler import CandidateSampler, evaluations_of
from .surrogate import CandidateFeatures, get_regressor, scores_of, suggest


class Chooser:
    """Chooses what to evaluate: the first functions, then what the surrogate expects most of.

    Candidates are the functions with a valid spectrum. Their features are embedded once, and
    again only when spectra have arrived; the embedding is kept in the folder, so that a search
    that goes on sees the same map. A regressor that needs no map, such as `distance_gp`, does not
    wait for one.

    Args:
        pool: A `Pool`.
        store: A `FeatureStore`.
        folder: Where embeddings are kept.
        first: Numbers of the functions to evaluate first.
        regressor: A name of `REGRESSORS`, or a scikit-learn regressor.
        embedding: A name of `EMBEDDINGS`.
        seed: Seed of the embedding and the regressor.
        prior: The `AtlasPrior` that the surrogate begins from, or None.
        optional: Those of the first functions that are left out if their spectrum is invalid.
    """

    def __init__(
        self,
        pool: Any,
        store: FeatureStore,
        folder: Path,
        first: Iterable[int],
        regressor: object = "knr",
        embedding: str = "union",
        seed: int = 0,
        prior: AtlasPrior | None = None,
        optional: Iterable[int] = (),
    ) -> None:
        self.pool = pool
        self._store = store
        self._folder = folder
        self._all_first = tuple(first)
        self._prior = prior
        self._optional = frozenset(optional)
        self.regressor = get_regressor(regressor, seed)
        self.embedding = check_method(embedding)
        self._seed = seed
        self._ids: Any = None
        self._features: Any = None
        self._first: Any = None

    def refresh(self) -> None:
        """Look for new spectra before the next choice."""
        self._ids = self._features = self._first = None

    def sampler(self) -> CandidateSampler:
        """An Optuna sampler that chooses among the candidates."""
        return CandidateSampler(self.choose, self._seed)

    @property
    def ids(self) -> np.ndarray:
        """Numbers of the functions with a valid spectrum, ascending."""
        if self._ids is None:
            self._load()
        return self._ids

    @property
    def first(self) -> tuple[int, ...]:
        """Numbers of the functions to evaluate first."""
        if self._first is None:
            self._load()
        return self._first

    @property
    def features(self) -> CandidateFeatures:
        """Their outputs, spectra and map, as `CandidateFeatures`."""
        if self._features is None:
            self._load()
        return self._features

    def _load(self):
        found = self._store.load()
        # Functions that joined another study of the same folder are none of this one's.
        order = np.flatnonzero(self.pool.holds(found.ids))
        self._ids = found.ids[order]
        # A network of fewer than a hundred weights a layer has no bins: outputs must do.
        cdfs = found.cdfs[order] if found.cdfs.shape[1] else None
        weights = None if cdfs is None else found.weights
        invalid = self._optional & found.invalid.keys()
        self._first = tuple(number for number in self._all_first if number not in invalid)
        outputs = self.pool.outputs(self._ids)
        prior = self._prior
        self._features = CandidateFeatures(
            outputs,
            cdfs,
            weights,
            functools.partial(self._coordinates, self._ids, outputs, cdfs, weights),
            None if prior is None else functools.partial(self._expected, prior, self._ids),
        )

    def _expected(self, prior, ids):
        """What the atlas expects of the candidates."""
        return expected_in_pool(prior, self.pool, ids)

    def _coordinates(self, ids, outputs, cdfs, weights):
        """The map of the candidates, computed once for the same candidates."""
        if not len(ids):
            return np.zeros((0, 2))
        asked = f"{__version__} {self.embedding} {self._seed} weighted".encode()
        key = hashlib.sha256(asked + ids.tobytes()).hexdigest()[:20]
        path = self._folder / f"embedding-{key}.npz"
        found = read_coordinates(path, len(ids))
        if found is not None:
            return found
        coordinates = embed(outputs, cdfs, weights=weights, method=self.embedding, seed=self._seed)
        write_npz(path, coordinates=coordinates)
        return coordinates

    def choose(self, known: list[int], values: list[float], taken: set[int]) -> int:
        """The number of the function to evaluate next.

        Args:
            known: Numbers of the evaluated functions.
            values: Their values, more being better; NaN for a failure.
            taken: Set of the numbers that are evaluated or being evaluated.

        Raises:
            ValueError: If no function is left.
        """
        for number in self.first:
            if number not in taken:
                return number
        rows = {int(number): row for row, number in enumerate(self.ids)}
        available = np.array([row for number, row in rows.items() if number not in taken], int)
        if not len(available):
            raise ValueError("Every function with a valid spectrum is evaluated. Probe more.")
        pairs = [(rows[n], v) for n, v in zip(known, values, strict=True) if n in rows]
        evaluated = np.array([row for row, _ in pairs], int)
        row = suggest(
            self.features,
            evaluated,
            np.array([value for _, value in pairs], float),
            available,
            self.regressor,
            seed=self._seed + len(known),
        )
        return int(self.ids[row])

    def choose_for(self, study: Any) -> int:
        """`choose` with the evaluations of an Optuna study."""
        return self.choose(*evaluations_of(study))

    def expected(self, study: Any, numbers: Iterable[int]) -> list[int]:
        """Functions in the order of what is expected of them; none with an invalid spectrum.

        Args:
            study: An Optuna study, whose evaluations decide, with the prior.
            numbers: Numbers of functions.
        """
        known, values, _ = evaluations_of(study)
        rows = {int(number): row for row, number in enumerate(self.ids)}
        pairs = [(rows[n], v) for n, v in zip(known, values, strict=True) if n in rows]
        candidates = [number for number in numbers if number in rows]
        if not candidates:
            return []
        scores = scores_of(
            self.features,
            [row for row, _ in pairs],
            [value for _, value in pairs],
            [rows[number] for number in candidates],
            self.regressor,
            seed=self._seed,
        )
        return [candidates[i] for i in np.argsort(-scores, kind="stable")]

    def left(self, study: Any) -> bool:
        """Whether any function is left to evaluate."""
        taken = evaluations_of(study)[2]
        return bool({*self.first, *map(int, self.ids)} - taken)
