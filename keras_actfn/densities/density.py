"""Input densities for the entropy tools: analytic, mixtures, or estimated from samples.

A density is known by log p and its distribution function. On an infinite interval it is
followed out to where the probability beyond is `TAIL`. Samples become a Gaussian kernel
estimate whose default bandwidth is the normal-reference rule for *second* derivatives,

    b = std (4 / (7 n))^{1/9},

since an entropy step uses p″; the usual rule for p itself, n^{-1/5}, undersmooths p″.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .gaussian_mixture import GaussianMixture

TAIL = 1e-14
KERNEL_CELLS = 10


@dataclass(frozen=True, eq=False)
class Density:
    """A density conditioned on an interval.

    Attributes:
        log: log p(x), not conditioned.
        cdf: Distribution function, not conditioned.
        low: Left end of the interval, may be −inf.
        high: Right end, may be inf.
        reach: Finite interval that holds all but a share `TAIL` of each tail.
        mass: P(low < X < high), before conditioning.
        finest: Length of the finest detail to resolve, or `None` when unknown.
        samples: The samples the density was made from that lie in the interval, or `None`.
    """

    log: Callable[..., np.ndarray]
    cdf: Callable[..., np.ndarray]
    low: float
    high: float
    reach: tuple[float, float]
    mass: float
    finest: float | None
    samples: np.ndarray | None

    def logpdf(self, x: ArrayLike) -> np.ndarray:
        """Log density given that X lies in the interval."""
        return np.asarray(self.log(x), dtype=np.float64) - np.log(self.mass)

    def quantiles(self, shares: ArrayLike) -> np.ndarray:
        """The positions below which these shares of the probability in the interval lie.

        Samples give their own quantiles, not those of the kernel estimate.
        """
        shares = np.asarray(shares, dtype=np.float64)
        if self.samples is not None:
            return np.quantile(self.samples, shares)
        a, b = (np.full(shares.shape, end) for end in self.reach)
        base = float(self.cdf(self.reach[0]))
        for _ in range(200):
            middle = 0.5 * (a + b)
            below = np.asarray(self.cdf(middle)) - base < shares * self.mass
            a, b = np.where(below, middle, a), np.where(below, b, middle)
        return 0.5 * (a + b)


def kernel_bandwidth(samples: np.ndarray) -> float:
    """Normal-reference bandwidth for the second derivative of a kernel estimate."""
    spread = float(np.std(samples))
    quartiles = np.subtract(*np.percentile(samples, [75, 25])) / 1.349
    if quartiles > 0:
        spread = min(spread, float(quartiles))
    return spread * (4.0 / (7.0 * samples.size)) ** (1.0 / 9.0)


def kernel_estimate(samples: ArrayLike, bandwidth: float | None = None) -> GaussianMixture:
    """A Gaussian kernel estimate as a mixture.

    Samples are first gathered in cells a tenth of the bandwidth wide, by linear
    binning, which keeps the mean and widens the kernel by a thousandth.

    Args:
        samples: At least two finite numbers, not all equal.
        bandwidth: Kernel standard deviation; `kernel_bandwidth(samples)` when `None`.
    """
    samples = np.asarray(samples, dtype=np.float64).reshape(-1)
    if samples.size < 2 or not np.isfinite(samples).all() or np.ptp(samples) == 0:
        raise ValueError(
            "A kernel estimate needs at least two finite samples that are not all equal. "
            f"Received {samples.size} samples."
        )
    if bandwidth is None:
        bandwidth = kernel_bandwidth(samples)
    if not bandwidth > 0:
        raise ValueError(f"`bandwidth` must be positive. Received: {bandwidth!r}")
    cell = bandwidth / KERNEL_CELLS
    first = np.floor(samples.min() / cell)
    position = samples / cell - first
    index = np.floor(position).astype(int)
    share = position - index
    count = index.max() + 2
    weights = np.bincount(index, 1.0 - share, count) + np.bincount(index + 1, share, count)
    kept = np.flatnonzero(weights > 0)
    return GaussianMixture((first + kept) * cell, bandwidth, weights[kept] / weights.sum())


def smooth_density(density: Any, bandwidth: float) -> GaussianMixture:
    """The density of X + bandwidth · N(0, 1), as a mixture of narrow Gaussians.

    Args:
        density: Anything `as_density` takes.
        bandwidth: Standard deviation of the noise added.
    """
    if not bandwidth > 0:
        raise ValueError(f"`smooth` must be a positive bandwidth. Received: {bandwidth!r}")
    if isinstance(density, GaussianMixture):
        std = np.hypot(density.std, bandwidth)
        return GaussianMixture(density.means, std, density.priors)
    known = as_density(density)
    low, high = known.reach
    edges = np.arange(low, high + bandwidth / 4, bandwidth / 4)
    mass = np.diff(known.cdf(edges))
    kept = mass > 0
    centres = (edges[:-1] + edges[1:]) / 2
    return GaussianMixture(centres[kept], bandwidth, mass[kept] / mass[kept].sum())


def _mixture_reach(mixture: GaussianMixture) -> tuple[float, float]:
    reach = 7.7 * mixture.std
    return float((mixture.means - reach).min()), float((mixture.means + reach).max())


def as_density(
    density: Any, region: tuple[float, float] | None = None, bandwidth: float | None = None
) -> Density:
    """Read a density.

    Args:
        density: A `GaussianMixture`, a frozen SciPy continuous distribution, or samples.
        region: `(low, high)` to condition on; the whole support when `None`.
        bandwidth: For samples, the kernel's standard deviation.

    Raises:
        TypeError: If it is none of these.
        ValueError: If the region is empty or holds no probability.
    """
    samples = None
    if isinstance(density, GaussianMixture):
        mixture = density
    elif hasattr(density, "logpdf") and hasattr(density, "ppf"):
        mixture = None
    elif callable(density) or isinstance(density, str) or density is None:
        raise TypeError(
            "`density` must be a GaussianMixture, a frozen SciPy distribution such as "
            f"scipy.stats.norm(0, 1), or an array of samples. Received: {density!r}"
        )
    else:
        samples = np.asarray(density, dtype=np.float64).reshape(-1)
        mixture = kernel_estimate(samples, bandwidth)
    if mixture is not None:
        log, cdf, support = mixture.logpdf, mixture.cdf, mixture.support()
        reach, finest = _mixture_reach(mixture), float(mixture.std.min())
    else:
        log, cdf, finest = density.logpdf, density.cdf, None
        first, last = (float(end) for end in density.support())
        support = first, last
        reach = (
            first if np.isfinite(first) else float(density.ppf(TAIL)),
            last if np.isfinite(last) else float(density.isf(TAIL)),
        )
    low, high = support if region is None else (float(region[0]), float(region[1]))
    low, high = max(low, support[0]), min(high, support[1])
    if not low < high:
        raise ValueError(f"`region` must be an interval (low, high). Received: {region!r}")
    ends = (
        float(cdf(low)) if np.isfinite(low) else 0.0,
        (float(cdf(high)) if np.isfinite(high) else 1.0),
    )
    mass = ends[1] - ends[0]
    reach = (
        low if np.isfinite(low) else min(reach[0], high - 1e-3),
        high if np.isfinite(high) else max(reach[1], low + 1e-3),
    )
    if not mass > 1e-9:
        raise ValueError(
            f"The region ({low:g}, {high:g}) holds no probability of this density; choose one "
            "where inputs fall."
        )
    if samples is not None:
        samples = samples[(samples > low) & (samples < high)]
    return Density(log, cdf, low, high, reach, mass, finest, samples)
