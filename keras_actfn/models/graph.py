"""Walks through Keras's models: all that surgery reads of their inner structure.

A *container* is a Sequential or functional model: its layers are called one by one in a graph
of nodes. Everything else is a leaf, whose call is Python code. A node is one call of an
operation (a layer, a model, or a bare `keras.ops` function) on symbolic tensors.
"""

from collections.abc import Callable
from typing import Any

import keras

from ._keras import Functional

Sequential = keras.Sequential


def is_container(operation: object) -> bool:
    """Whether the calls inside `operation` can be read and rebuilt."""
    if isinstance(operation, Sequential):
        return type(operation).call is Sequential.call
    return isinstance(operation, Functional) and type(operation).call is Functional.call


def operations(container: keras.Model) -> list[keras.Operation]:
    """Operations of a container in the order of the data, its inputs included."""
    graph = functional_graph(container)
    return list(container.layers if graph is None else graph.operations)


def functional_graph(container: keras.Model) -> keras.Model | None:
    """The functional graph of a container; None for a Sequential model that has none yet."""
    return container._functional if isinstance(container, Sequential) else container


def nodes(container: keras.Model) -> list:
    """Nodes of a container's graph, those that data reaches first first."""
    graph = functional_graph(container)
    if graph is None:
        return []
    by_depth = graph._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def operation_of(tensor: keras.KerasTensor) -> keras.Operation:
    """The operation that gives a symbolic tensor."""
    return tensor._keras_history.operation


def calls_of(operation: keras.Operation) -> list:
    """The nodes of an operation, those of other models included."""
    return list(operation._inbound_nodes)


def sublayers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Layers that a leaf holds as attributes, directly."""
    return list(layer._layers)


def nested(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """`layer` and all that it holds at any depth, in an order that its class fixes."""
    return layer._flatten_layers()


def open_alone(layer: keras.layers.Layer) -> None:
    """Make a layer trainable without what it holds; its setter would spread to that."""
    layer._trainable = True


def own_variables(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Variables that a layer holds itself, without those of the layers that it holds."""
    variables = layer._trainable_variables + layer._non_trainable_variables
    return list({id(variable): variable for variable in variables}.values())


def seed_generators(layer: keras.layers.Layer) -> list[keras.random.SeedGenerator]:
    """Seed generators that a layer holds directly."""
    return list(layer._seed_generators)


def containers(model: keras.Model) -> list[tuple[keras.Model, str]]:
    """Pairs of container and path from `model` down, each container once.

    Args:
        model: A container.

    Returns:
        List of (container, prefix of the paths inside); the first is (model, "").
    """
    found, seen = [], set()

    def visit(container, prefix):
        if id(container) in seen:
            return
        seen.add(id(container))
        found.append((container, prefix))
        for operation in operations(container):
            if is_container(operation):
                visit(operation, f"{prefix}{operation.name}/")

    visit(model, "")
    return found


def run(container: keras.Model, inputs: Any, call: Callable) -> Any:
    """Call every node of a functional model again, on new tensors.

    Args:
        container: A functional model.
        inputs: New tensors in the structure of `container.input`.
        call: Function of (operation, *args, **kwargs) that gives the operation's new outputs.

    Returns:
        The outputs in the structure of `container.output`.
    """
    return container._run_through_graph(inputs, call_fn=call)


class Uses:
    """Where the tensors of a model go, through nested models and out of them.

    Args:
        model: A container.
    """

    #: What `of` gives for a tensor that is an output of the whole model.
    OUTPUT = "output"

    def __init__(self, model: keras.Model):
        self._model = model
        self._consumers: dict[int, list] = {}  # id of tensor: nodes that take it
        self._callers: dict[int, list] = {}  # id of container: nodes that call it
        self._returns: dict[
            int, list
        ] = {}  # id of tensor: (container, position) whose output it is
        for container, _ in containers(model):
            graph = functional_graph(container)
            if graph is None:
                continue
            for position, tensor in enumerate(graph.outputs):
                self._returns.setdefault(id(tensor), []).append((container, position))
            for node in nodes(container):
                if node.is_input:
                    continue
                if is_container(node.operation):
                    self._callers.setdefault(id(node.operation), []).append(node)
                for tensor in node.input_tensors:
                    self._consumers.setdefault(id(tensor), []).append(node)

    def of(self, tensor: Any) -> list[tuple]:
        """Uses of a tensor: nodes of leaves that take it, and `OUTPUT`.

        Returns:
            List of pairs (node, tensor as the node's graph knows it); (OUTPUT, tensor) where
            it leaves the model.
        """
        found = []
        for node in self._consumers.get(id(tensor), ()):
            if not is_container(node.operation):
                found.append((node, tensor))
                continue
            graph: Any = functional_graph(node.operation)  # it is called: it has one
            inner = graph.inputs
            for position, argument in enumerate(node.input_tensors[: len(inner)]):
                if argument is tensor:
                    found += self.of(inner[position])
        for container, position in self._returns.get(id(tensor), ()):
            if container is self._model:
                found.append((self.OUTPUT, tensor))
            for caller in self._callers.get(id(container), ()):
                found += self.of(caller.outputs[position])
        return found


def tensor_policy(tensor: keras.KerasTensor) -> keras.DTypePolicy:
    """The dtype policy whose layers give a tensor of this dtype, parameters in float32."""
    half = {"float16": "mixed_float16", "bfloat16": "mixed_bfloat16"}
    return keras.DTypePolicy(half.get(tensor.dtype, tensor.dtype))


def plain_policy(old: keras.Operation) -> keras.DTypePolicy | None:
    """The dtype policy for a new layer in the place of `old`: its own, but not quantized.

    Activations have no quantized form; the layers around them keep theirs. None for what is no
    layer and has no policy.
    """
    policy = getattr(old, "dtype_policy", None)
    if policy is not None and policy.quantization_mode is not None:
        policy = keras.DTypePolicy(policy.name.partition("_from_")[2])
    return policy
