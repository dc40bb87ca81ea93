r"""Cubic splines on evenly spaced knots as functions of NumPy arrays.

$$f(x) = \sum_s c_s\,B\!\left(\frac{x - x_0}{h} - s\right)$$

with the cubic B-spline B, see `keras_actfn.backend.splines`, and the coefficients beyond the
knots in a straight line (`"linear"`) or repeated (`"clamp"`).
"""

from typing import Any

import numpy as np

#: Knots that a coefficient depends on, on either side: (2 − √3)^40 is 1e-23.
_REACH = 40


def spline_coefficients(values: np.ndarray, extrapolation: str = "linear") -> np.ndarray:
    r"""The coefficients of the cubic spline through values at its knots.

    They solve $(c_{s-1} + 4 c_s + c_{s+1}) / 6 = v_s$: on a line without ends

    $$c_s = \sqrt3 \sum_j (\sqrt3 - 2)^{|s - j|}\,v_j$$

    and the ends are those of values that go on by a reflection at the end: at the point of the end
    for coefficients in a straight line, half a knot beyond it for repeated ones. With `"linear"`
    it is the natural cubic spline. Coefficients that differ from the value by less than float32
    resolves are the value, so that a line stays one.

    Args:
        values: Values at the knots, (K,).
        extrapolation: `"linear"` or `"clamp"`.

    Returns:
        Float64 array, (K,).
    """
    values = np.asarray(values, dtype="float64")
    mode: Any = {"mode": "reflect", "reflect_type": "odd"}
    if extrapolation == "clamp":
        mode = {"mode": "symmetric"}
    distances = np.abs(np.arange(-_REACH, _REACH + 1))
    kernel = np.sqrt(3) * (np.sqrt(3) - 2) ** distances
    found = np.convolve(np.pad(values, _REACH, **mode), kernel, "valid")
    resolved = np.abs(found - values) > 2.0**-24 * np.abs(values).max()
    return np.where(resolved, found, values)


def spline_values(
    x: Any, knots: np.ndarray, coefficients: np.ndarray, extrapolation: str = "linear"
) -> np.ndarray:
    """Values of a cubic spline, in float64.

    Args:
        x: Numbers of any shape.
        knots: Evenly spaced positions in rising order, (K,).
        coefficients: The coefficients, (K,).
        extrapolation: `"linear"` or `"clamp"`.
    """
    c = np.asarray(coefficients, dtype="float64")
    if extrapolation == "clamp":
        c, first = np.pad(c, 2, mode="edge"), -1
    else:
        c, first = np.pad(c, 1, mode="reflect", reflect_type="odd"), 0
    width = (knots[-1] - knots[0]) / (len(knots) - 1)
    position = (np.asarray(x, dtype="float64") - knots[0]) / width - first
    inside = np.clip(position, 0, len(c) - 3)
    segment = np.clip(np.nan_to_num(np.floor(inside)), 0, len(c) - 4).astype(int)
    u = inside - segment
    weights = (1 - u) ** 3, 4 - 6 * u**2 + 3 * u**3, 1 + 3 * u + 3 * u**2 - 3 * u**3, u**3
    found = sum(w * c[segment + k] for k, w in enumerate(weights)) / 6
    return found + (position - inside) * (c[segment + 2] - c[segment + 1])


def interpolating_spline(
    x: Any, knots: np.ndarray, values: np.ndarray, extrapolation: str = "linear"
) -> np.ndarray:
    """Values of the cubic spline through values at the knots; see `knots.pwl_values`."""
    return spline_values(x, knots, spline_coefficients(values, extrapolation), extrapolation)
