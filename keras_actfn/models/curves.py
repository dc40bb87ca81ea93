"""The activations inside a model, as curves."""

import keras
import numpy as np

#: Where activations are evaluated for pictures: 401 points on [−4, 4].
GRID = np.linspace(-4.0, 4.0, 401)

#: Keras activations that are not elementwise non-linearities of a hidden layer.
_NOT_SLOTS = ("linear", "softmax", "log_softmax", "sparsemax")


def activation_curves(model):
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
    curves = []
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.Activation):
            if getattr(layer.activation, "__name__", "") in _NOT_SLOTS:
                continue
            values = keras.ops.convert_to_numpy(layer(keras.ops.convert_to_tensor(GRID, "float32")))
        elif callable(getattr(layer, "evaluate", None)) and not isinstance(layer, keras.Model):
            values = layer.evaluate(GRID)
        else:
            continue
        curves.append(np.asarray(values, dtype=np.float64))
    return curves
