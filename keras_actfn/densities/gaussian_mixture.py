"""One-dimensional Gaussian mixtures and their partial moments.

    x | y = k  ~  N(μ_k, σ_k²),    P(y = k) = p_k        (correlation objectives, Eq. 3)

The paper has one σ and equal priors; here both may differ between classes. All
arithmetic is NumPy in float64.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._optional import require


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """Class-conditional Gaussians of the input of one unit.

    Args:
        means: μ_k, one per class, in any order.
        std: σ, one for all classes or one each; in the units of x.
        priors: p_k, positive and summing to one; equal when `None`.

    Raises:
        ValueError: If the shapes disagree, a standard deviation is not positive or
            the priors are not a probability vector.

    Example:
        >>> mixture = GaussianMixture(means=np.linspace(-3, 3, 8), std=1.0)
        >>> mixture.classes
        8
    """

    # Anything like an array comes in, float64 arrays of shape (K,) are kept.
    means: Any
    std: Any
    priors: Any = None

    def __post_init__(self) -> None:
        means = np.atleast_1d(np.asarray(self.means, dtype=np.float64))
        if means.ndim != 1 or means.size == 0 or not np.isfinite(means).all():
            raise ValueError(
                "`means` must be a list of finite numbers, one per class. "
                f"Received shape {np.shape(self.means)}: {self.means!r}"
            )
        std = np.asarray(self.std, dtype=np.float64)
        if std.ndim > 1 or (std.ndim == 1 and std.size not in (1, means.size)):
            raise ValueError(
                f"`std` must be one number or one for each of the {means.size} means. "
                f"Received shape {std.shape}."
            )
        if not (np.isfinite(std).all() and (std > 0).all()):
            raise ValueError(f"`std` must be positive and finite. Received: {self.std!r}")
        if self.priors is None:
            priors = np.full(means.size, 1.0 / means.size)
        else:
            priors = np.asarray(self.priors, dtype=np.float64)
            if priors.shape != means.shape:
                raise ValueError(
                    f"`priors` must have one entry for each of the {means.size} means. "
                    f"Received shape {priors.shape}."
                )
            if not (priors > 0).all() or abs(priors.sum() - 1.0) > 1e-9:
                raise ValueError(
                    "`priors` must be positive and sum to one. "
                    f"Received: {self.priors!r} (sum {priors.sum():.9g})"
                )
        object.__setattr__(self, "means", means)
        object.__setattr__(self, "std", np.broadcast_to(std.reshape(-1), means.shape).copy())
        object.__setattr__(self, "priors", priors)

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return self.means.size

    def _standardised(self, x):
        return (np.asarray(x, dtype=np.float64)[..., None] - self.means) / self.std

    def class_log_densities(self, x: ArrayLike) -> np.ndarray:
        """Log of p_k p(x | k), with a trailing class axis."""
        z = self._standardised(x)
        return np.log(self.priors / (self.std * np.sqrt(2 * np.pi))) - 0.5 * z * z

    def logpdf(self, x: ArrayLike) -> np.ndarray:
        """Logarithm of the density of x."""
        logs = self.class_log_densities(x)
        top = logs.max(axis=-1)
        return top + np.log(np.exp(logs - top[..., None]).sum(axis=-1))

    def pdf(self, x: ArrayLike) -> np.ndarray:
        """Density of x."""
        return np.exp(self.logpdf(x))

    def cdf(self, x: ArrayLike) -> np.ndarray:
        """Distribution function of x."""
        special = require("scipy.special", extra="theory")
        return special.ndtr(self._standardised(x)) @ self.priors

    def posterior(self, x: ArrayLike) -> np.ndarray:
        """P(y = k | x), with a trailing class axis."""
        logs = self.class_log_densities(x)
        weights = np.exp(logs - logs.max(axis=-1, keepdims=True))
        return weights / weights.sum(axis=-1, keepdims=True)

    def support(self) -> tuple[float, float]:
        """The interval where x lies: the whole line."""
        return -np.inf, np.inf

    def mean(self) -> float:
        """Mean of x."""
        return float(self.priors @ self.means)

    def variance(self) -> float:
        """Variance of x."""
        return float(self.priors @ (self.std**2 + (self.means - self.mean()) ** 2))

    def sample(
        self, size: int, seed: int | np.random.Generator = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw `size` pairs (x, class index)."""
        generator = np.random.default_rng(seed)
        labels = generator.choice(self.classes, size=size, p=self.priors)
        return generator.normal(self.means[labels], self.std[labels]), labels

    def partial_moments(self, low: ArrayLike, high: ArrayLike, origin: ArrayLike) -> np.ndarray:
        """Moments of x − origin on [low, high], per class.

            M_j = ∫_low^high (x − origin)^j p(x | k) dx,    j = 0, 1, 2

        With m = μ_k − origin, α = (low − μ_k)/σ_k and β = (high − μ_k)/σ_k:

            M0 = Φ(β) − Φ(α)
            M1 = m M0 − σ (φ(β) − φ(α))
            M2 = (m² + σ²) M0 − σ [(high − origin + m) φ(β) − (low − origin + m) φ(α)]

        Eq. 4 of the paper prints M1 with the opposite sign, σ² for σ, and divides by
        M0 instead of weighting the segments by it; these are the moments that agree
        with quadrature.

        Args:
            low: Left ends, shape (segments,); −inf is allowed.
            high: Right ends, shape (segments,); inf is allowed.
            origin: Where the coordinate starts in each segment, shape (segments,).

        Returns:
            Array of shape (classes, segments, 3).
        """
        special = require("scipy.special", extra="theory")
        low, high, origin = (np.asarray(v, dtype=np.float64) for v in (low, high, origin))
        mean, std = self.means[:, None], self.std[:, None]
        alpha, beta = (low - mean) / std, (high - mean) / std
        shift = mean - origin
        # The difference is taken on the side of the mean where Φ is small: no cancellation.
        mass = np.where(
            alpha > 0,
            special.ndtr(-alpha) - special.ndtr(-beta),
            special.ndtr(beta) - special.ndtr(alpha),
        )

        def boundary(z, x):
            density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
            arm = np.where(np.isfinite(x), x - origin, 0.0) + shift
            return density, arm * density

        phi_low, arm_low = boundary(alpha, low)
        phi_high, arm_high = boundary(beta, high)
        first = shift * mass - std * (phi_high - phi_low)
        second = (shift**2 + std**2) * mass - std * (arm_high - arm_low)
        return np.stack([mass, first, second], axis=-1)
