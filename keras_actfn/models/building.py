"""Layers that exist only after a model's first call.

Keras builds a functional model from its layers' output shapes. What a layer calls inside, such
as the activation of a `Dense` or of a recurrent cell, is not built then; if it has parameters,
they are not among the model's variables yet.
"""

import keras

from . import graph


class _Trace(keras.layers.Layer):
    """Calls a layer symbolically: its `call` runs on shapes, which builds what it reaches."""

    def __init__(self, layer):
        super().__init__(name=layer.name, dtype=layer.dtype_policy)
        self._traced = layer

    def call(self, *args, **kwargs):
        return self._traced.call(*args, **kwargs)


def unbuilt_layers(model: keras.Model) -> list[keras.Layer]:
    """Layers that `model` holds at any depth and that have no variables yet."""
    return [layer for layer in graph.nested(model) if not layer.built]


def build_late_layers(model: keras.Model) -> None:
    """Build what the layers of a functional or Sequential model build in their first call.

    Nothing is computed, and layers that are built stay as they are. The calls inside a
    subclassed model cannot be read: call it once on a batch instead.

    Args:
        model: A built model.
    """
    if not graph.is_container(model):
        return
    for container, _ in graph.containers(model):
        for node in graph.nodes(container):
            layer = node.operation
            if not isinstance(layer, keras.Layer) or graph.is_container(layer):
                continue
            if unbuilt_layers(layer):
                _Trace(layer)(*node.arguments.args, **node.arguments.kwargs)
