"""`BlockSpectrum`: eigenvalues of one layer's Fisher block, kept as factors.

A block Ω ⊗ Γ of |θ_l| weights has the |θ_l| products of the factors' eigenvalues. Only the
factors' eigenvalues are kept; counts and sums are computed from them, and the products appear
only where `log_eigenvalues` is called.

Logarithms are natural. A zero eigenvalue has log −∞ and is counted in the first bin, as is
anything below e^−100; anything above e^100 is counted in the last. Eigenvalues within
rounding of zero, |λ| ≤ d·ε·λ_max for a factor of dimension d and float64's ε, are zeros.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .factors import Pair

LOW, HIGH = -100.0, 100.0
_CHUNK = 1 << 20
_FIGURES = (
    "parameters",
    "positive",
    "max",
    "min_positive",
    "trace",
    "effective_rank",
    "log_determinant",
    "condition_number",
)


@dataclass
class BlockSpectrum:
    """One layer's eigenvalues, as pairs of factors, one pair a group.

    Attributes:
        name: Name of the layer (or of its part).
        parameters: Number of weights |θ_l| = Σ |Ω|·|Γ|.
        pairs: Factor eigenvalues, rounding removed.
        clipped: Sum of the negative factor eigenvalues that were set to zero, relative to the
            sum of all of them in absolute value.
    """

    name: str
    parameters: int
    pairs: list[Pair]
    clipped: float = 0.0

    @classmethod
    def from_raw(cls, name: str, parameters: int, pairs: list[Pair]) -> "BlockSpectrum":
        """Build from computed eigenvalues, setting those within rounding of zero to zero."""
        cleaned, negative, total = [], 0.0, 0.0
        for pair in pairs:
            clean = []
            for values in pair:
                if np.isfinite(values).all():
                    negative -= float(values[values < 0].sum())
                    total += float(np.abs(values).sum())
                    limit = len(values) * np.finfo(np.float64).eps * max(values.max(), 0.0)
                    values = np.where(values > limit, values, 0.0)
                clean.append(np.sort(values))
            cleaned.append(Pair(*clean))
        return cls(name, parameters, cleaned, negative / total if total > 0 else 0.0)

    @property
    def finite(self) -> bool:
        """Whether no factor has an eigenvalue that is NaN or infinite."""
        return all(np.isfinite(v).all() for pair in self.pairs for v in pair)

    @property
    def problem(self) -> str | None:
        """Why the block is not a usable spectrum: not finite, or all zero; else `None`."""
        if not self.finite:
            return "its factors are not finite"
        if not any(o[-1] > 0 and g[-1] > 0 for o, g in self.pairs):
            return "all its eigenvalues are zero"
        return None

    def positive_logs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the sorted log-eigenvalues of each pair's factors, positive ones only."""
        for omega, gamma in self.pairs:
            yield np.log(omega[omega > 0]), np.log(gamma[gamma > 0])

    def log_eigenvalues(self) -> np.ndarray:
        """Return all |θ_l| log-eigenvalues, ascending; zeros give −inf."""
        if not self.finite:
            return np.full(self.parameters, np.nan)
        found = [np.add.outer(a, b).ravel() for a, b in self.positive_logs()]
        sums = np.sort(np.concatenate(found)) if found else np.zeros(0)
        return np.concatenate([np.full(self.parameters - len(sums), -np.inf), sums])

    def histogram(self, bins: int) -> np.ndarray:
        """Count the log-eigenvalues in `bins` equal bins from −100 to 100.

        Returns:
            Integer counts of shape (bins,), whose sum is |θ_l|.
        """
        counts = np.zeros(bins, np.int64)
        if not bins:
            return counts
        scale = bins / (HIGH - LOW)
        for a, b in self.positive_logs():
            if not len(a) or not len(b):
                continue
            a, b = (a - LOW) * scale, b * scale
            step = max(1, _CHUNK // len(b))
            for start in range(0, len(a), step):
                index = np.add.outer(a[start : start + step], b)
                np.clip(index, 0, bins - 1, out=index)
                counts += np.bincount(index.astype(np.int32).ravel(), minlength=bins)
        counts[0] += self.parameters - counts.sum()
        return counts

    def summary(self) -> dict[str, float]:
        """Return the block's figures; see `FisherSpectrum.summary`."""
        if not self.finite:
            return dict.fromkeys(_FIGURES, float("nan")) | {"parameters": self.parameters}
        traces = np.array([o.sum() * g.sum() for o, g in self.pairs])
        trace = float(traces.sum())
        entropy = log_determinant = 0.0
        largest, smallest, positive = 0.0, np.inf, 0
        for (omega, gamma), part in zip(self.pairs, traces, strict=True):
            omega, gamma = omega[omega > 0], gamma[gamma > 0]
            if not len(omega) or not len(gamma):
                continue
            weight = part / trace
            entropy += weight * (_entropy(omega) + _entropy(gamma) - np.log(weight))
            log_determinant += len(gamma) * float(np.log(omega).sum())
            log_determinant += len(omega) * float(np.log(gamma).sum())
            largest = max(largest, float(omega[-1] * gamma[-1]))
            smallest = min(smallest, float(omega[0] * gamma[0]))
            positive += len(omega) * len(gamma)
        return {
            "parameters": self.parameters,
            "positive": positive,
            "max": largest,
            "min_positive": smallest if positive else 0.0,
            "trace": trace,
            "effective_rank": float(np.exp(entropy)) if positive else 0.0,
            "log_determinant": log_determinant,
            "condition_number": largest / smallest if positive else float("nan"),
        }


def _entropy(values):
    p = values / values.sum()
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())
