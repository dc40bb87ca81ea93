"""How each kind of layer is tapped: treatments of Keras's weighted layers.

A treatment owns the blocks of one layer and runs the layer so that every weighted product
is seen by the recorder *before* the layer's fused activation. Layers that no treatment
covers are listed with the reason; nothing is skipped in silence. `registry` has the table of
layer classes and treatments.
"""

import string
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ..models.graph import nested
from ..models.taps import call_with, is_replaced
from .factors import (
    Block,
    Convolution,
    ConvolutionBlock,
    DepthwiseBlock,
    EmbeddingBlock,
    LinearBlock,
    SharedBiasBlock,
)
from .pointwise import apply

layers = keras.layers


class NotTreated(Exception):
    """Raised by a treatment for a layer that it cannot handle; the text is the reason."""


class Treatment:
    """Runs one layer with its activation split off and taps its output.

    Subclasses write `make_blocks`. The default `run` fits layers whose call is a weighted
    product of their first argument, followed by the function in the attribute `activation`, if
    there is one.

    Args:
        layer: The built Keras layer.
        name: Prefix of the names of its blocks.
        training: Whether the model will run in training mode.

    Attributes:
        option: The argument of `fisher_spectrum` that must be true for the treatment, or `None`.
        blocks: The layer's blocks, filled by `make_blocks`.

    Raises:
        NotTreated: If the layer cannot be treated; the text is the reason.
    """

    option: str | None = None

    def __init__(self, layer: keras.layers.Layer, name: str, training: bool = False):
        if getattr(layer, "lora_enabled", False):
            raise NotTreated("LoRA splits its kernel into factors")
        if getattr(layer, "quantization_mode", None) is not None:
            raise NotTreated("its weights are quantized")
        if is_replaced(layer):
            raise NotTreated("its `call` is replaced on the instance")
        self.layer, self.name, self.training = layer, name, training
        self.blocks = self.make_blocks()

    @classmethod
    def covers(cls, layer: keras.layers.Layer, registered: type) -> bool:
        """Whether the treatment fits a layer.

        Args:
            layer: The layer.
            registered: The class that the treatment is registered for; `layer` is an instance of
                it or of a subclass. By default subclasses with a `call` of their own do not fit.
        """
        return type(layer).call is getattr(registered, "call", None)

    def make_blocks(self) -> list[Block]:
        """Return the layer's blocks."""
        raise NotImplementedError

    def run(self, call: Callable, recorder: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the layer, recording its inputs and tapping its pre-activation output.

        Args:
            call: The layer's `call`.
            recorder: A `tapping.Recorder`.
            *args: Arguments of the call.
            **kwargs: Arguments of the call by name.
        """
        activation = getattr(self.layer, "activation", None)
        if activation is not None:
            call = call_with(self.layer, activation=None)
        outputs = call(*args, **kwargs)
        outputs = recorder.tap(self.blocks, first_argument(args, kwargs), outputs)
        return activate(activation, outputs, recorder)


def first_argument(args: tuple, kwargs: dict) -> Any:
    """Return a layer's input: its first argument, by position or by name."""
    return args[0] if args else next(iter(kwargs.values()))


def own_weights(layer: keras.layers.Layer) -> list:
    """Return a layer's own weights, without those of the layers inside it."""
    parts = [part for part in nested(layer) if part is not layer]
    inner = {id(w) for part in parts for w in part.weights}
    seeds = {id(w) for w in layer.weights if w.path.endswith("seed_generator_state")}
    return [w for w in layer.weights if id(w) not in inner | seeds]


def activate(activation: Any, outputs: Any, recorder: Any) -> Any:
    """Apply a fused activation, telling the recorder when it is a softmax or a sigmoid."""
    if activation is None:
        return outputs
    result = apply(activation, outputs)
    recorder.head(activation, outputs, result)
    return result


def _bias(layer: keras.Layer) -> bool:
    return getattr(layer, "bias", None) is not None


class DenseTreatment(Treatment):
    """Dense: s = a W + b over the last axis, extra axes are locations."""

    def make_blocks(self) -> list[Block]:
        """Return the blocks of this layer."""
        inputs, outputs = self.layer.kernel.shape
        return [LinearBlock(self.name, inputs, outputs, _bias(self.layer))]


class EinsumDenseTreatment(Treatment):
    """EinsumDense: letters of the equation become batch, locations, groups, inputs, outputs."""

    def make_blocks(self) -> list[Block]:
        """Return the blocks of this layer."""
        layer = self.layer
        left, kernel, out = parse_equation(layer.equation, layer.input_spec.ndim)
        sizes = dict(zip(kernel, layer.kernel.shape, strict=True))
        batch = left[0]
        if len({*left}) < len(left) or len({*kernel}) < len(kernel) or len({*out}) < len(out):
            raise NotTreated(f"a letter of its equation '{layer.equation}' is repeated")
        if batch in kernel or batch not in out:
            raise NotTreated(f"the batch axis of '{layer.equation}' does not pass unchanged")
        inputs = [c for c in kernel if c in left and c not in out]
        outputs = [c for c in kernel if c in out and c not in left]
        groups = [c for c in kernel if c in out and c in left]
        shared = [c for c in left if c in out and c not in kernel and c != batch]
        if set(left) - set(out) - set(kernel) or set(kernel) - set(left) - set(out):
            raise NotTreated(f"'{layer.equation}' sums over an axis of one operand only")
        bias = set(layer.bias_axes or "") if _bias(layer) else set()
        every = bool(bias) and bias == {*groups, *outputs}
        to_input = [left.index(c) for c in [batch, *shared, *groups, *inputs]]
        to_output = [out.index(c) for c in [batch, *shared, *groups, *outputs]]
        blocks: list[Block] = [
            LinearBlock(
                self.name,
                _size(sizes, inputs),
                _size(sizes, outputs),
                every,
                _size(sizes, groups),
                lambda x: np.transpose(x, to_input),
                lambda g: np.transpose(g, to_output),
            )
        ]
        if bias and not every:
            summed = tuple(i for i, c in enumerate(out) if c not in bias and c != batch)
            count = int(np.prod(layer.bias.shape))
            if batch != out[0]:
                raise NotTreated("its bias is shared over outputs and the batch axis moves")
            blocks.append(SharedBiasBlock(f"{self.name}/bias", count, summed))
        return blocks


def _size(sizes, letters):
    return int(np.prod([sizes[c] for c in letters], dtype=np.int64))


def parse_equation(equation: str, rank: int) -> tuple[str, str, str]:
    """Return the three terms of an EinsumDense equation with its ellipsis spelled out."""
    operands, out = equation.replace(" ", "").split("->")
    left, kernel = operands.split(",")
    if "..." in left:
        free = [c for c in string.ascii_letters if c not in equation]
        letters = "".join(free[: rank - len(left.replace("...", ""))])
        left, out = left.replace("...", letters), out.replace("...", letters)
    return left, kernel, out


def _convolution(layer, padding=None, transposed=False):
    return Convolution(
        tuple(layer.kernel_size),
        tuple(layer.strides),
        tuple(layer.dilation_rate),
        layer.padding if padding is None else padding,
        layer.data_format == "channels_first",
        transposed,
    )


class ConvolutionTreatment(Treatment):
    """Conv1D, Conv2D, Conv3D with any stride, dilation, padding, groups and data format."""

    def make_blocks(self) -> list[Block]:
        """Return the blocks of this layer."""
        layer = self.layer
        *_, inputs, outputs = layer.kernel.shape
        groups = layer.groups
        geometry = _convolution(layer)
        return [
            ConvolutionBlock(self.name, geometry, inputs * groups, outputs, _bias(layer), groups)
        ]


class TransposeTreatment(Treatment):
    """Transposed convolutions: a convolution of the input with zeros between its values."""

    def make_blocks(self) -> list[Block]:
        """Return the blocks of this layer."""
        layer = self.layer
        *_, outputs, inputs = layer.kernel.shape
        given = layer.output_padding
        given = [None] * len(layer.strides) if given is None else given
        low = [
            _transpose_padding((k - 1) * d + 1, s, layer.padding, p)
            for k, s, d, p in zip(
                layer.kernel_size, layer.strides, layer.dilation_rate, given, strict=True
            )
        ]
        geometry = _convolution(layer, tuple(low), transposed=True)
        return [ConvolutionBlock(self.name, geometry, inputs, outputs, _bias(layer))]


def _transpose_padding(reach: int, stride: int, padding: str, output_padding: int | None) -> int:
    """Zeros before a transposed convolution's upsampled input, as Keras places them."""
    if padding == "valid":
        return reach - 1
    if output_padding is None:
        output_padding = stride - reach % 2
    cut = reach - reach % 2 - output_padding
    return min(reach - 1 - cut // 2, reach - 1)


class DepthwiseTreatment(Treatment):
    """DepthwiseConv1D and DepthwiseConv2D."""

    def make_blocks(self) -> list[Block]:
        """Return the blocks of this layer."""
        layer = self.layer
        *_, channels, multiplier = layer.kernel.shape
        return [
            DepthwiseBlock(
                self.name, _convolution(layer), channels, channels * multiplier, _bias(layer)
            )
        ]


class SeparableTreatment(Treatment):
    """SeparableConv1D and SeparableConv2D: a depthwise block, then a pointwise one."""

    def make_blocks(self) -> list[Block]:
        """Return the blocks of this layer."""
        layer = self.layer
        *_, channels, multiplier = layer.depthwise_kernel.shape
        geometry = _convolution(layer)
        ones = (1,) * len(layer.strides)
        pointwise = Convolution(ones, ones, ones, "valid", geometry.channels_first)
        return [
            DepthwiseBlock(
                f"{self.name}/depthwise", geometry, channels, channels * multiplier, False
            ),
            ConvolutionBlock(
                f"{self.name}/pointwise",
                pointwise,
                channels * multiplier,
                layer.pointwise_kernel.shape[-1],
                _bias(layer),
            ),
        ]

    def run(self, call: Callable, recorder: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the layer's output, its blocks' tensors tapped."""
        layer = self.layer
        inputs = first_argument(args, kwargs)
        padding, x = layer.padding, inputs
        if padding == "causal":
            reach = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
            pads = [[0, 0], [0, 0], [0, 0]]
            pads[2 if layer.data_format == "channels_first" else 1][0] = reach
            x, padding = keras.ops.pad(x, pads), "valid"
        middle = keras.ops.depthwise_conv(
            x,
            layer.depthwise_kernel,
            strides=layer.strides,
            padding=padding,
            dilation_rate=layer.dilation_rate,
            data_format=layer.data_format,
        )
        middle = recorder.tap(self.blocks[:1], inputs, middle)
        outputs = keras.ops.conv(
            middle, layer.pointwise_kernel, data_format=layer.data_format, padding="valid"
        )
        if _bias(layer):
            shape = [1] * len(outputs.shape)
            shape[1 if layer.data_format == "channels_first" else -1] = -1
            outputs = outputs + keras.ops.reshape(layer.bias, shape)
        outputs = recorder.tap(self.blocks[1:], middle, outputs)
        return activate(layer.activation, outputs, recorder)


class EmbeddingTreatment(Treatment):
    """Embedding: one-hot inputs."""

    def make_blocks(self) -> list[Block]:
        """Return the blocks of this layer."""
        return [EmbeddingBlock(self.name, *self.layer.embeddings.shape)]
