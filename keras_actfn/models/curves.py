"""The activations inside a model, as curves."""

import keras
import numpy as np

from . import activations, graph
from .learned import build_learned

#: Where activations are evaluated for pictures: 401 points on [−4, 4].
GRID = np.linspace(-4.0, 4.0, 401)


def activation_curves(model: keras.Model) -> list[np.ndarray]:
    """Present values of every activation layer of a model on `GRID`.

    Those are the layers that can `evaluate` themselves (all of `keras_actfn.layers`) and
    `keras.layers.Activation`, nested ones included. Activations that are given to other
    layers as functions, as in `Dense(activation="relu")`, are not layers.

    Args:
        model: A built `keras.Model`.

    Returns:
        A list of arrays in the order of the model's layers, float64: (401,), or
        (401, channels, …) for layers with parameters of their own for each channel.
    """
    build_learned(model)
    curves = []
    for layer in graph.nested(model)[1:]:
        if isinstance(layer, keras.layers.Activation):
            if (
                activations.is_elementwise(layer) is False
                or activations.layer_name(layer) == "linear"
            ):
                continue
            values = keras.ops.convert_to_numpy(layer(keras.ops.convert_to_tensor(GRID, "float32")))
        elif callable(getattr(layer, "evaluate", None)) and not isinstance(layer, keras.Model):
            values = layer.evaluate(GRID)
        else:
            continue
        curves.append(np.asarray(values, dtype=np.float64))
    return curves
