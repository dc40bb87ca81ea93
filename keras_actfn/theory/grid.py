"""The grid on which densities and activations are tabulated, and quadrature on it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._optional import require
from ..densities import Density


@dataclass(frozen=True, eq=False)
class Grid:
    """Positions u(v) for uniform v, with what a change of variable needs.

    Attributes:
        v: Uniform parameter, shape (n,), n odd.
        u: Positions, increasing.
        du: du/dv.
        ddu: d²u/dv².
        weights: Simpson weights for ∫ · du.
        centre: (m, s) of u = m + s sinh(v); `None` where u = v.
    """

    v: np.ndarray
    u: np.ndarray
    du: np.ndarray
    ddu: np.ndarray
    weights: np.ndarray
    centre: tuple[float, float] | None

    def position(self, v: np.ndarray) -> np.ndarray:
        """u(v)."""
        if self.centre is None:
            return v
        return self.centre[0] + self.centre[1] * np.sinh(v)

    def speed(self, v: np.ndarray) -> np.ndarray:
        """du/dv."""
        return np.ones_like(v) if self.centre is None else self.centre[1] * np.cosh(v)

    def derivatives(self, values: np.ndarray, order: int = 5) -> tuple[np.ndarray, np.ndarray]:
        """First and second derivative in u of tabulated values, by a spline in v."""
        interpolate = require("scipy.interpolate", extra="theory")
        spline = interpolate.make_interp_spline(self.v, values, k=order)
        first = spline(self.v, 1) / self.du
        second = (spline(self.v, 2) - first * self.ddu) / self.du**2
        return first, second


def make_grid(known: Density, points: int | None = None) -> Grid:
    """A grid over the reach of a density.

    Where the finest detail of the density is known (mixtures, kernel estimates) the spacing
    is uniform, a twentieth of it. Otherwise the points follow u = m + s sinh(v), dense around the
    median and sparse in the tails, so that heavy tails cost nothing.

    Args:
        known: The density.
        points: Smallest number of points; 2001 when `None`.
    """
    low, high = known.reach
    points = points or 2001
    centre = None
    if known.finest is not None:
        points = int(np.clip(20 * (high - low) / known.finest, points, 40_001))
        points += 1 - points % 2
        v = np.linspace(low, high, points)
        u, du, ddu = v, np.ones_like(v), np.zeros_like(v)
    else:
        points += 1 - points % 2
        centre = middle, scale = _centre(known)
        ends = np.arcsinh((np.array([low, high]) - middle) / scale)
        v = np.linspace(ends[0], ends[1], points)
        u, du, ddu = middle + scale * np.sinh(v), scale * np.cosh(v), scale * np.sinh(v)
        u[0], u[-1] = low, high
    simpson = np.ones(points)
    simpson[1:-1:2], simpson[2:-1:2] = 4.0, 2.0
    return Grid(v, u, du, ddu, simpson * du * (v[1] - v[0]) / 3.0, centre)


def _centre(known: Density) -> tuple[float, float]:
    """Median and half the interquartile range, by bisection of the distribution function."""
    low, high = known.reach
    lower, middle, upper = (float(q) for q in known.quantiles([0.25, 0.5, 0.75]))
    return middle, max(0.75 * (upper - lower), 1e-13 * (high - low))


def input_entropy(density: Any, known: Density, grid: Grid) -> float:
    """h(X) given the region: SciPy's value where it has one, else quadrature."""
    whole = known.mass > 1 - 1e-13
    if whole and hasattr(density, "entropy") and hasattr(density, "ppf"):
        value = float(density.entropy())
        if np.isfinite(value):
            return value
    log = known.logpdf(grid.u)
    p = np.exp(log)
    return -float(grid.weights[p > 0] @ (p * np.where(p > 0, log, 0.0))[p > 0])
