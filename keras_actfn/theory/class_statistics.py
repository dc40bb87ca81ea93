"""Sufficient statistics of the correlation objective, and its exact algebra.

A piecewise-linear f with knot values y is f(x) = Σ_s y_s h_s(x), h_s the hat function of
knot s. Everything the objective needs is

    a_k = E[h | y = k]      class means of the hat basis, one row a class
    Q   = E[h hᵀ]           second moments (tridiagonal for hats)
    p_k                     priors

and then, with ā = Σ p_k a_k, V = Q − ā āᵀ and d_k = √(p_k / (1 − p_k)) (a_k − ā):

    ρ_k = d_k·y / √(yᵀ V y)                                       (Eq. 1)
    L   = −Σ_k ρ_k |ρ_k|                                          (Eq. 2)
    ∇L  = −2 [ Σ_k |ρ_k| d_k / σ_f + L V y / σ_f² ],   σ_f² = yᵀ V y

Nothing here depends on where the statistics come from: the same code serves closed-form
Gaussian mixtures, samples, the pre-activations of a network, and any other basis h.

Shapes: `units` stands for any leading axes (one activation function each, such as the
channels of a layer), K for classes, S for knots.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..densities import GaussianMixture

EXTRAPOLATIONS = ("linear", "clamp")

# A function whose variance is below this share of its second moment counts as constant.
CONSTANT = 1e-13


def check_knots(knots: ArrayLike) -> np.ndarray:
    """Return `knots` as a float64 array after checking that they increase."""
    knots = np.asarray(knots, dtype=np.float64)
    if knots.ndim != 1 or knots.size < 2 or not (np.diff(knots) > 0).all():
        raise ValueError(
            "`knots` must be at least two positions in increasing order, as "
            f"np.linspace(-3, 3, 33). Received: {knots!r}"
        )
    return knots


def check_extrapolation(extrapolation: str) -> str:
    """Return `extrapolation` after checking its name."""
    if extrapolation not in EXTRAPOLATIONS:
        raise ValueError(
            "`extrapolation` must be 'linear' (the end segments go on) or 'clamp' (constant "
            f"outside the knots). Received: {extrapolation!r}"
        )
    return extrapolation


def mixture_moments(mixture: GaussianMixture, knots: np.ndarray, extrapolation: str) -> np.ndarray:
    """Per-class moments of the local coordinate t = (x − x_s)/h on every segment.

    Args:
        mixture: A `GaussianMixture`.
        knots: Knot positions, shape (S,).
        extrapolation: `"linear"` lets t run below 0 and above 1 in the end segments;
            `"clamp"` counts the tails at t = 0 and t = 1.

    Returns:
        E[t^j 1{x in segment} | k] for j = 0, 1, 2, shape (K, S − 1, 3).
    """
    low, high = knots[:-1].copy(), knots[1:].copy()
    if extrapolation == "linear":
        low[0], high[-1] = -np.inf, np.inf
    moments = mixture.partial_moments(low, high, origin=knots[:-1])
    moments = moments / np.diff(knots)[:, None] ** np.arange(3)
    if extrapolation == "clamp":
        ends = knots[[0, -1]]
        below, above = mixture.partial_moments([-np.inf, ends[1]], [ends[0], np.inf], ends)[
            :, :, 0
        ].T
        moments[:, 0, 0] += below
        moments[:, -1, :] += above[:, None]
    return moments


def sample_moments(
    x: ArrayLike, labels: ArrayLike, classes: int, knots: np.ndarray, extrapolation: str
) -> np.ndarray:
    """The same moments from samples: averages over the members of each class.

    Args:
        x: Inputs, shape (n,).
        labels: Class indices, shape (n,).
        classes: K; every class must have a member.
        knots: Knot positions, shape (S,).
        extrapolation: As in `mixture_moments`.

    Returns:
        Shape (K, S − 1, 3).
    """
    x = np.asarray(x, dtype=np.float64).reshape(-1)
    labels = np.asarray(labels).reshape(-1)
    segments = knots.size - 1
    index = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, segments - 1)
    t = (x - knots[index]) / np.diff(knots)[index]
    if extrapolation == "clamp":
        t = np.clip(t, 0.0, 1.0)
    cell = labels * segments + index
    sums = [np.bincount(cell, t**j, minlength=classes * segments) for j in range(3)]
    counts = np.bincount(labels, minlength=classes)
    if (counts == 0).any():
        raise ValueError(
            f"Every class needs at least one sample; class {int(np.argmin(counts))} of "
            f"{classes} has none. Draw more samples or leave the class out."
        )
    return np.stack(sums, axis=-1).reshape(classes, segments, 3) / counts[:, None, None]


@dataclass(frozen=True, eq=False)
class ClassStatistics:
    """Priors, class means and second moments of a basis; see the module's text.

    Args:
        priors: p_k, shape (K,).
        means: a_k, shape (units…, K, S).
        second: Q, shape (units…, S, S).
    """

    priors: np.ndarray
    means: np.ndarray
    second: np.ndarray

    @classmethod
    def from_segment_moments(cls, priors: ArrayLike, moments: ArrayLike) -> "ClassStatistics":
        """Assemble hat-basis statistics from local moments on the segments.

        On a segment the left hat is 1 − t and the right one t, so their means are
        (m0 − m1, m1) and their products (m0 − 2 m1 + m2, m1 − m2, m2).

        Args:
            priors: p_k, shape (K,).
            moments: E[t^j 1{segment} | k], shape (units…, K, S − 1, 3).
        """
        priors = np.asarray(priors, dtype=np.float64)
        moments = np.asarray(moments, dtype=np.float64)
        m0, m1, m2 = np.moveaxis(moments, -1, 0)
        knots = moments.shape[-2] + 1
        means = np.zeros((*moments.shape[:-2], knots))
        means[..., :-1] += m0 - m1
        means[..., 1:] += m1

        def pooled(values):
            return np.einsum("k,...ks->...s", priors, values)

        second = np.zeros((*moments.shape[:-3], knots, knots))
        left, right = np.arange(knots - 1), np.arange(1, knots)
        second[..., left, left] += pooled(m0 - 2 * m1 + m2)
        second[..., right, right] += pooled(m2)
        cross = pooled(m1 - m2)
        second[..., left, right] = cross
        second[..., right, left] = cross
        return cls(priors, means, second)

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return self.priors.size

    @property
    def contrasts(self) -> np.ndarray:
        """d_k, shape (units…, K, S)."""
        average = np.einsum("k,...ks->...s", self.priors, self.means)
        weight = np.sqrt(self.priors / (1.0 - self.priors))
        return weight[:, None] * (self.means - average[..., None, :])

    @property
    def covariance(self) -> np.ndarray:
        """V = Q − ā āᵀ, shape (units…, S, S)."""
        average = np.einsum("k,...ks->...s", self.priors, self.means)
        return self.second - average[..., :, None] * average[..., None, :]

    def unit(self, index: Any) -> "ClassStatistics":
        """The statistics of one unit, without leading axes."""
        return ClassStatistics(self.priors, self.means[index], self.second[index])

    def variance(self, y: np.ndarray) -> np.ndarray:
        """Var f(x) = yᵀ V y, shape (units…)."""
        return np.einsum("...s,...st,...t->...", y, self.covariance, y)

    def varies(self, y: np.ndarray) -> np.ndarray:
        """Whether f is not constant on the inputs seen, shape (units…)."""
        square = np.einsum("...s,...st,...t->...", y, self.second, y)
        return self.variance(y) > CONSTANT * np.maximum(square, np.finfo(np.float64).tiny)

    def unit_variance(self, y: np.ndarray) -> np.ndarray:
        """(y − y_0) / √Var f, shape (units…, S): leftmost knot zero, Var f = 1 (Section 2.1).

        A function that is constant on the inputs seen has no direction and becomes all zeros, as
        under `keras_actfn.constraints.anchored_unit_norm`.
        """
        y = np.asarray(y, dtype=np.float64)
        anchored = y - y[..., :1]
        alive = self.varies(anchored)[..., None]
        variance = np.where(alive, self.variance(anchored)[..., None], 1.0)
        return np.where(alive, anchored / np.sqrt(variance), 0.0)

    def correlations(self, y: np.ndarray) -> np.ndarray:
        """ρ_k, shape (units…, K); zero where f is constant."""
        y = np.asarray(y, dtype=np.float64)
        alive = self.varies(y)
        deviation = np.sqrt(np.where(alive, self.variance(y), 1.0))
        rho = np.einsum("...ks,...s->...k", self.contrasts, y) / deviation[..., None]
        return np.where(alive[..., None], rho, 0.0)

    def value(self, y: np.ndarray) -> np.ndarray:
        """L, shape (units…); zero where f is constant."""
        rho = self.correlations(y)
        return -np.sum(rho * np.abs(rho), axis=-1)

    def gradient(self, y: np.ndarray) -> np.ndarray:
        """∂L/∂y, shape (units…, S); zero where f is constant."""
        y = np.asarray(y, dtype=np.float64)
        alive = self.varies(y)
        rho = self.correlations(y)
        variance = np.where(alive, self.variance(y), 1.0)[..., None]
        pull = np.einsum("...k,...ks->...s", np.abs(rho), self.contrasts) / np.sqrt(variance)
        stretch = np.einsum("...st,...t->...s", self.covariance, y) / variance
        gradient = -2.0 * (pull + self.value(y)[..., None] * stretch)
        return np.where(alive[..., None], gradient, 0.0)
