"""AutoInit: weights scaled so that every layer starts with outputs of unit variance.

Bingham and Miikkulainen, AutoInit: Analytic Signal-Preserving Weight Initialization for
Neural Networks (AAAI 2023, arXiv:2109.08958): mean and variance of the signal are followed
through the network analytically, and each layer with weights is scaled by what it receives,
so that any activation function can be used. No data is needed.

What a kernel makes of its inputs is in `kernels`, what other layers do in `signal_rules`.
The kernels of a layer's outputs first get the same norm. Where the inputs have a mean other
than zero, kernels that sum over channels are centred (Σw = 0) before, so that the mean does
not pass and outputs have mean zero: both together are Huang et al.'s Centered Weight
Normalization (2017).
"""

import dataclasses
import math

import keras
import numpy as np

from ..models import graph
from .kernels import fixed, kernels
from .rules import Unknown, propagate
from .signal_moments import Signal

#: A kernel is centred if the squared mean of its inputs exceeds this part of their power.
_CENTRE_ABOVE = 1e-6


@dataclasses.dataclass(frozen=True)
class LayerInit:
    """What AutoInit found at one layer with weights.

    Attributes:
        layer: The layer's path.
        input_mean: Predicted mean of its inputs.
        input_variance: Predicted variance of its inputs.
        scale: What its kernel was multiplied by, after centring and levelling.
        centred: Whether its kernel was centred.
    """

    layer: str
    input_mean: float
    input_variance: float
    scale: float
    centred: bool


@dataclasses.dataclass(frozen=True)
class AutoInitReport:
    """What `autoinit` did.

    Attributes:
        layers: A `LayerInit` for each layer whose weights were scaled, in order.
        unknown: `(layer path, reason)` for each layer that the analysis does not know. Its
            weights are as they were, and its output is taken to be its input's.
    """

    layers: tuple[LayerInit, ...]
    unknown: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        lines = [f"{'layer':<40} {'input mean':>11} {'variance':>11} {'scale':>9}"]
        for row in self.layers:
            centred = " centred" if row.centred else ""
            lines.append(
                f"{row.layer:<40} {row.input_mean:>11.4g} {row.input_variance:>11.4g} "
                f"{row.scale:>9.4g}{centred}"
            )
        lines += [f"unknown: {path}: {reason}" for path, reason in self.unknown]
        return "\n".join(lines)


def autoinit(
    model: keras.Model, *, input_mean: float = 0.0, input_variance: float = 1.0
) -> AutoInitReport:
    """Scale a model's weights in place so that every weighted layer has unit variance.

    Kernels of Dense, convolution, depthwise, separable and transposed convolution layers
    are centred, levelled and scaled as the module describes, their biases set to zero. The
    signal is followed through activations of any kind (by quadrature), pooling, dropout,
    addition, multiplication, concatenation and layers that only move values, all as in
    training: normalisation layers normalise. Of a layer that is used several times, the
    first use counts. Quantized layers and those with low-rank adapters (LoRA) are left alone.

    Args:
        model: A built `keras.Sequential` or functional model; nested models are entered.
        input_mean: Mean of the inputs, over all pixels and channels.
        input_variance: Variance of the inputs.

    Returns:
        An `AutoInitReport`; `print` shows it. `unknown` lists what was left alone.

    Raises:
        ValueError: If the model is not built, is subclassed, or `input_variance` is not
            positive.

    Example:
    ```python
    model = keras_actfn.applications.AllCNNC(activation="square(erfc(softplus(x)))")
    report = keras_actfn.initialization.autoinit(model)
    assert not report.unknown
    ```
    """
    if not (math.isfinite(input_mean) and math.isfinite(input_variance) and input_variance > 0):
        raise ValueError(
            "autoinit: inputs have a finite mean and a positive variance. Received: "
            f"input_mean={input_mean}, input_variance={input_variance}."
        )
    walk = _Walk()
    walk.model(model, [Signal.gaussian(input_mean, input_variance)] * len(_inputs(model)))
    return AutoInitReport(tuple(walk.layers), tuple(walk.unknown.items()))


class _Walk:
    """One pass over a model's graph, in the order of the data."""

    def __init__(self):
        self.layers = []
        self.unknown = {}
        self._seen = set()

    def model(self, model, signals):
        """The signals of a model's outputs, for those of its inputs."""
        signals = dict(zip(map(id, _inputs(model)), signals, strict=True))
        outputs = {id(tensor) for tensor in keras.tree.flatten(model.outputs)}
        for node in graph.nodes(model):
            if node.is_input:
                continue
            given = [signals[id(tensor)] for tensor in node.input_tensors]
            ends = all(id(tensor) in outputs for tensor in node.outputs)
            results = self._operation(node.operation, given, node.input_tensors, ends)
            if len(results) != len(node.outputs):
                results = [results[0]] * len(node.outputs)
            signals.update(zip(map(id, node.outputs), results, strict=True))
        return [signals[id(tensor)] for tensor in keras.tree.flatten(model.outputs)]

    def _operation(self, operation, signals, tensors, ends):
        if isinstance(operation, keras.Model):
            try:
                return self.model(operation, signals)
            except ValueError as error:
                return self._leave(operation, signals, str(error))
        reason = fixed(operation)
        if reason is not None:
            return self._leave(operation, signals, reason)
        try:
            for kernel in kernels(operation, tensors[0].shape):
                signals = [self._scale(operation, kernel, signals[0])]
        except Unknown as unknown:
            return self._leave(operation, signals, str(unknown))
        try:
            result = propagate(operation, signals, tensors)
        except Unknown as unknown:
            # What happens to the model's outputs concerns no weights behind it.
            known = kernels(operation, tensors[0].shape) or not getattr(operation, "weights", ())
            return signals if ends and known else self._leave(operation, signals, str(unknown))
        if not result.finite:
            return self._leave(operation, signals, "its values have no finite mean and variance")
        return [result]

    def _leave(self, operation, signals, reason):
        self.unknown.setdefault(getattr(operation, "path", None) or operation.name, reason)
        return [signals[0].anywhere()]  # the layer may have changed the shape

    def _scale(self, layer, kernel, signal):
        """Scale one kernel of a layer; the signal of what it puts out."""
        mean, variance = signal.mean, signal.variance
        key = id(kernel.variable)
        if key in self._seen:
            return kernel.outputs(signal)
        centre = kernel.sums_channels and mean**2 > _CENTRE_ABOVE * (variance + mean**2)
        if centre:
            kernel.centre()
        kernel.level()
        before = kernel.outputs(signal).variance
        if not (math.isfinite(before) and before > np.finfo("float32").tiny):
            raise Unknown(f"its outputs have the variance {before:.3g} for any scale")
        self._seen.add(key)
        kernel.scale(before**-0.5)
        if kernel.bias is not None:
            kernel.bias.assign(np.zeros(kernel.bias.shape))
        self.layers.append(LayerInit(layer.path, mean, variance, before**-0.5, centre))
        return kernel.outputs(signal)


def _inputs(model):
    """The symbolic inputs of a functional model, or an error."""
    if not graph.is_container(model) or graph.functional_graph(model) is None:
        raise ValueError(
            "autoinit follows the graph of a built Sequential or functional model. Received: "
            f"{getattr(model, 'name', model)!r}, a {type(model).__name__}"
            f"{'' if getattr(model, 'built', True) else ' that is not built'}. "
            "Give it an Input, or rebuild a subclassed model as a functional one."
        )
    return keras.tree.flatten(model.inputs)
