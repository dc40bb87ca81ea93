"""Planning and running one tapped forward pass of a Keras model.

While the pass runs, the `call` of each treated layer is replaced on the instance, and put
back afterwards whatever happens. The pass runs in a `keras.StatelessScope`, so that seeds,
moving statistics and every other variable keep their values.
"""

import contextlib

import keras

from .parameters import ParameterTreatment, parameter_option
from .pooling import PoolTreatment, is_disjoint
from .treatments import ActivationTreatment, NotTreated, hidden, treatment_class

_NO_TREATMENT = "no Fisher block is defined for a layer of class {}"


class Recorder:
    """What one tapped forward pass saw.

    Args:
        tap: The backend's tap, a function from a tensor to the tensor to use instead.

    Attributes:
        uses: For each tap, the blocks that it serves and the output's shape.
        inputs: For each tap, the input tensor of the layer.
    """

    def __init__(self, tap):
        self._tap = tap
        self._heads = []
        self.uses = []
        self.inputs = []

    def tap(self, blocks, inputs, outputs):
        """Mark a pre-activation output and remember the input that made it."""
        outputs = self._tap(outputs)
        self.uses.append((blocks, tuple(outputs.shape)))
        self.inputs.append(inputs)
        return outputs

    def head(self, kind, logits, outputs):
        """Remember a softmax or sigmoid, which may turn out to be the model's last layer."""
        if kind is not None:
            self._heads.append((kind, logits, outputs))

    def final(self, output):
        """Return the kind and the logits behind the model's output, `(None, None)` if unknown."""
        for kind, logits, result in reversed(self._heads):
            if result is output:
                return kind, logits
        return None, None


class Plan:
    """Which layers of a model are treated, and how.

    Args:
        model: A built Keras model.
        normalization: Whether to treat normalisation scales and shifts.
        activations: Whether to treat parameters of learnable activations.
        training: Whether the pass will run in training mode.

    Attributes:
        treatments: Pairs of a layer and its treatment.
        uncovered: Names of layers with trainable weights that cannot be treated, and why.
        excluded: Names of layers left out by an option or frozen, and which.
    """

    def __init__(self, model, *, normalization=False, activations=False, training=False):
        self.treatments = []
        self.uncovered: dict[str, str] = {}
        self.excluded: dict[str, str] = {}
        chosen = {"include_normalization": normalization, "include_activations": activations}
        prefix = f"{model.name}/"
        for layer in model._flatten_layers():
            name = (getattr(layer, "path", None) or layer.name).removeprefix(prefix)
            weights = own_weights(layer)
            if not weights:
                if ActivationTreatment.takes(layer):
                    self.treatments.append((layer, ActivationTreatment(layer)))
                elif is_disjoint(layer):
                    self.treatments.append((layer, PoolTreatment(layer)))
                continue
            trainable = [w for w in weights if w.trainable]
            if not trainable:
                if any(w.dtype.startswith("float") for w in weights):
                    self.excluded[name] = "its weights are not trainable"
                continue
            option = parameter_option(layer)
            if option and not chosen[option]:
                self.excluded[name] = f"left out by {option}=False"
                continue
            try:
                if option:
                    treatment = ParameterTreatment(layer, name, trainable, training)
                else:
                    kind = treatment_class(layer)
                    if kind is None:
                        raise NotTreated(_NO_TREATMENT.format(type(layer).__name__))
                    treatment = kind(layer, name)
            except NotTreated as reason:
                self.uncovered[name] = str(reason)
            else:
                self.treatments.append((layer, treatment))

    def run(self, model, x, tap=lambda tensor: tensor, training=False, state=()):
        """Run the model once with taps; return its output and the recorder.

        Args:
            model: The model of this plan.
            x: Inputs.
            tap: The backend's tap; by default nothing is tapped.
            training: Whether to run in training mode.
            state: Pairs of a variable and the value to use for it.
        """
        recorder = Recorder(tap)
        with keras.StatelessScope(state), contextlib.ExitStack() as stack:
            for layer, treatment in self.treatments:
                stack.enter_context(hidden(layer, "call", _intercept(layer, treatment, recorder)))
            output = model(x, training=training)
        return output, recorder


def _intercept(layer, treatment, recorder):
    call = layer.call

    def tapped(*args, **kwargs):
        return treatment.run(call, recorder, *args, **kwargs)

    return tapped


def own_weights(layer) -> list:
    """Return a layer's own weights, without those of the layers inside it."""
    inner = {id(w) for part in layer._flatten_layers(include_self=False) for w in part.weights}
    seeds = {id(w) for w in layer.weights if w.path.endswith("seed_generator_state")}
    return [w for w in layer.weights if id(w) not in inner | seeds]
