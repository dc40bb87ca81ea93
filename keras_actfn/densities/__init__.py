"""Densities of what an activation sees: SciPy's distributions, Gaussian mixtures, samples."""

from .density import Density, as_density, kernel_bandwidth, kernel_estimate, smooth_density
from .gaussian_mixture import GaussianMixture

__all__ = [
    "Density",
    "GaussianMixture",
    "as_density",
    "kernel_bandwidth",
    "kernel_estimate",
    "smooth_density",
]
