"""Piecewise-linear interpolation in float64, by np.interp and explicit end segments."""

import numpy as np


def piecewise_linear(x, values, low, high, extrapolation):
    """f(x) for knot values of shape (K,)."""
    x = np.asarray(x, dtype="float64")
    knots = np.linspace(low, high, len(values))
    result = np.interp(x, knots, values)
    if extrapolation == "linear":
        width = knots[1] - knots[0]
        first, last = (values[1] - values[0]) / width, (values[-1] - values[-2]) / width
        result = np.where(x < low, values[0] + first * (x - low), result)
        result = np.where(x > high, values[-1] + last * (x - high), result)
    return result


def value_gradients(x, knots, low, high, extrapolation):
    """df(x)/dvalues of shape (K, *x.shape): f is linear in the values, so f of unit vectors."""
    return np.stack([piecewise_linear(x, unit, low, high, extrapolation) for unit in np.eye(knots)])
