"""Differential entropy of an activation's output, in nats.

For X with density p and a strictly monotone f,

    H(f(X)) = −∫ q log q = h(X) + E log |f′(X)|,    h(X) = −∫ p log p

(EAFO, Section 4.1.2, with the inverse function eliminated). Among functions with a fixed
range the distribution function itself has the largest entropy (Section 4.2, "WAFBC"):

    f = (high − low) F(x) + low,    H = log(high − low).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..densities import Density, as_density
from .eafo import EafoStep, eafo_step, max_step
from .grid import Grid, input_entropy, make_grid
from .monotone import Monotone, monotone_regions, raise_not_monotone, refuse_flat

__all__ = [
    "EafoStep",
    "Wafbc",
    "eafo_step",
    "max_step",
    "monotone_regions",
    "normalised_entropy",
    "output_entropy",
    "wafbc",
]

CELLS = 20_001


@dataclass(frozen=True, eq=False)
class Wafbc:
    """The worst activation function with boundary conditions, C1 · CDF + C2.

    Attributes:
        low: Left end of the range, C2.
        high: Right end of the range, C1 + C2.
        entropy: Its output entropy, log(high − low): the largest for this range.
    """

    low: float
    high: float
    entropy: float
    _density: Density

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """The value low + (high − low) F(x)."""
        return self.low + (self.high - self.low) * np.asarray(self._density.cdf(x))

    def derivative(self, x: ArrayLike) -> np.ndarray:
        """The slope (high − low) p(x)."""
        return (self.high - self.low) * np.exp(self._density.logpdf(x))


def wafbc(density: Any, low: float = 0.0, high: float = 1.0) -> Wafbc:
    """The function of range (low, high) whose output has the largest entropy.

    Args:
        density: A `GaussianMixture`, a frozen SciPy distribution, or samples.
        low: Left end of the range.
        high: Right end of the range.

    Example:
        >>> from scipy.stats import norm
        >>> worst = wafbc(norm(0, 1), -1.0, 1.0)
        >>> round(worst.entropy, 6)
        0.693147
    """
    if not low < high:
        raise ValueError(f"`low` must be below `high`. Received: low={low!r}, high={high!r}")
    return Wafbc(float(low), float(high), float(np.log(high - low)), as_density(density))


def output_entropy(
    activation: Any,
    density: Any,
    *,
    region: tuple[float, float] | None = None,
    derivative: Callable | None = None,
    bandwidth: float | None = None,
) -> float:
    """H(f(X)) for a monotone f; conditional on `region` where one is given.

    Kinks in f or p are allowed here; only an entropy step needs both smooth.

    Args:
        activation: A name, an expression in `x`, or a function on NumPy arrays.
        density: A `GaussianMixture`, a frozen SciPy distribution, or samples.
        region: `(low, high)`; the entropy of f(X) given that X lies in it.
        derivative: f′, when known; differences of f are used otherwise.
        bandwidth: Kernel width for samples.

    Returns:
        Differential entropy in nats.

    Raises:
        ValueError: If f is not strictly monotone where the density has mass; the monotone
            regions are listed.

    Example:
        >>> from scipy.stats import norm
        >>> round(output_entropy("tanh", norm(0, 1)), 6)
        0.669804
    """
    known = as_density(density, region, bandwidth)
    f = Monotone(activation, derivative)
    grid = make_grid(known, CELLS)
    return input_entropy(density, known, grid) + mean_log_slope(f, known, grid)


def mean_log_slope(f: Monotone, known: Density, grid: Grid) -> float:
    """E log |f′(X)|, from closed-form slopes or from differences over fine cells."""
    if f.exact:
        weight = grid.weights * np.exp(known.logpdf(grid.u))
        slopes = f.log_slope(grid.u)
        used = weight > 0
        refuse_flat(f, grid.u[used], np.isneginf(slopes[used]), weight[used])
        return float(weight[used] @ slopes[used])
    edges = grid.u
    mass = np.diff(known.cdf(edges)) / known.mass
    rise = np.diff(f(edges))
    direction = np.sign(mass @ rise)
    noise = 1e-15 * np.abs(f(edges)).max()
    backwards = direction * rise < -noise
    if mass[backwards].sum() > 1e-9:
        raise_not_monotone(f, edges)
    flat = direction * rise <= 0
    refuse_flat(f, edges[:-1], flat & ~backwards, mass)
    kept = ~flat & (mass > 0)
    return float(mass[kept] @ np.log(direction * rise[kept] / np.diff(edges)[kept]))


def normalised_entropy(entropy: float, std: float) -> float:
    """H − log std: entropy with the scale of the output taken out."""
    return float(entropy - np.log(std))
