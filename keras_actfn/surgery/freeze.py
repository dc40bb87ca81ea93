"""Learned activations that learn no longer: a switch, and a model for serving."""

from collections.abc import Iterable

import keras
import numpy as np

from .. import expressions
from ..layers import AffineHullActivation, ConvexHullActivation, CRReLU, ExpressionActivation
from ..models import activations, graph
from ..models.learned import learned_layers
from .rebuild import rebuild


def set_activation_trainable(model: keras.Model, trainable: bool) -> int:
    """Make the learned activations of a model trainable or not, and nothing else.

    Learned activations are this package's layers with parameters and `keras.layers.PReLU`,
    wherever they are in the model. Layers that hold them are made trainable too where
    needed, without what else they hold: so a frozen network can be trained in its
    activations alone. It holds from the next `compile` on.

    Args:
        model: Any `keras.Model`; changed in place.
        trainable: Whether they are trainable from now on.

    Returns:
        The number of learned activations.

    Raises:
        ValueError: If the model has none.

    Example:
    ```python
    model.trainable = False
    set_activation_trainable(model, True)
    model.compile("adam", "categorical_crossentropy")
    ```
    """
    learned = learned_layers(model)
    if not learned:
        raise ValueError(
            f"The model '{model.name}' has no learned activations. Put some in with "
            'replace_activations(model, "aff(identity,relu,tanh)"), for example.'
        )
    set_trainable(model, learned, trainable)
    return len(learned)


def set_trainable(model: keras.Model, layers: Iterable, trainable: bool) -> None:
    """Make some layers of a model trainable or not; what holds them is opened, and only that."""
    if trainable:
        ids = {id(layer) for layer in layers}
        for holder in graph.nested(model):
            if ids & {id(layer) for layer in graph.nested(holder)} and id(holder) not in ids:
                graph.open_alone(holder)
    for layer in layers:
        layer.trainable = trainable


def freeze_activations(model: keras.Model) -> keras.Model:
    """A model of equal outputs whose learned activations are fixed functions, for serving.

    A hull with one set of coefficients and `CRReLU` with one ε become an
    `ExpressionActivation` that spells out the learned formula; the other learned layers,
    activations with parameters per channel and `PReLU` keep their class and parameters and are
    not trainable. Everything else is as in `replace_activations`: a new model, and `model` is
    not changed.

    Args:
        model: A Sequential or functional `keras.Model`.

    Returns:
        A new model. Activations inside the own code of other layers are frozen where they are.

    Raises:
        ValueError: If the model has no learned activations or can't be copied, or a formula's
            parameters are not finite.

    Example:
    ```python
    serving = freeze_activations(model)
    serving(x[:1])  # an export to ONNX needs a model that has been called
    serving.export("model.onnx", format="onnx")
    ```
    """
    if not graph.is_container(model):
        raise ValueError(
            "freeze_activations copies Sequential and functional models. Received "
            f"'{model.name}' of class {type(model).__name__}; "
            "set_activation_trainable(model, False) freezes it in place."
        )
    exchange = {}
    for container, _ in graph.containers(model):
        for operation in graph.operations(container):
            argument = activations.takes_activation(operation)
            learned = operation.activation if argument else operation
            text = _formula(learned)
            if text is not None:
                exchange[id(operation)] = _expression_layer(text, learned.dtype_policy)
    frozen = rebuild(model, exchange)
    for layer in learned_layers(frozen):
        layer.trainable = False
    if not exchange and not learned_layers(frozen):
        set_activation_trainable(model, False)  # raises
    return frozen


def _expression_layer(text, policy):
    def make(old, name):
        return ExpressionActivation(text, name=name, dtype=policy)

    return make


def _formula(layer):
    """The learned function as an expression's text; None where it has none."""
    if isinstance(layer, (ConvexHullActivation, AffineHullActivation)):
        bases = [expressions.resolve(function) for function in layer.base_functions]
        if layer.axis is None and all(isinstance(b, expressions.Expression) for b in bases):
            terms = zip(_numbers(layer, "coefficients"), bases, strict=True)
            # A coefficient of 0 takes its base out, even where that is infinite.
            listed = [f"{number!r}*{base}" for number, base in terms if number != 0]
            return "+".join(listed) or "zero(x)"
    if isinstance(layer, CRReLU) and layer.axis is None:
        (number,) = _numbers(layer, "epsilon")
        # The clip keeps ±inf · 0 from being NaN; beyond ±40 the correction is 0 in float64 too.
        return f"relu(x)+{number!r}*(max(min(x,40),-40)*exp(-0.5*x*x))"
    return None


def _numbers(layer, attribute):
    values = keras.ops.convert_to_numpy(getattr(layer, attribute)).reshape(-1)
    if not np.isfinite(values).all():
        bad = values[~np.isfinite(values)][0]
        raise ValueError(
            f"The {attribute} of a learned activation are finite where its formula is written out. "
            f"Received: {bad} in '{layer.name}'. Its training has diverged; take earlier weights."
        )
    return [float(value) for value in values]
