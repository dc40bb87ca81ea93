"""Which models `compare` trains: uncompiled classifiers whose output is one softmax."""

from typing import Any

import keras
import numpy as np

from ..models import activations, graph

_RULE = (
    "build_model returns an uncompiled classifier with one input and one output: softmax "
    "probabilities of shape (batch, classes)."
)


def check_classifier(model: keras.Model, classes: int) -> keras.Model:
    """Refuse a model that cannot be trained on integer labels by softmax cross-entropy.

    Args:
        model: What `build_model` returned.
        classes: Number of classes in the data.

    Returns:
        `model`.

    Raises:
        ValueError: If it is compiled or has no fixed input shape, several inputs or outputs,
            fewer outputs than classes, or an output that is no softmax.
    """
    if not isinstance(model, keras.Model):
        _refuse(f"{type(model).__name__}.", "Return a keras.Model.")
    if getattr(model, "compiled", False):
        _refuse(
            f"the compiled model '{model.name}'.",
            "Leave out compile(): the recipe sets loss, optimizer and metrics.",
        )
    inputs, outputs = _shape(model, "input"), _shape(model, "output")
    if len(inputs) != 1 or len(outputs) != 1:
        _refuse(
            f"a model with {len(inputs)} inputs and {len(outputs)} outputs.",
            "Return a model of the one output that is compared.",
        )
    (output,) = outputs
    if len(output) != 2:
        _refuse(f"an output of shape {output}.", "Pool or flatten before the last Dense layer.")
    if output[-1] == 1:
        _refuse(
            "an output of one unit.",
            "For two classes, end the model in Dense(2, activation='softmax').",
        )
    if output[-1] is not None and output[-1] < classes:
        _refuse(
            f"{output[-1]} outputs for labels from 0 to {classes - 1}.",
            f"End the model in Dense({classes}, activation='softmax').",
        )
    if not (_ends_in_softmax(model, 0) or _gives_probabilities(model, inputs[0])):
        _refuse(
            f"the output of '{_last_operation(model)}', which is no softmax (logits or sigmoid "
            "units?).",
            "End the model in a softmax.",
        )
    return model


def _refuse(received, fix):
    raise ValueError(f"{_RULE} Received: {received} {fix}")


def _shape(model, which):
    """The shapes of a model's inputs or outputs, or an error."""
    try:
        shape = getattr(model, f"{which}_shape")
    except AttributeError:
        _refuse(
            f"{type(model).__name__} '{model.name}', which has no {which}_shape.",
            "Give a Sequential model an Input, and rebuild a subclassed model as a functional one: "
            "keras.Model(inputs, model.call(inputs)).",
        )
    if isinstance(shape, dict):
        return list(shape.values())
    return list(shape) if isinstance(shape, list) or isinstance(shape[0], tuple) else [shape]


def _producer(model, position):
    """The node that a model's output comes from, and that output's place in the node."""
    functional: Any = graph.functional_graph(model)  # it has outputs: it has a graph
    output = keras.tree.flatten(functional.outputs)[position]
    for node in graph.nodes(model):
        for place, tensor in enumerate(node.outputs):
            if tensor is output:
                return node, place
    raise AssertionError(f"No node of '{model.name}' gives its output.")


def _last_operation(model):
    return _producer(model, 0)[0].operation.name if graph.is_container(model) else model.name


def _ends_in_softmax(model, position):
    """Whether the graph shows that an output is a softmax over the last axis."""
    if not graph.is_container(model):
        return False
    node, position = _producer(model, position)
    operation = node.operation
    if graph.is_container(operation):
        return _ends_in_softmax(operation, position)
    if isinstance(operation, keras.Layer):
        name = activations.layer_name(operation) or activations.fused_name(operation)
    else:
        name = activations.operation_name(operation, node)
    return name == "softmax"


def _gives_probabilities(model, shape):
    """Whether the outputs of random inputs are distributions, where the graph does not tell."""
    shape = [8, *(32 if size is None else size for size in shape[1:])]
    x = np.random.default_rng(0).uniform(size=shape).astype("float32")
    output = keras.ops.convert_to_numpy(keras.ops.cast(model(x, training=False), "float32"))
    if not np.isfinite(output).all():  # a function that diverges is a result, not a wrong head
        return True
    tolerance = 1e-2 if "16" in model.compute_dtype else 1e-4
    return bool((output >= 0).all() and np.allclose(output.sum(axis=-1), 1, atol=tolerance))
