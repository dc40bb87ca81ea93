"""Cubic B-splines on uniform knots in float64, by SciPy, with ends that go on by hand."""

import numpy as np
from scipy.interpolate import BSpline


def cubic_spline(x, coefficients, low, high, extrapolation, order=0):
    """f(x), or its derivative of an order, for coefficients of shape (K,)."""
    x, c = np.asarray(x, "float64"), np.asarray(coefficients, "float64")
    width = (high - low) / (len(c) - 1)
    if extrapolation == "linear":
        beyond = 1
        c = np.concatenate([[2 * c[0] - c[1]], c, [2 * c[-1] - c[-2]]])
    else:
        beyond = 2
        c = np.concatenate([c[:1], c[:1], c, c[-1:], c[-1:]])
    steps = np.arange(-beyond - 2, len(c) - beyond + 2)
    spline = BSpline(low + width * steps, c, 3)
    first, last = low - width * (beyond - 1), high + width * (beyond - 1)
    inside = np.clip(x, first, last)
    if order == 0:
        return spline(inside) + spline(inside, 1) * (x - inside)
    return np.where((order > 1) & (x != inside), 0.0, spline(inside, order))


def coefficient_gradients(x, knots, low, high, extrapolation, order=0):
    """The derivative by each coefficient, (K, *x.shape): f of unit vectors, as it is linear."""
    units = np.eye(knots)
    return np.stack([cubic_spline(x, unit, low, high, extrapolation, order) for unit in units])
