"""The range of new layers with knots, from what reaches their sites in the model as it is."""

from typing import Any

import keras
import numpy as np

from ..layers.uniform_knots import UniformKnots
from ..models import activations
from .seen import probed_inputs

#: Quantiles of a site's inputs where the first and the last knot are.
QUANTILES = (0.001, 0.999)
_EXAMPLES = 256
_POSITIONS = 4096


def site_ranges(model: keras.Model, owners: dict[str, keras.Operation], data: Any) -> dict:
    """The quantiles of the inputs of some activations.

    Args:
        model: A built Sequential or functional model.
        owners: The layer or operation of each site, by the site's path.
        data: Inputs of the model.

    Returns:
        Pairs (low, high) by path.

    Raises:
        ValueError: If `data` has no examples, or the inputs of a site are all masked or not finite.
    """
    counts = {np.shape(leaf)[0] if np.ndim(leaf) else 0 for leaf in keras.tree.flatten(data)}
    if len(counts) != 1 or counts == {0}:
        raise ValueError(
            "data holds inputs of the model, an array or a structure of arrays with equally many "
            f"examples. Received: {sorted(counts)} examples."
        )
    (count,) = counts
    chosen = np.linspace(0, count - 1, min(count, _EXAMPLES)).astype(int)
    data = keras.tree.map_structure(lambda leaf: np.asarray(leaf)[chosen], data)
    functions = {path: _function_of(owner) for path, owner in owners.items()}
    seen = probed_inputs(model, owners, functions, data, _EXAMPLES, _POSITIONS)
    ranges = {}
    for path, found in seen.items():
        low, high = (float(value) for value in np.quantile(found, QUANTILES))
        if not np.isfinite([low, high]).all():
            raise ValueError(
                f"The inputs of the activation at '{path}' are finite where knots are placed by "
                f"data. Received quantiles {low} and {high}. Leave out data, or mend the model."
            )
        room = max(0.5 * (1e-3 * max(abs(low), abs(high), 1) - (high - low)), 0)
        ranges[path] = (low - room, high + room)
    return ranges


def with_range(layer: keras.layers.Layer, low: float, high: float) -> keras.layers.Layer:
    """A `PWL` or `Spline` of the same settings on another range.

    Raises:
        ValueError: If the layer has no knots, or starts from values at its knots.
    """
    if not isinstance(layer, UniformKnots):
        raise ValueError(
            "data places the knots of PWL and Spline layers. Received an activation of class "
            f"{type(layer).__name__}, which has none. Leave out data."
        )
    config = layer.get_config()
    if isinstance(config["initial"], list):
        raise ValueError(
            "data moves the knots of a layer that starts from a function, not from values at its "
            "knots. Received: a list as `initial`."
        )
    new = type(layer).from_config({**config, "low": low, "high": high})
    new.activity_regularizer = layer.activity_regularizer
    return new


def _function_of(old):
    if activations.takes_activation(old):
        return old.activation
    if isinstance(old, keras.layers.Layer):
        return lambda x: old(x)
    return activations.applied_by(old)
