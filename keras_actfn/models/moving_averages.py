"""Moving averages of BatchNormalization, made again for the network as it is."""

from collections.abc import Iterable
from typing import Any

import keras

from .layer_inputs import training_option


def renew_moving_averages(model: keras.Model, inputs: Iterable) -> None:
    """Set the moving averages of BatchNormalization layers to their means over batches.

    The i-th batch enters with weight 1/i, so that nothing of the old averages is left. Layers that
    are frozen keep theirs, since they use them in training too.

    Args:
        model: A built model. Nothing but those averages and random states changes.
        inputs: Batches of inputs, which the model sees as in training.
    """
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    if not layers:
        return
    options: dict[str, Any] = training_option(model, True)
    momenta = [layer.momentum for layer in layers]
    try:
        for past, x in enumerate(inputs):
            for layer in layers:
                layer.momentum = past / (past + 1)
            model(x, **options)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
