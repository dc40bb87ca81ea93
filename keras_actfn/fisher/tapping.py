"""Planning and running one tapped forward pass of a Keras model.

While the pass runs, the calls of treated layers are intercepted, in the running thread only. The
pass runs in a `keras.StatelessScope`, so that seeds, moving statistics and every other variable
keep their values.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import keras

from ..models._keras import without_rematerialization
from ..models.activations import elementwise_function
from ..models.building import build_late_layers, unbuilt_layers
from ..models.graph import nested
from ..models.taps import call_with, intercepted
from .pointwise import apply
from .pooling import PoolTreatment, is_disjoint
from .registry import treatment_class
from .treatments import NotTreated, first_argument, own_weights

_NO_TREATMENT = "no Fisher block is defined for a layer of class {}"
_UNUSED = "the forward pass does not use it"


class Final(NamedTuple):
    """The activation that a model ends in.

    Attributes:
        kind: `"softmax"` or `"sigmoid"`.
        axis: The axis of classes of a softmax, −1 for a sigmoid.
        logits: The tensor that went into it.
    """

    kind: str
    axis: int
    logits: Any


def final_kind(activation: Any) -> tuple[str, int] | None:
    """Return the kind and the axis if a function or layer is a softmax or sigmoid, or `None`."""
    if isinstance(activation, keras.layers.Softmax):
        return ("softmax", activation.axis) if isinstance(activation.axis, int) else None
    if isinstance(activation, keras.layers.Activation):
        activation = activation.activation
    if activation in (keras.activations.softmax, keras.ops.softmax):
        return "softmax", -1
    if activation in (keras.activations.sigmoid, keras.ops.sigmoid):
        return "sigmoid", -1
    return None


class Recorder:
    """What one tapped forward pass saw.

    Args:
        tap: The backend's tap, a function from a tensor to the tensor to use instead.

    Attributes:
        uses: For each tap, the blocks that it serves and the output's shape.
        inputs: For each tap, the input tensor of the layer.
    """

    def __init__(self, tap: Callable):
        self._tap = tap
        self._heads: list = []
        self.uses: list = []
        self.inputs: list = []

    def tap(self, blocks: list, inputs: Any, outputs: Any) -> Any:
        """Mark a pre-activation output and remember the input that made it."""
        outputs = self._tap(outputs)
        self.uses.append((blocks, tuple(outputs.shape)))
        self.inputs.append(inputs)
        return outputs

    def head(self, activation: Any, logits: Any, outputs: Any) -> None:
        """Remember a softmax or sigmoid, which may turn out to be the model's last layer."""
        kind = final_kind(activation)
        if kind is not None:
            self._heads.append((Final(*kind, logits), outputs))

    def final(self, output: Any) -> Final | None:
        """Return the softmax or sigmoid that made the model's output, or `None`."""
        return next((final for final, result in reversed(self._heads) if result is output), None)


class ActivationTreatment:
    """A layer that is an activation function without weights.

    A softmax or sigmoid tells the recorder its input and output: it may end the model.
    """

    def __init__(self, layer: keras.Layer):
        self.blocks: list = []
        self._layer = layer

    @staticmethod
    def takes(layer: keras.Layer) -> bool:
        """Whether there is anything to do at this layer."""
        return final_kind(layer) is not None or elementwise_function(layer) is not None

    def run(self, call: Callable, recorder: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the layer's output."""
        inputs = first_argument(args, kwargs)
        outputs = apply(self._layer, inputs, call)
        recorder.head(self._layer, inputs, outputs)
        return outputs


class UnrolledTreatment:
    """A recurrent layer without a loop of the backend, inside which nothing can be tapped."""

    def __init__(self, layer: keras.Layer):
        self.blocks: list = []
        self._layer = layer

    def run(self, call: Callable, recorder: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the layer's output."""
        return call_with(self._layer, unroll=True)(*args, **kwargs)


class TappedLayers:
    """Which layers of a model are treated, and how.

    Args:
        model: A built Keras model.
        options: Names of the treatments' options that are chosen.
        training: Whether the pass will run in training mode.

    Attributes:
        treatments: Pairs of a layer and its treatment.
        uncovered: Names of layers with trainable weights that cannot be treated, and why.
        excluded: Names of layers left out by an option or frozen, and which.
    """

    def __init__(
        self, model: keras.Model, options: frozenset[str] = frozenset(), training: bool = False
    ):
        self.treatments: list[tuple[keras.Layer, Any]] = []
        self.uncovered: dict[str, str] = {}
        self.excluded: dict[str, str] = {}
        for layer in nested(model):
            name = (getattr(layer, "path", None) or layer.name).removeprefix(f"{model.name}/")
            weights = own_weights(layer)
            if not weights:
                self._add_without_weights(layer, name)
                continue
            if not any(w.trainable for w in weights):
                if any(w.dtype.startswith("float") for w in weights):
                    self.excluded[name] = "its weights are not trainable"
                continue
            kind = treatment_class(layer)
            if kind is not None and kind.option and kind.option not in options:
                self.excluded[name] = f"left out by {kind.option}=False"
                continue
            try:
                if kind is None:
                    raise NotTreated(_NO_TREATMENT.format(type(layer).__name__))
                self.treatments.append((layer, kind(layer, name, training)))
            except NotTreated as reason:
                self.uncovered[name] = str(reason)
        self._unroll(model)

    def _unroll(self, model):
        """Let recurrent layers whose cells hold treated layers run step by step."""
        treated = {id(layer) for layer, treatment in self.treatments if treatment.blocks}
        for layer in nested(model):
            looping = isinstance(layer, keras.layers.RNN) and not layer.unroll
            if looping and treated & {id(part) for part in nested(layer.cell)}:
                self.treatments.append((layer, UnrolledTreatment(layer)))

    def _add_without_weights(self, layer, name):
        if not layer.built and type(layer).build is not keras.layers.Layer.build:
            self.uncovered[name] = _UNUSED
        elif ActivationTreatment.takes(layer):
            self.treatments.append((layer, ActivationTreatment(layer)))
        elif is_disjoint(layer):
            self.treatments.append((layer, PoolTreatment(layer)))

    def add_unused(self, used: set[int]) -> None:
        """List the blocks as uncovered whose id is not in `used`."""
        for _, treatment in self.treatments:
            for block in treatment.blocks:
                if id(block) not in used:
                    self.uncovered[block.name] = _UNUSED

    def run(
        self,
        model: keras.Model,
        x: Any,
        tap: Callable = lambda tensor: tensor,
        training: bool = False,
        state: Iterable = (),
    ) -> tuple[Any, Recorder]:
        """Run the model once with taps; return its output and the recorder.

        Args:
            model: The model of these layers.
            x: Inputs.
            tap: The backend's tap; by default nothing is tapped.
            training: Whether to run in training mode.
            state: Pairs of a variable and the value to use for it.
        """
        recorder = Recorder(tap)
        replacements = [
            (layer, _runner(treatment, recorder)) for layer, treatment in self.treatments
        ]
        taken = intercepted(replacements)
        with keras.StatelessScope(state), taken, without_rematerialization(model):
            output = model(x, training=training)
        return output, recorder


def _runner(treatment, recorder):
    def run(call, *args, **kwargs):
        return treatment.run(call, recorder, *args, **kwargs)

    return run


def build_all_layers(model: keras.Model, x: Any) -> None:
    """Build what exists only after a model's first call, such as a PWL inside a Dense layer.

    Args:
        model: A built model.
        x: A batch of inputs.
    """
    if unbuilt_layers(model):
        build_late_layers(model)
    if unbuilt_layers(model):  # in code that cannot be read
        model(keras.tree.map_structure(keras.ops.convert_to_tensor, x), training=False)
