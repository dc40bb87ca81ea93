"""What a layer's kernel makes of the mean and variance of its inputs.

Let an output sum n inputs of means μᵢ and variances νᵢ, independent of each other, with
weights w that have a random direction. Split w into its mean w̄ = Σw/n and the rest, whose
sum of squares is e. Then the mean of the output is w̄·Σμᵢ and its mean square

    e/(n − 1) · (Σ(νᵢ + μᵢ²) − t/n) + w̄²·t  with  t = Σνᵢ + (Σμᵢ)²,

sums being over the inputs that there are: fewer at the border of a padded image.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import layers

from .signal_moments import Signal

CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)


class Kernel:
    """A kernel, the bias behind it, and how it meets the positions of its input.

    Args:
        variable: The kernel.
        bias: The bias that is added to what it puts out, or None.
        inputs: Axes of the kernel that are summed over.
        windows: One 0/1 matrix (outputs, inputs) for each axis of the image, or None where
            positions make no difference.
        sums_channels: Whether the inputs that are summed come from several channels.
        share: Part of the weights that meet one output, below one in transposed convolution.
    """

    def __init__(
        self,
        variable: Any,
        bias: Any,
        inputs: tuple[int, ...],
        windows: list[tuple[np.ndarray, int]] | None = None,
        sums_channels: bool = True,
        share: float = 1.0,
    ):
        self.variable = variable
        self.bias = bias
        self.sums_channels = sums_channels
        self._inputs = inputs
        self._windows = windows
        self._share = share

    def centre(self) -> None:
        """Make the sum over the inputs zero for every output."""
        values = self._values()
        self.variable.assign(values - values.mean(self._inputs, keepdims=True))

    def level(self) -> None:
        """Give all outputs' weights the same sum of squares, their mean as before."""
        values = self._values()
        squares = (values**2).sum(self._inputs, keepdims=True)
        self.variable.assign(values * np.sqrt(squares.mean() / np.where(squares, squares, 1)))

    def scale(self, factor: float) -> None:
        """Multiply the kernel by a number."""
        self.variable.assign(self._values() * factor)

    def outputs(self, signal: Signal) -> Signal:
        """The Gaussian signal of the outputs, for that of the inputs."""
        values = self._values()
        n = math.prod(values.shape[axis] for axis in self._inputs)
        part = self._share * n
        mean_weight = values.mean(self._inputs)
        energy = (values**2).sum(self._inputs) - n * mean_weight**2
        per_input = energy.mean() / max(n - 1, 1)
        means, variances = (part * self._window_means(m) for m in (signal.means, signal.variances))
        squares = variances + part * self._window_means(signal.means**2)
        mean = mean_weight.mean() * means
        of_equal_weights = variances + means**2
        mean_square = per_input * (squares - of_equal_weights / n)
        mean_square = mean_square + (mean_weight**2).mean() * of_equal_weights
        return Signal.gaussian(mean, mean_square - mean**2)

    def _window_means(self, positions):
        """Sums over each output's window divided by the window's size, zeros outside."""
        if self._windows is None:
            return positions.mean()
        for axis, (matrix, size) in enumerate(self._windows):
            if positions.ndim == 0:
                positions = np.broadcast_to(positions, [m.shape[1] for m, _ in self._windows])
            positions = np.moveaxis(np.tensordot(matrix, positions, (1, axis)), 0, axis) / size
        return positions

    def _values(self):
        return keras.ops.convert_to_numpy(self.variable).astype("float64")


def kernels(layer: keras.Layer, input_shape: tuple[int | None, ...]) -> list[Kernel]:
    """The kernels of a layer in the order in which its inputs meet them; empty if it has none."""
    if isinstance(layer, layers.Dense):
        return [Kernel(layer.kernel, layer.bias, (0,))]
    if isinstance(layer, SEPARABLE):
        taps = tuple(range(layer.rank))
        seen = windows(layer, input_shape)
        return [
            Kernel(layer.depthwise_kernel, None, taps, seen, sums_channels=False),
            Kernel(layer.pointwise_kernel, layer.bias, (*taps, layer.rank)),
        ]
    if isinstance(layer, DEPTHWISE):
        taps, seen = tuple(range(layer.rank)), windows(layer, input_shape)
        return [Kernel(layer.kernel, layer.bias, taps, seen, sums_channels=False)]
    if isinstance(layer, TRANSPOSED):
        inputs = (*range(layer.rank), layer.rank + 1)
        return [Kernel(layer.kernel, layer.bias, inputs, share=1 / math.prod(layer.strides))]
    if isinstance(layer, CONVOLUTIONS):
        inputs = tuple(range(layer.rank + 1))
        return [Kernel(layer.kernel, layer.bias, inputs, windows(layer, input_shape))]
    return []


def fixed(layer: keras.Operation) -> str | None:
    """Why the kernel of a layer is not one to scale; None where it is."""
    if getattr(layer, "lora_enabled", False):
        return "low-rank adapters (LoRA) are enabled, so that its kernel is fixed"
    if isinstance(layer, keras.Layer) and layer.weights and layer.quantization_mode is not None:
        return f"its weights are quantized ({layer.quantization_mode})"
    return None


def windows(layer: keras.Layer, input_shape: tuple) -> list[tuple[np.ndarray, int]] | None:
    """Which inputs each output of a convolution or pooling layer sees.

    Args:
        layer: A layer with `padding`, `strides` and `kernel_size` or `pool_size`.
        input_shape: Shape of its inputs, with the batch.

    Returns:
        For each axis of the image a 0/1 matrix (outputs, inputs) and the window's size; None
        if the image's size is unknown.
    """
    axes = input_shape[1:-1] if layer.data_format == "channels_last" else input_shape[2:]
    if None in axes:
        return None
    sizes = getattr(layer, "kernel_size", None) or layer.pool_size
    dilations = getattr(layer, "dilation_rate", (1,) * len(axes))
    found = []
    for n, size, stride, dilation in zip(axes, sizes, layer.strides, dilations, strict=True):
        reach = (size - 1) * dilation
        before = 0
        outputs = (n - reach - 1) // stride + 1
        if layer.padding != "valid":
            outputs = -(-n // stride)
            padding = max(0, (outputs - 1) * stride + reach + 1 - n)
            before = reach if layer.padding == "causal" else padding // 2
        offset = np.arange(n) - np.arange(outputs)[:, None] * stride + before
        matrix = (offset >= 0) & (offset <= reach) & (offset % dilation == 0)
        found.append((matrix.astype("float64"), size))
    return found
