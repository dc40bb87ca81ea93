"""First and second derivatives of activation layers in float64, by closed forms.

Every function here is linear in its parameters, f(x) = Σ pₖ bₖ(x) + c(x), so what follows from
bₖ, bₖ′ and f″ is all that there is up to the second order.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import erfc, spherical_jn

from .splines import coefficient_gradients


@dataclass
class Derivatives:
    """f′ and f″ of the shape of x; bₖ and bₖ′ of that shape behind the K of the parameters."""

    slope: np.ndarray
    curvature: np.ndarray
    basis: np.ndarray
    basis_slope: np.ndarray


def hull(x, coefficients):
    """The mix of identity, ReLU and tanh."""
    tanh = np.tanh(x)
    basis = np.stack([x, np.maximum(x, 0), tanh])
    slopes = np.stack([np.ones_like(x), (x > 0) * 1.0, 1 - tanh**2])
    curvature = coefficients[2] * -2 * tanh * (1 - tanh**2)
    return Derivatives((coefficients * slopes).sum(0), curvature, basis, slopes)


def singular_hull(x, coefficients):
    """Tanh, and 1/x, x^0.5 and x^1.5 with coefficients of 0, without what is infinite of them."""
    with np.errstate(all="ignore"):
        basis = np.stack([np.tanh(x), 1 / x, x**0.5, x**1.5])
        slopes = np.stack([1 - np.tanh(x) ** 2, -1 / x**2, 0.5 / x**0.5, 1.5 * x**0.5])
    basis, slopes = (np.where(np.isfinite(a), a, 0) for a in (basis, slopes))
    curvature = -2 * basis[0] * slopes[0]
    return Derivatives(slopes[0], curvature, basis, slopes)


def one(x, coefficients):
    """The mix of the constant 1 alone."""
    nothing = np.zeros_like(x)
    return Derivatives(nothing, nothing, np.ones((1, *x.shape)), nothing[None])


def crrelu(x, epsilon):
    """max(0, x) + ε x exp(−x²/2)."""
    (epsilon,) = epsilon
    bell = np.exp(-(x**2) / 2)
    slope = (x > 0) + epsilon * (1 - x**2) * bell
    bump_slope = ((1 - x**2) * bell)[None]
    return Derivatives(slope, epsilon * (x**3 - 3 * x) * bell, (x * bell)[None], bump_slope)


def pwl(x, values, *, knots=33, low=-3.0, high=3.0, clamp=False):
    """Knots of equal distance; the slope at one is that to its right."""
    scale = (knots - 1) / (high - low)
    position = (x - low) * scale
    inside = (x >= low) & (x < high) if clamp else np.ones(x.shape, bool)
    if clamp:
        position = np.clip(position, 0, knots - 1)
    segment = np.clip(np.floor(position), 0, knots - 2)
    row = np.arange(knots).reshape(-1, *(1 for _ in x.shape))
    left, right = (row == segment), (row == segment + 1)
    basis = left * (1 - (position - segment)) + right * (position - segment)
    slopes = scale * inside * (right * 1.0 - left)
    return Derivatives((values * slopes).sum(0), np.zeros_like(x), basis, slopes)


def spline(x, coefficients, *, knots=33, low=-3.0, high=3.0, clamp=False):
    """Cubic B-splines by SciPy."""
    grid = low, high, "clamp" if clamp else "linear"
    basis, slopes, curvatures = (coefficient_gradients(x, knots, *grid, k) for k in range(3))
    slope, curvature = ((coefficients * each).sum(0) for each in (slopes, curvatures))
    return Derivatives(slope, curvature, basis, slopes)


def expression(x):
    """X erfc(x), without parameters."""
    bell = 2 / np.sqrt(np.pi) * np.exp(-(x**2))
    nothing = np.zeros((0, *x.shape))
    return Derivatives(erfc(x) - x * bell, (2 * x**2 - 2) * bell, nothing, nothing)


def one_expression(x):
    """1, without parameters."""
    nothing = np.zeros((0, *x.shape))
    return Derivatives(np.zeros_like(x), np.zeros_like(x), nothing, nothing)


def sinc(x):
    """sin(x) / x, without parameters: j0, the spherical Bessel function of order 0."""
    nothing = np.zeros((0, *x.shape))
    j1 = np.sign(x) * spherical_jn(1, np.abs(x))
    j2 = spherical_jn(2, np.abs(x))
    return Derivatives(-j1, (2 * j2 - spherical_jn(0, np.abs(x))) / 3, nothing, nothing)
