"""Where a model has its activations: `find_activations`."""

import dataclasses

import keras

from ..models import activations, graph, own_code
from .roles import HIDDEN, INSIDE, MIXING, role_of


@dataclasses.dataclass(frozen=True)
class ActivationSite:
    """One place where a model applies an activation.

    Attributes:
        path: Names from the model down, joined by `/`: `"block1_conv1"`,
            `"backbone/conv1_relu"`; inside a layer's own code `"lstm/lstm_cell.activation"`.
            Unique in the model.
        kind: What is there:

            - `"layer"`: an activation layer, or a Lambda layer of a Keras activation;
            - `"fused"`: the `activation` argument of a dense or convolutional layer;
            - `"argument"`: the `activation` argument of another layer, such as a transformer
              block of Keras Hub, which applies it in the middle of its call;
            - `"op"`: a bare operation such as `keras.ops.relu` in a functional graph;
            - `"inside"`: an activation that a layer applies within its own call;
            - `"code"`: a layer of one's own, a Lambda or subclassed model, whose code may
              apply activations.
        activation: The present one: Keras's name with the arguments that are not the
            defaults of `keras.activations` (`"relu"`, `"gelu(approximate=True)"`), the
            expression, or the class of a learned activation. `"unknown"` where none can be seen.
        role: What it is for: `"hidden"`, `"output"` (it gives the model's output its range),
            `"gate"` (bounded, multiplied by another tensor), `"mixing"` (softmax and others
            that are no functions of one number), `"linear"` (the identity), or `"inside"`.
        replaceable: Whether `replace_activations` can put another activation there.
        reason: Why it can't; None where it can.
        layer: Class of the layer or operation.
        calls: Times that it is called in the graph; all share one activation.
    """

    path: str
    kind: str
    activation: str
    role: str
    replaceable: bool
    reason: str | None
    layer: str
    calls: int = 1

    @property
    def replaced_by_default(self) -> bool:
        """Whether `replace_activations` takes it when no sites are named."""
        return self.replaceable and self.role == HIDDEN


def find_activations(model: keras.Model) -> list[ActivationSite]:
    """Every activation of a model, in the order of the data.

    Sequential and functional models are read to the end, nested ones included; a shared layer
    is one site. What lies inside a layer's own code is listed with the reason why it can't be
    replaced: recurrent and attention layers, wrappers such as TimeDistributed and
    Bidirectional, layers of one's own, and subclassed models.

    Args:
        model: A `keras.Model`.

    Returns:
        A list of `ActivationSite`.

    Raises:
        TypeError: If `model` is no Keras model.

    Example:
    ```python
    for site in find_activations(keras.applications.EfficientNetV2B0(weights=None)):
        print(site.path, site.activation, site.role)
    ```
    """
    return [site for site, _ in survey(model)]


def survey(model: keras.Model) -> list[tuple]:
    """Pairs of site and the layer or operation that has it."""
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"find_activations and replace_activations take a keras.Model. Received: {model!r}."
        )
    if not graph.is_container(model):
        return _unique(
            [
                (_hidden_in_code(model, "", "a subclassed model"), model),
                *_inside(model, "", "a subclassed model"),
            ]
        )
    uses, seen, found = graph.Uses(model), set(), []
    for container, prefix in graph.containers(model):
        calls: dict[int, list] = {}
        for node in graph.nodes(container):
            calls.setdefault(id(node.operation), []).append(node)
        order = graph.operations(container)
        for operation in order:
            if id(operation) in seen or graph.is_container(operation):
                continue
            seen.add(id(operation))
            of_operation = calls.get(id(operation), [])
            is_last = not of_operation and operation is order[-1] and container is model
            found += _sites_of(operation, prefix, of_operation, uses, is_last)
    return _unique(found)


def _sites_of(operation, prefix, nodes, uses, is_last):
    """Sites of one operation of a container, each with its owner."""
    path = prefix + operation.name
    if isinstance(operation, keras.layers.InputLayer):
        return []
    if not isinstance(operation, keras.layers.Layer):
        name = activations.operation_name(operation, nodes[0])
        kind = "op"
    elif activations.layer_name(operation) is not None:
        name, kind = activations.layer_name(operation), "layer"
    elif activations.takes_activation(operation):
        name, kind = activations.function_name(operation.activation), "fused"
        if not activations.splits(operation):
            return _argument(operation, path, name, len(nodes))
    else:
        return _leaf(operation, path)
    if name is None:
        return []
    role = role_of(name, nodes, uses, is_last)
    site = ActivationSite(
        path=path,
        kind=kind,
        activation=name,
        role=role,
        replaceable=True,
        reason=None,
        layer=type(operation).__name__,
        calls=max(1, len(nodes)),
    )
    return [(site, operation)]


def _argument(layer, path, name, calls):
    """The site of a layer's `activation` argument, and the others that its code may have."""
    mixing = activations.is_elementwise(activations.base_name(name)) is False
    site = ActivationSite(
        path=f"{path}.activation",
        kind="argument",
        activation=name,
        role=MIXING if mixing else HIDDEN,
        replaceable=True,
        reason=None,
        layer=type(layer).__name__,
        calls=max(1, calls),
    )
    others = [
        (other, owner)
        for other, owner in _leaf(layer, path)
        if (other.path != site.path and getattr(owner, "activation", None) is not layer.activation)
        or other.kind == "code"
    ]
    return [(site, layer), *others]


def _leaf(layer, path):
    """Sites that a layer without a readable graph is known or suspected to have."""
    where = f"the {type(layer).__name__} layer '{layer.name}'"
    found = _inside(layer, path, where)
    foreign = isinstance(layer, keras.layers.Lambda) or own_code.is_foreign(layer)
    if foreign or own_code.names_in_code(layer):
        found.insert(0, (_hidden_in_code(layer, path, where), layer))
    return found


def _inside(layer, path, where):
    """Activations that `layer` holds and applies in its own call, at any depth."""
    found = []
    reason = (
        f"it is applied inside the own code of {where}, which does not take it as an argument; set "
        "it where that is built"
    )

    def add(owner, path, name):
        site = ActivationSite(
            path=path,
            kind="inside",
            activation=name,
            role=INSIDE,
            replaceable=False,
            reason=reason,
            layer=type(owner).__name__,
        )
        found.append((site, owner))

    for attribute, name in own_code.functions_inside(layer):
        add(layer, f"{path}.{attribute}".lstrip("."), name)
    for inner in _parts(layer):
        inner_path = f"{path}/{inner.name}".lstrip("/")
        own = activations.layer_name(inner) or activations.fused_name(inner)
        if own is not None:
            add(inner, inner_path, own)
        elif isinstance(inner, keras.layers.Layer):
            found += _inside(inner, inner_path, where)
        else:
            own = activations.operation_name(inner, graph.calls_of(inner)[0])
            if own is not None:
                add(inner, inner_path, own)
    return found


def _parts(layer):
    """What a layer is made of, one level down."""
    if graph.is_container(layer):
        return graph.operations(layer)
    return graph.sublayers(layer)


def _hidden_in_code(layer, path, where):
    """The site of whatever a layer's code may apply."""
    names = own_code.names_in_code(layer)
    if isinstance(layer, keras.layers.Lambda):
        names = [activations.function_name(layer.function)]
    seen = f"its code names {', '.join(names)}" if names else "its code may apply any function"
    return ActivationSite(
        path=f"{path}.call".lstrip("."),
        kind="code",
        activation=",".join(names) or "unknown",
        role=INSIDE,
        replaceable=False,
        reason=f"the call of {where} is Python code: {seen}; change it there",
        layer=type(layer).__name__,
    )


def _unique(found):
    """The same pairs, paths that occur twice made different by a number."""
    counts: dict[str, int] = {}
    result = []
    for site, owner in found:
        count = counts[site.path] = counts.get(site.path, 0) + 1
        if count > 1:
            site = dataclasses.replace(site, path=f"{site.path}#{count}")
        result.append((site, owner))
    return result
