"""Kronecker factors of one weighted layer, in NumPy and float64.

Vocabulary, for a batch of N examples (see the package's docstring for the scaling):

* location: a place where a layer applies the same weights: a pixel of a convolution's
  output, a position of a sequence, a second use of a shared layer. T counts them per example.
* input rows: shape (N·T, d), the vector ā that the weights multiply at each location, with a
  one in front when there is a bias.
* gradient rows: shape (N·T, k), the loss gradient Ds with respect to the layer's
  pre-activation output, one set for each cotangent (column of the loss Hessian's root).
* group: channels with weights of their own; each has its own pair of factors.

A block adds inputs once per use and gradients once per use and column, then returns
Ω = (1/N) Σ ā āᵀ and Γ = (1/(N·T)) Σ Ds Dsᵀ, as eigenvalues or as matrices.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .patches import Window, extract, patch_second_moment, patch_sum
from .second_moments import Diagonal, SecondMoment


class Pair(NamedTuple):
    """Eigenvalues, ascending, of one Kronecker product Ω ⊗ Γ."""

    omega: np.ndarray
    gamma: np.ndarray


class Block:
    """One Kronecker block: subclasses write how inputs and gradients become rows.

    Args:
        name: The block's name in the spectrum.
        parameters: Number of weights |θ_l|, the block's dimension.

    Attributes:
        inputs_first: Whether gradients can be added only after the batch's inputs.
    """

    inputs_first = False

    def __init__(self, name: str, parameters: int):
        self.name = name
        self.parameters = int(parameters)
        self.locations = 0
        self.omegas: list = []
        self.gammas: list = []

    def start_batch(self) -> None:
        """Begin another batch of examples: locations are counted per batch."""
        self.locations = 0

    def add_input(self, x: np.ndarray, output_shape: tuple[int, ...]) -> None:
        """Add one use's input x; `output_shape` is the shape of its output."""
        raise NotImplementedError

    def add_gradient(self, gradient: np.ndarray) -> None:
        """Add one use's output gradient, for one cotangent."""
        raise NotImplementedError

    def pairs(self, samples: int) -> list[Pair]:
        """Return the eigenvalues of each group's factors, scaled for `samples` examples."""
        return [
            Pair(omega.eigenvalues() / samples, gamma.eigenvalues() / (samples * self.locations))
            for omega, gamma in zip(self.omegas, self.gammas, strict=True)
        ]

    def matrices(self, samples: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return each group's Ω and Γ as dense matrices, bias first."""
        return [
            (omega.matrix() / samples, gamma.matrix() / (samples * self.locations))
            for omega, gamma in zip(self.omegas, self.gammas, strict=True)
        ]


def with_ones(rows: np.ndarray) -> np.ndarray:
    """Prepend a column of ones: the input of the bias."""
    return np.concatenate([np.ones((len(rows), 1), rows.dtype), rows], axis=1)


class LinearBlock(Block):
    """Dense and EinsumDense: rows by permuting and reshaping axes.

    Args:
        name: The block's name.
        inputs: Number of input features per group.
        outputs: Number of output features per group.
        bias: Whether every output feature has its own bias.
        groups: Number of groups.
        arrange_input: Maps the input to shape (N·T, groups, inputs); identity-like for Dense.
        arrange_output: Maps the output gradient to shape (N·T, groups, outputs).
    """

    def __init__(
        self,
        name: str,
        inputs: int,
        outputs: int,
        bias: bool,
        groups: int = 1,
        arrange_input: Callable[[np.ndarray], np.ndarray] | None = None,
        arrange_output: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        super().__init__(name, groups * (inputs + bias) * outputs)
        self._shape_in, self._shape_out = (-1, groups, inputs), (-1, groups, outputs)
        self._arrange_input = arrange_input or (lambda x: x)
        self._arrange_output = arrange_output or (lambda g: g)
        self._bias = bias
        self.omegas = [SecondMoment(inputs + bias) for _ in range(groups)]
        self.gammas = [SecondMoment(outputs) for _ in range(groups)]

    def add_input(self, x: np.ndarray, output_shape: tuple[int, ...]) -> None:
        """Add one use's input."""
        rows = self._arrange_input(x).reshape(self._shape_in)
        self.locations += len(rows) // len(x)
        for group, moment in enumerate(self.omegas):
            part = rows[:, group]
            moment.add(with_ones(part) if self._bias else part)

    def add_gradient(self, gradient: np.ndarray) -> None:
        """Add one use's output gradient, for one cotangent."""
        rows = self._arrange_output(gradient).reshape(self._shape_out)
        for group, moment in enumerate(self.gammas):
            moment.add(rows[:, group])


@dataclass(frozen=True)
class Convolution:
    """Geometry of a convolution layer, one entry per spatial axis.

    Attributes:
        kernel: Kernel sizes.
        strides: Strides (of the input grid for a transposed convolution).
        dilation: Dilation rates.
        padding: `"valid"`, `"same"`, `"causal"`, or the zeros before each axis.
        channels_first: Whether channels are the second axis instead of the last.
        transposed: Whether the input is upsampled by the strides first.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: str | tuple[int, ...]
    channels_first: bool = False
    transposed: bool = False

    def channels_last(self, x: np.ndarray) -> np.ndarray:
        """Return x of shape (N, *S, C) whatever the data format."""
        return np.moveaxis(x, 1, -1) if self.channels_first else x

    def prepare(self, x: np.ndarray) -> np.ndarray:
        """Return the input that the window slides over: channels last, upsampled."""
        x = self.channels_last(x)
        if not self.transposed or all(s == 1 for s in self.strides):
            return x
        sizes = [(n - 1) * s + 1 for n, s in zip(x.shape[1:-1], self.strides, strict=True)]
        spread = np.zeros((len(x), *sizes, x.shape[-1]), x.dtype)
        spread[(slice(None), *(slice(None, None, s) for s in self.strides))] = x
        return spread

    def window(self, spatial: tuple[int, ...], output_shape: tuple[int, ...]) -> Window:
        """Return the window for a prepared input of these sizes and the layer's output shape."""
        outputs = output_shape[2:] if self.channels_first else output_shape[1:-1]
        strides = (1,) * len(self.strides) if self.transposed else self.strides
        reach = [(k - 1) * d for k, d in zip(self.kernel, self.dilation, strict=True)]
        low: Sequence[int]
        if self.padding == "valid":
            low = [0] * len(reach)
        elif self.padding == "causal":
            low = reach
        elif not isinstance(self.padding, str):
            low = self.padding
        else:  # same
            low = [
                max((n - 1) * s + r + 1 - size, 0) // 2
                for n, s, r, size in zip(outputs, strides, reach, spatial, strict=True)
            ]
        return Window(self.kernel, strides, self.dilation, tuple(low), tuple(outputs))


class ConvolutionBlock(Block):
    """Convolutions with groups, and transposed ones: patches ⟦A⟧ and one row per location.

    Args:
        name: The block's name.
        geometry: The convolution's geometry.
        inputs: Input channels.
        outputs: Output channels.
        bias: Whether there is a bias.
        groups: Number of groups.
    """

    def __init__(
        self,
        name: str,
        geometry: Convolution,
        inputs: int,
        outputs: int,
        bias: bool,
        groups: int = 1,
    ):
        self._inputs, self._outputs = inputs // groups, outputs // groups
        offsets = int(np.prod(geometry.kernel))
        dimension = offsets * self._inputs + bias
        super().__init__(name, dimension * outputs)
        self._geometry, self._bias = geometry, bias
        self.omegas = [SecondMoment(dimension) for _ in range(groups)]
        self.gammas = [SecondMoment(self._outputs) for _ in range(groups)]

    def add_input(self, x: np.ndarray, output_shape: tuple[int, ...]) -> None:
        """Add one use's input."""
        x = self._geometry.prepare(x)
        window = self._geometry.window(x.shape[1:-1], output_shape)
        self.locations += window.locations
        for group, moment in enumerate(self.omegas):
            part = x[..., group * self._inputs : (group + 1) * self._inputs]
            _add_patches(moment, part, window, self._bias)

    def add_gradient(self, gradient: np.ndarray) -> None:
        """Add one use's output gradient, for one cotangent."""
        rows = self._geometry.channels_last(gradient)
        rows = rows.reshape(-1, len(self.gammas), self._outputs)
        for group, moment in enumerate(self.gammas):
            moment.add(rows[:, group])


class DepthwiseBlock(Block):
    """Depthwise convolution: one Ω for all channels, patches of shape N·T·J × K.

    The paper's rows are the patches of every channel (M|T|J × |Δ|). Their mean over the J
    channels is taken here, not their sum, so that Ω ⊗ Γ is exact when all channels see the
    same patches. Γ couples all output channels.

    Args:
        name: The block's name.
        geometry: The convolution's geometry.
        channels: Input channels J.
        outputs: Output channels, J times the depth multiplier.
        bias: Whether there is a bias.
    """

    def __init__(self, name: str, geometry: Convolution, channels: int, outputs: int, bias: bool):
        dimension = int(np.prod(geometry.kernel)) + bias
        super().__init__(name, dimension * outputs)
        self._geometry, self._channels, self._bias = geometry, channels, bias
        self.omegas = [SecondMoment(dimension)]
        self.gammas = [SecondMoment(outputs)]

    def add_input(self, x: np.ndarray, output_shape: tuple[int, ...]) -> None:
        """Add one use's input."""
        x = np.moveaxis(self._geometry.prepare(x), -1, 1)
        x = x.reshape(-1, *x.shape[2:], 1)
        window = self._geometry.window(x.shape[1:-1], output_shape)
        self.locations += window.locations
        moment = SecondMoment(self.omegas[0].dimension)
        _add_patches(moment, x, window, self._bias)
        self.omegas[0].add_matrix(moment.matrix() / self._channels)

    def add_gradient(self, gradient: np.ndarray) -> None:
        """Add one use's output gradient, for one cotangent."""
        rows = self._geometry.channels_last(gradient)
        self.gammas[0].add(rows.reshape(-1, rows.shape[-1]))


def _add_patches(moment, x, window, bias):
    """Add the second moment of (1, patch) over all locations, the one only with a bias."""
    dimension = window.offsets * x.shape[-1]
    rows = len(x) * window.locations
    if window.offsets == 1 or rows < moment.dimension or not np.isfinite(x).all():
        patches = extract(x, window, x.dtype).reshape(-1, dimension)
        moment.add(with_ones(patches) if bias else patches)
        return
    matrix = patch_second_moment(x, window)
    if bias:
        total = patch_sum(x, window)
        matrix = np.block([[np.full((1, 1), float(rows)), total[None]], [total[:, None], matrix]])
    moment.add_matrix(matrix)


class EmbeddingBlock(Block):
    """Embedding: one-hot inputs, so Ω is the diagonal of each index's frequency.

    Args:
        name: The block's name.
        indices: Size of the vocabulary.
        outputs: Width of a vector.
    """

    def __init__(self, name: str, indices: int, outputs: int):
        super().__init__(name, indices * outputs)
        self.omegas = [Diagonal(indices)]
        self.gammas = [SecondMoment(outputs)]

    def add_input(self, x: np.ndarray, output_shape: tuple[int, ...]) -> None:
        """Add one use's input."""
        indices = np.asarray(x).astype(np.int64).reshape(-1)
        size = self.omegas[0].dimension
        if indices.size and (indices.min() < 0 or indices.max() >= size):
            raise ValueError(
                f"Indices of the embedding '{self.name}' must lie from 0 to {size - 1}; received "
                f"values from {indices.min()} to {indices.max()}."
            )
        self.locations += len(indices) // len(x)
        self.omegas[0].add_indices(indices)

    def add_gradient(self, gradient: np.ndarray) -> None:
        """Add one use's output gradient, for one cotangent."""
        self.gammas[0].add(gradient.reshape(-1, gradient.shape[-1]))


class VectorBlock(Block):
    """A vector of parameters without Kronecker structure, treated exactly: F = E[g gᵀ].

    Used for a bias shared over output features, normalisation scale and shift, and learnable
    activations: g is one example's gradient, summed over its locations and uses.

    Args:
        name: The block's name.
        parameters: Number of parameters.
    """

    inputs_first = True

    def __init__(self, name: str, parameters: int):
        super().__init__(name, parameters)
        self.omegas, self.gammas = [], [SecondMoment(parameters)]
        self.start_batch()

    def start_batch(self) -> None:
        """Begin another batch of examples."""
        super().start_batch()
        self._inputs: list[np.ndarray] = []
        self._rows: list[np.ndarray] = []

    def add_input(self, x: np.ndarray, output_shape: tuple[int, ...]) -> None:
        """Add one use's input."""
        self._inputs.append(x)

    def add_gradient(self, gradient: np.ndarray) -> None:
        """Add one use's output gradient, for one cotangent."""
        self._rows.append(self.example_gradients(self._inputs[len(self._rows)], gradient))
        if len(self._rows) == len(self._inputs):
            self.gammas[0].add(sum(self._rows))
            self._rows = []

    def example_gradients(self, x: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Return each example's parameter gradient, of shape (N, parameters)."""
        raise NotImplementedError

    def pairs(self, samples: int) -> list[Pair]:
        """Return the eigenvalues of the factors."""
        return [Pair(np.ones(1), self.gammas[0].eigenvalues() / samples)]

    def matrices(self, samples: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the factors as dense matrices."""
        return [(np.ones((1, 1)), self.gammas[0].matrix() / samples)]


class SharedBiasBlock(VectorBlock):
    """A bias that is added to several output features: its gradient sums over them.

    Args:
        name: The block's name.
        parameters: Number of biases.
        axes: Axes of the output that the bias does not have.
    """

    def __init__(self, name: str, parameters: int, axes: tuple[int, ...]):
        super().__init__(name, parameters)
        self._axes = axes

    def example_gradients(self, x: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Return each example's parameter gradient, of shape (N, parameters)."""
        return gradient.sum(axis=self._axes, dtype=np.float64).reshape(-1, self.parameters)
