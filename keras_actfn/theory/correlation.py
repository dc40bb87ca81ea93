"""The correlation objective for one unit: value, gradient, optimum and training.

For an input x with class label y and f piecewise linear on given knots,

    ρ_k = Corr(f(x), 1[y = k]),    L(f) = Σ_{ρ_k<0} ρ_k² − Σ_{ρ_k>0} ρ_k² = −Σ ρ_k |ρ_k|

("Learning Activation Functions via Correlation Objectives", Eqs. 1, 2). L does not change
when f is shifted or scaled by c > 0, L(−f) = −L(f), and |L| ≤ (K − 2)/(K − 1). The zero-sum
rule that the paper states for ρ holds for equal priors; in general
Σ √(p_k (1 − p_k)) ρ_k = 0.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from ..densities import GaussianMixture
from . import sign_patterns
from .class_statistics import (
    ClassStatistics,
    check_extrapolation,
    check_knots,
    mixture_moments,
    sample_moments,
)
from .knot_training import Training, train_knots
from .shapes import (
    compare_layer_shapes,
    compare_shapes,
    fit_gelu,
    fit_relu,
    fit_sigmoid,
    fit_softplus,
    fit_swish,
)
from .sign_patterns import Optimum

__all__ = [
    "CorrelationObjective",
    "GaussianMixture",
    "Optimum",
    "Training",
    "TwoClassOptimum",
    "UnrestrictedOptimum",
    "compare_layer_shapes",
    "compare_shapes",
    "fit_gelu",
    "fit_relu",
    "fit_sigmoid",
    "fit_softplus",
    "fit_swish",
    "posterior_statistics",
    "two_class_optimum",
]


class CorrelationObjective:
    """L(f) over the knot values of a piecewise-linear f, exactly, for a Gaussian mixture.

    Args:
        mixture: `GaussianMixture` of the input.
        knots: Knot positions in increasing order, shape (S,); any spacing.
        extrapolation: How f goes on outside the knots: `"linear"` along the end segments,
            `"clamp"` constant. The paper leaves it open.

    Example:
        >>> mixture = GaussianMixture(np.linspace(-3, 3, 8), std=1.0)
        >>> objective = CorrelationObjective(mixture, np.linspace(-3, 3, 33), "clamp")
        >>> round(float(objective.optimum().objective), 6)
        -0.319266
    """

    def __init__(self, mixture: GaussianMixture, knots: ArrayLike, extrapolation: str = "linear"):
        self.mixture: GaussianMixture | None = mixture
        self.knots = check_knots(knots)
        self.extrapolation = check_extrapolation(extrapolation)
        self.statistics = ClassStatistics.from_segment_moments(
            mixture.priors, mixture_moments(mixture, self.knots, self.extrapolation)
        )
        self._order = np.argsort(mixture.means, kind="stable")

    @classmethod
    def from_samples(
        cls, x: ArrayLike, labels: ArrayLike, knots: ArrayLike, extrapolation: str = "linear"
    ) -> Self:
        """The objective of the empirical distribution of samples.

        Args:
            x: Inputs, shape (n,).
            labels: Integer class of each input, shape (n,); classes are those that occur.
            knots: As in the constructor.
            extrapolation: As in the constructor.

        Raises:
            ValueError: If the lengths differ or an input is not finite.
        """
        x = np.asarray(x, dtype=np.float64).reshape(-1)
        labels = np.asarray(labels).reshape(-1)
        if x.size != labels.size or x.size == 0:
            raise ValueError(
                "`x` and `labels` must have the same length and not be empty. "
                f"Received {x.size} inputs and {labels.size} labels."
            )
        if not np.isfinite(x).all():
            raise ValueError("`x` must be finite; it holds NaN or infinity.")
        names, index = np.unique(labels, return_inverse=True)
        self = cls.__new__(cls)
        self.mixture = None
        self.knots = check_knots(knots)
        self.extrapolation = check_extrapolation(extrapolation)
        moments = sample_moments(x, index, names.size, self.knots, self.extrapolation)
        counts = np.bincount(index)
        self.statistics = ClassStatistics.from_segment_moments(counts / x.size, moments)
        self._order = np.argsort(np.bincount(index, x) / counts, kind="stable")
        return self

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return self.statistics.classes

    def _checked(self, y: ArrayLike) -> np.ndarray:
        y = np.asarray(y, dtype=np.float64)
        if y.shape != self.knots.shape:
            raise ValueError(
                f"`y` must hold one value for each of the {self.knots.size} knots. "
                f"Received shape {y.shape}."
            )
        if not self.statistics.varies(y):
            raise ValueError(
                "Correlations need a function that varies over the inputs; these knot values "
                "give a constant one."
            )
        return y

    def value(self, y: ArrayLike) -> float:
        """L at knot values `y`, shape (S,)."""
        return float(self.statistics.value(self._checked(y)))

    def gradient(self, y: ArrayLike) -> np.ndarray:
        """∂L/∂y, shape (S,)."""
        return self.statistics.gradient(self._checked(y))

    def correlations(self, y: ArrayLike) -> np.ndarray:
        """ρ_k, shape (K,), in the order of the mixture's classes."""
        return self.statistics.correlations(self._checked(y))

    def optimum(self, certify: bool = False) -> Optimum:
        """The exact global optimum (see `keras_actfn.theory.sign_patterns`).

        Args:
            certify: Prove it by trying all 2^K sign patterns; K ≤ 10.

        Raises:
            ValueError: For two classes, which have no optimum; use `two_class_optimum`.
        """
        return sign_patterns.solve(self.statistics, order=self._order, certify=certify)

    def train(self, method: str = "adam", data: str = "analytic", **options: Any) -> Training:
        """Find knot values by gradient descent, as the paper does (Section 3.1).

        Args:
            method: `"adam"`, the paper's, or `"sgd"`.
            data: `"analytic"` uses the exact gradient, `"samples"` that of fresh draws from
                the mixture at every step.
            **options: `steps`, `learning_rate`, `initial`, `batch_size`, `seed`,
                `projection`: see `keras_actfn.theory.knot_training.train_knots`.

        Raises:
            ValueError: For two classes, an unknown name, or `data="samples"` on an objective
                that was itself made from samples.
        """
        if self.classes < 3:
            raise ValueError(sign_patterns.TWO_CLASSES)
        return train_knots(self, method=method, data=data, **options)


@dataclass(frozen=True, eq=False)
class TwoClassOptimum:
    """The function that correlates best with the second of two classes.

    Attributes:
        values: Knot values in the gauge f(leftmost knot) = 0, Var f = 1.
        correlation: ρ_2.
        unrestricted_correlation: ρ_2 of the posterior P(y = 2 | x), the best over all f.
        slope: Slope of the posterior's log odds, (μ_2 − μ_1)/σ², for equal σ; else `None`.
        centre: Where the posterior is one half, for equal σ; else `None`.
    """

    values: np.ndarray
    correlation: float
    unrestricted_correlation: float
    slope: float | None
    centre: float | None


def two_class_optimum(
    mixture: GaussianMixture, knots: ArrayLike, extrapolation: str = "linear"
) -> TwoClassOptimum:
    """Maximise ρ_2 for two classes, where L itself is identically zero.

        y ∝ V⁺ d_2,    ρ_2 = √(d_2ᵀ V⁺ d_2)

    Over all functions the optimum is the posterior P(y = 2 | x), a sigmoid of slope
    (μ_2 − μ_1)/σ² when both classes have the same σ.

    Args:
        mixture: A `GaussianMixture` of two classes.
        knots: Knot positions in increasing order.
        extrapolation: `"linear"` or `"clamp"`.

    Raises:
        ValueError: If the mixture does not have two classes.
    """
    if mixture.classes != 2:
        raise ValueError(
            f"two_class_optimum takes a mixture of two classes; this one has {mixture.classes}. "
            "Use CorrelationObjective(...).optimum()."
        )
    statistics = CorrelationObjective(mixture, knots, extrapolation).statistics
    root = sign_patterns.whiten(statistics.covariance)
    projected = statistics.contrasts[1] @ root
    values = statistics.unit_variance(root @ projected)
    slope = centre = None
    if mixture.std[0] == mixture.std[1]:
        slope = float((mixture.means[1] - mixture.means[0]) / mixture.std[0] ** 2)
        odds = np.log(mixture.priors[1] / mixture.priors[0])
        centre = float(mixture.means.mean() - odds / slope) if slope else None
    posterior = posterior_statistics(mixture)
    return TwoClassOptimum(
        values=values,
        correlation=float(np.linalg.norm(projected)),
        unrestricted_correlation=float(posterior.correlations(np.array([0.0, 1.0]))[1]),
        slope=slope,
        centre=centre,
    )


def posterior_statistics(mixture: GaussianMixture, points: int = 64) -> ClassStatistics:
    """Statistics of the basis P(k | x), by Gauss-Legendre panels one σ wide.

    Args:
        mixture: The mixture.
        points: Nodes per panel.
    """
    reach = 12.0 * mixture.std
    low, high = (mixture.means - reach).min(), (mixture.means + reach).max()
    panels = max(int(np.ceil((high - low) / mixture.std.min())), 1)
    edges = np.linspace(low, high, panels + 1)
    nodes, weights = np.polynomial.legendre.leggauss(points)
    half = np.diff(edges)[:, None] / 2
    x = (edges[:-1, None] + half * (nodes + 1)).ravel()
    mass = (half * weights).ravel() * mixture.pdf(x)
    posterior = mixture.posterior(x)
    second = (posterior * mass[:, None]).T @ posterior
    return ClassStatistics(mixture.priors, second / mixture.priors[:, None], second)


class UnrestrictedOptimum:
    """The optimum of L over all functions of x, a mixture of class posteriors.

        f*(x) = Σ_k |ρ_k| P(k | x) / √(p_k (1 − p_k))

    ρ being the correlations of f* itself. It is bounded, so Swish, which is not, is never
    exactly optimal. Solved on the basis P(k | x), to which every stationary f belongs.

    Args:
        mixture: A `GaussianMixture` of three or more classes.

    Attributes:
        objective: L(f*), a lower bound for every piecewise-linear f.
        correlations: ρ_k, shape (K,).

    Raises:
        ValueError: If the mixture has two classes.
    """

    def __init__(self, mixture: GaussianMixture):
        self.mixture = mixture
        optimum = sign_patterns.solve(
            posterior_statistics(mixture), order=np.argsort(mixture.means)
        )
        self.objective = optimum.objective
        self.correlations = optimum.correlations
        self._scale, self._shift = 1.0, 0.0
        x = np.linspace(
            (mixture.means - 12 * mixture.std).min(),
            (mixture.means + 12 * mixture.std).max(),
            20001,
        )
        mass = mixture.pdf(x)
        mass = mass / mass.sum()
        values = self._raw(x)
        self._shift = float(mass @ values)
        self._scale = float(np.sqrt(mass @ (values - self._shift) ** 2))

    def _raw(self, x):
        priors = self.mixture.priors
        weights = np.abs(self.correlations) / np.sqrt(priors * (1.0 - priors))
        return self.mixture.posterior(x) @ weights

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """f*(x) with mean zero and variance one under the mixture."""
        return (self._raw(x) - self._shift) / self._scale
