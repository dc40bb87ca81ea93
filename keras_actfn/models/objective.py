"""What a model is compiled to minimise, as Keras keeps it."""

from typing import Any

import keras
from keras.src.backend import get_keras_mask


def compiled_loss(model: keras.Model) -> tuple[Any, Any]:
    """Return the loss and the loss weights that a model was compiled with.

    Args:
        model: A Keras model.

    Returns:
        The arguments `loss` and `loss_weights` of `compile`; `None` for what was not given.
    """
    config = getattr(getattr(model, "_compile_config", None), "config", {})
    return getattr(model, "loss", None), config.get("loss_weights")


def computes_its_own_loss(model: keras.Model) -> bool:
    """Whether the model's class replaces Keras's `compute_loss`."""
    return type(model).compute_loss is not keras.Model.compute_loss


def loss_settings(loss: keras.losses.Loss) -> dict[str, Any]:
    """Return the arguments with which a loss object calls its function.

    `get_config` leaves some out: the axis of `SparseCategoricalCrossentropy`, for one.
    """
    return dict(getattr(loss, "_fn_kwargs", None) or {})


def mask_of(tensor: Any) -> Any:
    """Return the mask that Keras attached to a tensor, or `None`."""
    return get_keras_mask(tensor)
