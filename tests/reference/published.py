"""Learned activations by the formulas of their papers, in 30 digits, differentiated by mpmath."""

import mpmath
import numpy as np
from mpmath import mpf

#: A step that is far from rounding in 60 digits.
STEP = mpf(10) ** -15


def acon(x, p1, p2, beta):
    """Ma et al., ACON-C."""
    return (p1 - p2) * x / (1 + mpmath.exp(-beta * (p1 - p2) * x)) + p2 * x


def dynamic_tanh(x, alpha, gamma, beta):
    """Zhu et al., algorithm 1."""
    return gamma * mpmath.tanh(alpha * x) + beta


def xielu(x, p, n, beta=None):
    """Huang & Schlag; p and n before their softplus."""
    beta = mpf("0.5") if beta is None else beta
    alpha_p, alpha_n = mpmath.log(1 + mpmath.exp(p)), beta + mpmath.log(1 + mpmath.exp(n))
    if x > 0:
        return alpha_p * x**2 + beta * x
    return alpha_n * (mpmath.exp(x) - 1) - alpha_n * x + beta * x


def rational(x, *coefficients):
    """Molina et al., the safe PAU of degrees (5, 4)."""
    above = sum(c * x**j for j, c in enumerate(coefficients[:6]))
    return above / (1 + abs(sum(c * x**k for k, c in enumerate(coefficients[6:], 1))))


def scaled_sine(x, a, b):
    """A sine with an amplitude and a frequency."""
    return a * mpmath.sin(b * x)


def derivatives(function, x, parameters):
    """Value, slope and curvature at each x, and the derivative by each parameter.

    Args:
        function: Of one number and the parameters.
        x: Array.
        parameters: Numbers.

    Returns:
        Arrays of the shape of x: value, slope, curvature, and (parameters, …).
    """
    x = np.asarray(x, "float64")
    with mpmath.workdps(60):
        rows = [_at(function, mpf(float(at)), list(map(mpf, parameters))) for at in x.flat]
    value, slope, curvature, *by_parameter = np.array(rows, "float64").T.reshape(-1, *x.shape)
    return value, slope, curvature, np.stack(by_parameter)


def _at(function, x, parameters):
    value = function(x, *parameters)
    below, above = (function(x + s, *parameters) for s in (-STEP, STEP))
    found = [value, (above - below) / (2 * STEP), (above - 2 * value + below) / STEP**2]
    for i in range(len(parameters)):
        moved = [
            function(x, *parameters[:i], parameters[i] + s, *parameters[i + 1 :])
            for s in (-STEP, STEP)
        ]
        found.append((moved[1] - moved[0]) / (2 * STEP))
    return [float(each) for each in found]
