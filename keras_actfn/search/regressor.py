"""What every surrogate does: learn from the values that are known, and score other candidates."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .surrogate import CandidateFeatures


class Regressor:
    """A surrogate: `fit` on what is known, then `scores` of candidates, higher is better."""

    def fit(
        self, features: "CandidateFeatures", known: np.ndarray, values: np.ndarray
    ) -> "Regressor":
        """Learn from known candidates.

        Args:
            features: The pool's `CandidateFeatures`.
            known: Their rows, (known,).
            values: Their values, (known,), higher is better, finite; if the features have a prior,
                what it leaves of their scores (`atlas.mean`).

        Returns:
            The regressor itself.
        """
        raise NotImplementedError

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """How promising candidates are: (rows,), finite, the highest is evaluated next."""
        raise NotImplementedError
