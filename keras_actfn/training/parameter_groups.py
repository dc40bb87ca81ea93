"""Optimisers that treat the activations' own parameters differently from the weights."""

import keras

from ..layers.base import LearnableActivation
from .schedules import FrozenUntil

#: Layers whose trainable variables are an activation's parameters.
_LEARNABLE = (LearnableActivation, keras.layers.PReLU)


def activation_variables(model):
    """The trainable parameters of a model's activation layers, nested models included.

    Args:
        model: A built model.

    Returns:
        List of `keras.Variable`; those of keras_actfn's layers and of `keras.layers.PReLU`.
    """
    found = {}
    for layer in model._flatten_layers():
        fused = getattr(layer, "activation", None)
        for candidate in (layer, fused):
            if isinstance(candidate, _LEARNABLE):
                found.update((id(v), v) for v in candidate.trainable_variables)
    return list(found.values())


def parameter_groups(model, optimizer, activation_optimizer, *, freeze_steps=0):
    """One optimiser for the weights and another for the activations' parameters.

    Keras's `MultiOptimizer` applies each to its variables, and the constraints of the
    activations' parameters after every step as ever. Clipping by the global norm counts
    each group by itself. Learning-rate callbacks need `.optimizers`, as `MultiOptimizer`
    has no single rate.

    Args:
        model: A built model.
        optimizer: Optimiser of everything else.
        activation_optimizer: Optimiser of the activations' parameters; give it its own
            learning rate and no weight decay.
        freeze_steps: Steps in which the activations' parameters stay as they are: n epochs
            are n · steps_per_epoch.

    Returns:
        A `keras.optimizers.MultiOptimizer`, or `optimizer` where the model's activations
        have no parameters.

    Raises:
        ValueError: If `freeze_steps` is negative, or there is one optimiser for both.

    Example:
    ```python
    model.compile(
        parameter_groups(model, keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-2)),
        "sparse_categorical_crossentropy",
    )
    ```
    """
    if optimizer is activation_optimizer:
        raise ValueError("parameter_groups: each group has an optimiser of its own, not one twice.")
    if freeze_steps < 0:
        raise ValueError(
            f"parameter_groups: freeze_steps is at least 0. Received: freeze_steps={freeze_steps}."
        )
    variables = activation_variables(model)
    if not variables:
        return optimizer
    if freeze_steps:
        activation_optimizer = _frozen_until(activation_optimizer, freeze_steps)
    groups = keras.optimizers.OptimizerMap(optimizer)
    for variable in variables:
        groups[variable.path] = activation_optimizer
    return keras.optimizers.MultiOptimizer(groups)


def _frozen_until(optimizer, steps):
    """A new optimiser of the same settings whose learning rate is zero for `steps` steps."""
    config = optimizer.get_config()
    rate = config["learning_rate"]
    if isinstance(rate, dict):
        rate = keras.optimizers.schedules.deserialize(rate)
    config["learning_rate"] = keras.optimizers.schedules.serialize(FrozenUntil(rate, steps))
    return type(optimizer).from_config(config)
