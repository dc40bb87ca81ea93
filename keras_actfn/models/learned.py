"""The learned activations of a model, wherever they are in it."""

import contextlib

import keras

from . import _keras, graph
from .activations import is_learned

__all__ = ["build_learned", "learned_layers"]


def learned_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a model that are learned activations, and those that layers apply at their end.

    Each once, in order, whether it is built or not, those of nested models included.

    Args:
        model: Any model.
    """
    found = {}
    for layer in graph.nested(model):
        for each in (layer, getattr(layer, "activation", None)):
            if is_learned(each):
                found[id(each)] = each
    return list(found.values())


def build_learned(model: keras.Model) -> list[keras.layers.Layer]:
    """Build the learned activations of a model that wait for their first batch.

    An activation with parameters per channel, given to a layer as `activation=`, has no weights
    until the layer's code has run; so nothing that looks at weights finds them.

    Args:
        model: Any model.

    Returns:
        Those that are not built all the same, because the model's code can't be run without a
        batch: list them in a warning.
    """
    waiting = [layer for layer in learned_layers(model) if not layer.built]
    if waiting and graph.is_container(model) and graph.functional_graph(model) is not None:
        with contextlib.suppress(Exception):  # of the user's code, on symbols
            _keras.build_late(model)
    return [layer for layer in waiting if not layer.built]
