"""Optimisers that treat the activations' parameters, or biases, differently from the weights."""

import keras

from ..models import activations, graph
from .schedules import FrozenUntil


def activation_variables(model):
    """The trainable parameters of a model's activation layers, nested models included.

    Args:
        model: A built model.

    Returns:
        List of `keras.Variable`; those of keras_actfn's layers and of `keras.layers.PReLU`.
    """
    found = {}
    for layer in activations.learned_layers(graph.nested(model)):
        found.update((id(v), v) for v in layer.trainable_variables)
    return list(found.values())


def bias_variables(model):
    """The trainable biases of a model's layers, nested models included.

    Args:
        model: A built model.

    Returns:
        List of `keras.Variable`: those named `bias`, but for parameters of activations.
    """
    own = {id(variable) for variable in activation_variables(model)}
    return [v for v in model.trainable_variables if v.name == "bias" and id(v) not in own]


def parameter_groups(
    model, optimizer, activation_optimizer=None, *, bias_optimizer=None, freeze_steps=0
):
    """One optimiser for the weights, others for the activations' parameters and the biases.

    Keras's `MultiOptimizer` applies each to its variables, and the constraints of the
    activations' parameters after every step as ever. Clipping by the global norm counts
    each group by itself. Learning-rate callbacks need `.optimizers`, as `MultiOptimizer`
    has no single rate.

    Args:
        model: A built model.
        optimizer: Optimiser of everything else.
        activation_optimizer: Optimiser of the activations' parameters; give it its own
            learning rate and no weight decay. None leaves them to `optimizer`.
        bias_optimizer: Optimiser of the layers' biases; None leaves them to `optimizer`.
        freeze_steps: Steps in which the activations' parameters stay as they are: n epochs
            are n · steps_per_epoch.

    Returns:
        A `keras.optimizers.MultiOptimizer`, or `optimizer` where the model has no parameters
        for another.

    Raises:
        ValueError: If `freeze_steps` is negative, or is given without an optimiser of the
            activations, or one optimiser is given twice.

    Example:
    ```python
    model.compile(
        parameter_groups(model, keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-2)),
        "sparse_categorical_crossentropy",
    )
    ```
    """
    given = [o for o in (optimizer, activation_optimizer, bias_optimizer) if o is not None]
    if len({id(each) for each in given}) < len(given):
        raise ValueError("parameter_groups: each group has an optimiser of its own, not one twice.")
    if freeze_steps < 0:
        raise ValueError(
            f"parameter_groups: freeze_steps is at least 0. Received: freeze_steps={freeze_steps}."
        )
    if freeze_steps and activation_optimizer is None:
        raise ValueError(
            "parameter_groups: freeze_steps needs an activation_optimizer. Received: "
            f"freeze_steps={freeze_steps}, activation_optimizer=None."
        )
    if freeze_steps:
        activation_optimizer = _frozen_until(activation_optimizer, freeze_steps)
    groups = keras.optimizers.OptimizerMap(optimizer)
    for variables, own in (
        (activation_variables(model), activation_optimizer),
        (bias_variables(model), bias_optimizer),
    ):
        if own is not None:
            for variable in variables:
                groups[variable.path] = own
    if not len(groups):
        return optimizer
    return keras.optimizers.MultiOptimizer(groups)


def _frozen_until(optimizer, steps):
    """A new optimiser of the same settings whose learning rate is zero for `steps` steps."""
    config = optimizer.get_config()
    rate = config["learning_rate"]
    if isinstance(rate, dict):
        rate = keras.optimizers.schedules.deserialize(rate)
    config["learning_rate"] = keras.optimizers.schedules.serialize(FrozenUntil(rate, steps))
    return type(optimizer).from_config(config)
