"""What a model is compiled to minimise, as Keras keeps it."""

from typing import Any

import keras

from ._keras import compile_arguments, loss_arguments, mask_of

__all__ = ["compiled_loss", "computes_its_own_loss", "loss_arguments", "mask_of"]


def compiled_loss(model: keras.Model) -> tuple[Any, Any]:
    """Return the loss and the loss weights that a model was compiled with.

    Args:
        model: A Keras model.

    Returns:
        The arguments `loss` and `loss_weights` of `compile`; `None` for what was not given.
    """
    arguments = compile_arguments(model) if model.compiled else {}
    return getattr(model, "loss", None), arguments.get("loss_weights")


def computes_its_own_loss(model: keras.Model) -> bool:
    """Whether the model's class replaces Keras's `compute_loss`."""
    return type(model).compute_loss is not keras.Model.compute_loss
