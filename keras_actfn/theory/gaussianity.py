"""How far binned data are from a normal distribution with their own mean and variance.

The correlation paper assumes that pre-activations are normal within each class and checks it
on histograms (Section 4.2). Here the check is a number per class: skewness, excess
kurtosis, and the Kolmogorov distance max |F − Φ((x − mean)/std)| at the bin edges. With
n counts, distances below about 1.36/√n are what sampling alone gives (5 % level, a normal
law given in advance; with fitted mean and variance the level is smaller, 0.89/√n).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._optional import require


@dataclass(frozen=True)
class Gaussianity:
    """Distance of one histogram from the normal distribution.

    Attributes:
        count: Number of data.
        mean: Their mean.
        std: Their standard deviation.
        skewness: Third standardised moment.
        excess_kurtosis: Fourth standardised moment minus three.
        distance: Kolmogorov distance from the normal law of the same mean and std.
    """

    count: float
    mean: float
    std: float
    skewness: float
    excess_kurtosis: float
    distance: float


def gaussianity(counts: ArrayLike, edges: ArrayLike) -> Gaussianity:
    """Measure one histogram.

    Moments take every datum at its bin's centre, so bins should be narrow against the
    standard deviation; data beyond the outer edges must be counted in the outer bins.

    Args:
        counts: Data per bin, shape (bins,).
        edges: Bin edges, shape (bins + 1,).

    Raises:
        ValueError: If fewer than two bins hold data.
    """
    counts, edges = np.asarray(counts, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    if counts.ndim != 1 or edges.shape != (counts.size + 1,):
        raise ValueError(
            "`edges` must have one entry more than `counts`. Received shapes "
            f"{edges.shape} and {counts.shape}."
        )
    if np.count_nonzero(counts) < 2:
        raise ValueError("A histogram needs data in at least two bins to be compared.")
    share = counts / counts.sum()
    centres = 0.5 * (edges[:-1] + edges[1:])
    mean = float(share @ centres)
    std = float(np.sqrt(share @ (centres - mean) ** 2))
    z = (centres - mean) / std
    ndtr = require("scipy.special", extra="theory").ndtr
    inner = np.cumsum(share)[:-1]
    return Gaussianity(
        count=float(counts.sum()),
        mean=mean,
        std=std,
        skewness=float(share @ z**3),
        excess_kurtosis=float(share @ z**4 - 3.0),
        distance=float(np.abs(inner - ndtr((edges[1:-1] - mean) / std)).max()),
    )
