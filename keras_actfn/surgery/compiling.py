"""The compile configuration of a copied model: optimizer and metrics start afresh."""

import warnings
from collections.abc import Iterable

import keras

from ..models import _keras


def copy_compilation(
    old: keras.Model, new: keras.Model, renamed: dict[str, str], variables: Iterable[tuple]
) -> None:
    """Compile a copy as the old model is, or warn and say why not.

    Args:
        old: A compiled model.
        new: Its copy.
        renamed: New name of each output whose name is another one in the copy.
        variables: Pairs of the variables of both.
    """
    try:
        if "compile" in _keras.decides_training(new):
            raise ValueError(f"{type(new).__name__} has a compile() of its own.")
        given = _keras.compile_arguments(old)
        for key in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            given[key] = _renamed(keras.tree.map_structure(_afresh, given.get(key)), renamed)
        optimizer = getattr(old, "optimizer", None)
        given["optimizer"] = None if optimizer is None else _afresh(optimizer)
        if optimizer is not None:
            _keras.copy_exclusions(optimizer, given["optimizer"], variables)
        new.compile(**given)
        if given["optimizer"] is not None and new.built:
            new.optimizer.build(new.trainable_variables)
    except Exception as error:
        warnings.warn(
            "The new model is not compiled, because the configuration that the old one was "
            f"compiled with can't be copied: {error} Call compile() on the new model.",
            stacklevel=4,
        )


def _afresh(value):
    """A metric or optimizer of the same settings; anything else itself."""
    if isinstance(value, (keras.metrics.Metric, keras.optimizers.Optimizer)):
        return type(value).from_config(value.get_config())
    return value


def _renamed(given, names):
    if isinstance(given, dict):
        return {names.get(name, name): value for name, value in given.items()}
    return given
