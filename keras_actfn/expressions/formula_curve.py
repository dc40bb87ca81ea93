"""The function that formulas are compared with, at points of its inputs' density."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from ..densities import GaussianMixture, as_density
from .expression import Expression
from .formula_fit import Curve
from .resolve import NamedFunction, resolve
from .tensor_functions import LARGEST

#: Points at which a function is compared, and most samples that b and c are fitted to.
POINTS = 1000


def sampled(function: Any, density: Any) -> Curve:
    """A function, or samples of one, as a curve; see `nearest` for what it may be."""
    if isinstance(function, (tuple, list)) and len(function) == 2 and not callable(function):
        pair = [np.asarray(part).reshape(-1) for part in function]
        if any(part.dtype.kind not in "fiub" for part in pair if part.size):
            raise ValueError(
                "Samples of a function are real numbers. Received: arrays of "
                f"{' and '.join(str(part.dtype) for part in pair)}."
            )
        x, y = (part.astype(np.float64) for part in pair)
        if len(x) != len(y) or len(x) < 5:
            raise ValueError(
                "Samples of a function are a pair (x, y) of equally many numbers, at least five. "
                f"Received: {len(x)} and {len(y)}."
            )
        largest = LARGEST["float32"]
        if not ((np.abs(x) <= largest).all() and (np.abs(y) <= largest).all()):
            raise ValueError(
                "Samples of a function are finite in float32. Received: NaN, infinity or more "
                "among them."
            )
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
        w = np.full(len(x), 1 / len(x))
        if density is not None:
            known = as_density(density)
            half = np.diff(x) / 2
            edges = np.concatenate([[x[0] - half[0]], x[:-1] + half, [x[-1] + half[-1]]])
            w = np.maximum(np.diff(np.asarray(known.cdf(edges))), 0.0)
            if not w.sum() > 0:
                raise ValueError(
                    "The density has probability where the samples are. Received: samples from "
                    f"{x[0]:g} to {x[-1]:g}, where it has none."
                )
            w = w / w.sum()
    else:
        x = _positions(density)
        y = _values(function, x)
        w = np.full(len(x), 1 / len(x))
        if not np.isfinite(y).all():
            bad = np.flatnonzero(~np.isfinite(y))[0]
            raise ValueError(
                "The function is finite where its inputs are. Received: "
                f"{y[bad]} at {x[bad]:.6g}. Give the density that it really sees."
            )
    curve = Curve(x, y, w)
    if not curve.variance > 1e-24 * curve.mean**2 or np.ptp(x[w > 0]) == 0:
        raise ValueError(
            "The function varies over its inputs. Received: "
            f"{y[0]:g} everywhere. A constant needs no formula."
        )
    return curve


def _positions(density: Any) -> np.ndarray:
    """Points of equal weight of a density."""
    shares = (np.arange(POINTS) + 0.5) / POINTS
    return as_density(GaussianMixture([0.0], 1.0) if density is None else density).quantiles(shares)


def _values(function: Any, x: np.ndarray) -> np.ndarray:
    """A function's values, float64, (points,)."""
    if isinstance(function, str):
        function = resolve(function)
    if isinstance(function, (Expression, NamedFunction)):
        values = function(x)
    elif callable(getattr(function, "evaluate", None)):
        values = function.evaluate(x)
    elif isinstance(function, keras.layers.Layer):
        values = function(ops.convert_to_tensor(x[None], "float32"))
    elif callable(function):
        values = _called(function, x)
    else:
        raise TypeError(
            "A function is given as a layer, a name, an expression in x, a function of an array, "
            f"or samples (x, y). Received: {function!r}."
        )
    values = np.asarray(ops.convert_to_numpy(values) if ops.is_tensor(values) else values)
    if values.size != x.size:
        raise ValueError(
            "nearest compares one function of one number. Received: values of the shape "
            f"{values.shape} for {x.size} inputs. Of a layer with a function for each channel give "
            "the samples of one: (x, layer.evaluate(x)[:, channel])."
        )
    return values.astype(np.float64).reshape(-1)


def _called(function: Callable, x: np.ndarray) -> Any:
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused later
            return function(x)
    except (TypeError, ValueError, AttributeError):
        return function(ops.convert_to_tensor(x, "float32"))
