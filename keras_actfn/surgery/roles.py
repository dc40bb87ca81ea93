"""What an activation is for, read from where its output goes."""

from typing import Any

from ..models import activations
from ..models.graph import Uses

HIDDEN, OUTPUT, GATE, MIXING, LINEAR, INSIDE = (
    "hidden",
    "output",
    "gate",
    "mixing",
    "linear",
    "inside",
)

#: Layers and operations that pass the values on, in another shape.
_RESHAPING = {
    "BroadcastTo",
    "Cast",
    "Dropout",
    "ExpandDims",
    "Flatten",
    "Identity",
    "Permute",
    "RepeatVector",
    "Reshape",
    "Squeeze",
    "Transpose",
    "UpSampling2D",
}

#: Those that shift or scale the values where their other arguments are numbers.
_SCALING = {"Add", "Divide", "Multiply", "Rescaling", "Subtract", "TrueDivide"}


def role_of(name: Any, nodes: Any, uses: "Uses", is_last: bool = False) -> str:
    """The role of an activation; see `ActivationSite`.

    Args:
        name: Its name.
        nodes: The nodes that call it; none in a Sequential model that is not built.
        uses: `Uses` of the whole model.
        is_last: Without nodes, whether it is the last layer of the model.

    Returns:
        One of this module's constants.
    """
    base = activations.base_name(name)
    if base == "linear":
        return LINEAR
    ends = [end for node in nodes for end in _ends(node.outputs[0], uses)]
    at_output = is_last or (bool(ends) and all(kind == OUTPUT for kind in ends))
    if at_output and not activations.is_feature(name):
        return OUTPUT
    if activations.is_elementwise(base) is False:
        return MIXING
    if activations.is_bounded(name) and ends and all(kind == GATE for kind in ends):
        return GATE
    return HIDDEN


def _ends(tensor, uses):
    """What becomes of a tensor: `OUTPUT`, `GATE` (a factor of another tensor) or `HIDDEN`."""
    ends = []
    for node, _ in uses.of(tensor):
        if node == Uses.OUTPUT:
            ends.append(OUTPUT)
            continue
        kind = type(node.operation).__name__
        distinct = {id(argument) for argument in node.input_tensors}
        if kind == "Multiply" and len(distinct) > 1:
            ends.append(GATE)
        elif kind in _RESHAPING or (kind in _SCALING and len(node.input_tensors) == 1):
            passed_on = _ends(node.outputs[0], uses)
            # A scaled output is no longer the activation's own range.
            ends += [HIDDEN if e == OUTPUT and kind in _SCALING else e for e in passed_on]
        elif kind == "Activation" and activations.layer_name(node.operation) == "linear":
            ends += _ends(node.outputs[0], uses)
        else:
            ends.append(HIDDEN)
    return ends
