"""Optimisers that treat the activations' parameters, or biases, differently from the weights."""

import keras

from ..models import activations, graph
from ..models.building import build_late_layers, unbuilt_layers
from ..models.learned import learned_layers
from .grouped_optimizer import GroupedOptimizer, VariableGroups
from .schedules import FrozenUntil


def activation_variables(model: keras.Model) -> list[keras.Variable]:
    """The trainable parameters of a model's activation layers, nested models included.

    Args:
        model: A built model.

    Returns:
        List of `keras.Variable`; those of keras_actfn's layers and of `keras.layers.PReLU`.
    """
    found: dict[int, keras.Variable] = {}
    for layer in learned_layers(model):
        found.update((id(v), v) for v in layer.trainable_variables)
    return list(found.values())


def bias_variables(model: keras.Model) -> list[keras.Variable]:
    """The trainable biases of a model's layers, nested models included.

    Args:
        model: A built model.

    Returns:
        List of `keras.Variable`: those named `bias`, but for parameters of activations.
    """
    own = {id(variable) for variable in activation_variables(model)}
    return [v for v in model.trainable_variables if v.name == "bias" and id(v) not in own]


def parameter_groups(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    activation_optimizer: keras.optimizers.Optimizer | None = None,
    *,
    bias_optimizer: keras.optimizers.Optimizer | None = None,
    freeze_steps: int = 0,
) -> keras.optimizers.Optimizer:
    """One optimiser for the weights, others for the activations' parameters and the biases.

    Constraints of the activations' parameters apply after every step, as ever. Clipping by the
    global norm counts each group by itself. Learning-rate callbacks need `.optimizers`, as there
    is no single rate. A `.keras` file keeps the groups: every variable goes on with its own
    rate and state.

    An activation inside another layer, such as `Dense(activation=PWL(axis=-1))`, has no
    parameters before the layer's first call. They are created here.

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
        for another. It is for the variables that the model trains now: call `parameter_groups`
        again after freezing or unfreezing layers.

    Raises:
        ValueError: If the model is not built, `freeze_steps` is negative or is given without an
            optimiser of the activations, or one optimiser is given twice.

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
    _build(model)
    groups = VariableGroups(optimizer)
    groups.add(model.trainable_variables)
    for name, variables, own in (
        ("activations", activation_variables(model), activation_optimizer),
        ("biases", bias_variables(model), bias_optimizer),
    ):
        if own is not None and variables:
            groups[name] = own
            groups.add(variables, name)
    return GroupedOptimizer(groups) if len(groups) else optimizer


def _build(model):
    """Create the parameters that the model lacks, or raise."""
    build_late_layers(model)
    late = [layer.name for layer in unbuilt_layers(model) if activations.is_learned(layer)]
    if not model.built or (late and not graph.is_container(model)):
        what = f"the activation '{late[0]}' of " if late else ""
        raise ValueError(
            "parameter_groups sorts variables that exist. Received: "
            f"{what}'{model.name}', which is not built. Call the model once on a batch."
        )


def _frozen_until(optimizer, steps):
    """A new optimiser of the same settings whose learning rate is zero for `steps` steps."""
    config = optimizer.get_config()
    rate = config["learning_rate"]
    if isinstance(rate, dict):
        rate = keras.optimizers.schedules.deserialize(rate)
    config["learning_rate"] = keras.optimizers.schedules.serialize(FrozenUntil(rate, steps))
    return type(optimizer).from_config(config)
