"""The second moment of convolution patches, without a huge im2col.

For an input X of shape (N, *S, C) and a kernel of K offsets, the patch at location t
is the vector p(t) = (X[t·stride − low + δ·dilation])_δ of length K·C, offsets in C order
and channels last; X is zero outside its borders. Wanted is M = Σ_n Σ_t p p ᵀ, of shape
(K·C, K·C). It is computed in one of three ways, whichever needs fewest operations:

* `im2col`: patches are copied block by block and multiplied by a symmetric rank-k update;
* `strips`: a window's rows overlap with those of the window below. So patches are copied one row
  of the kernel high, the product of each two such strips is computed once, and added wherever a
  window has both;
* `autocorrelation` (stride 1): if t ran over every location at which the kernel touches
  the input, M[(δ, i), (ε, j)] would be the input's autocorrelation
  R[ε − δ]_ij = Σ_n Σ_s X_i(s) X_j(s + (ε − δ)·dilation), found by FFT. The locations that
  the convolution leaves out, a frame around the image, are subtracted patch by patch, so
  the result is exact to rounding: about 1e-15 relative in float64.

Source: Grosse & Martens (2016), "A Kronecker-factored approximate Fisher matrix for
convolution layers", section 3, define M; the frame decomposition is this module's.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .second_moments import row_blocks

_FFT_BYTES = 48 << 20
_SPECTRUM_BYTES = 4 << 20
_STRIP_BYTES = 16 << 20


@dataclass(frozen=True)
class Window:
    """How a convolution's window moves, one entry per spatial axis.

    Attributes:
        kernel: Kernel sizes.
        strides: Steps between output locations.
        dilation: Steps between kernel offsets.
        low: Zeros before the input.
        outputs: Number of output locations.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    low: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def offsets(self) -> int:
        """Number of kernel offsets K."""
        return math.prod(self.kernel)

    @property
    def locations(self) -> int:
        """Number of output locations T."""
        return math.prod(self.outputs)


def patch_second_moment(x: np.ndarray, window: Window) -> np.ndarray:
    """Return Σ_n Σ_t p pᵀ of shape (K·C, K·C) in float64.

    Args:
        x: Input of shape (N, *S, C).
        window: The convolution's geometry.
    """
    costs = _operations(x.shape, window)
    return _WAYS[min(costs, key=costs.get)](x, window)


def patch_sum(x: np.ndarray, window: Window) -> np.ndarray:
    """Return Σ_n Σ_t p of shape (K·C,) in float64.

    Summed by shifted slices of Σ_n X, so it costs one pass over the input.
    """
    total = x.sum(axis=0, dtype=np.float64)[None]
    return extract(total, window).reshape(-1, window.offsets * x.shape[-1]).sum(axis=0)


def extract(x: np.ndarray, window: Window, dtype: Any = np.float64) -> np.ndarray:
    """Copy all patches: shape (N, *outputs, K·C), channels last and offsets in C order."""
    starts = [
        [t * s - p for t in range(n)]
        for s, p, n in zip(window.strides, window.low, window.outputs, strict=True)
    ]
    steps = [[o * d for o in range(k)] for k, d in zip(window.kernel, window.dilation, strict=True)]
    return _gather(x, starts, steps, dtype)


def _gather(x, starts, steps, dtype=np.float64):
    """Patches whose corners are at `starts` and whose offsets are `steps`, per spatial axis.

    Both are evenly spaced lists of integers; positions outside the input are zero.
    """
    channels = x.shape[-1]
    counts = tuple(len(s) for s in starts)
    widths = tuple(len(s) for s in steps)
    out = np.zeros((len(x), *counts, *widths, channels), dtype)
    for offset in itertools.product(*(range(w) for w in widths)):
        source: list = [slice(None)]
        target: list = [slice(None)]
        for axis, o in enumerate(offset):
            positions = starts[axis]
            step = positions[1] - positions[0] if len(positions) > 1 else 1
            first = positions[0] + steps[axis][o]
            size = x.shape[1 + axis]
            begin = max(0, -(first // step))
            end = min(len(positions), (size - 1 - first) // step + 1)
            if end <= begin:
                break
            source.append(slice(first + begin * step, first + (end - 1) * step + 1, step))
            target.append(slice(begin, end))
        else:
            out[(*target, *offset)] = x[tuple(source)]
    return out.reshape(len(x), *counts, math.prod(widths) * channels)


def _im2col_moment(x, window):
    dimension = window.offsets * x.shape[-1]
    moment = np.zeros((dimension, dimension))
    samples = max(1, row_blocks(dimension, dimension) // max(window.locations, 1))
    for start in range(0, len(x), samples):
        block = extract(x[start : start + samples], window).reshape(-1, dimension)
        moment += block.T @ block
    return moment


def _strip_moment(x, window):
    """By the products of strips, of the kernel's size along all spatial axes but the first.

    Two strips that are at rows y and y + l of the input are at kernel rows δ and δ + l of the
    window that has row δ at y.
    """
    height, (size, *_) = x.shape[1], window.kernel
    step, low, windows = window.strides[0], window.low[0], window.outputs[0]
    axes = zip(window.strides[1:], window.low[1:], window.outputs[1:], strict=True)
    starts = [[t * s - p for t in range(n)] for s, p, n in axes] + [list(range(height))]
    rest = zip(window.kernel[1:], window.dilation[1:], strict=True)
    steps = [[o * d for o in range(k)] for k, d in rest] + [[0]]
    width = window.offsets // size * x.shape[-1]
    products = [np.zeros((width, min(size, height - y) * width)) for y in range(height)]
    x = np.moveaxis(x, 1, -2)
    locations = window.locations // windows
    samples = max(1, row_blocks(height * width, width) // locations)
    for start in range(0, len(x), samples):
        strips = _gather(x[start : start + samples], starts, steps).reshape(-1, height * width)
        for y, product in enumerate(products):
            first = strips[:, y * width : (y + 1) * width]
            product += first.T @ strips[:, y * width :][:, : product.shape[1]]
    moment = np.zeros((size * width, size * width))
    for y, product in enumerate(products):
        for offset in range(size):
            location, between = divmod(y + low - offset, step)
            if between == 0 and 0 <= location < windows:
                rows = moment[offset * width : (offset + 1) * width, offset * width :]
                some = min(product.shape[1], rows.shape[1])
                rows[:, :some] += product[:, :some]
    return np.triu(moment) + np.triu(moment, 1).T


def _full_starts(size, kernel, dilation):
    """Window corners at which a kernel axis touches the input at all."""
    return range(-(kernel - 1) * dilation, size)


def _operations(shape, window):
    """Estimated cost of the ways that are possible, in multiply-adds of a rank-k update."""
    samples, *spatial, channels = shape
    costs = {"im2col": samples * window.locations * (window.offsets * channels) ** 2}
    if window.offsets == 1:
        return costs
    size, height = window.kernel[0], spatial[0]
    strip = window.offsets // size * channels
    if window.dilation[0] == 1 and 8 * height * size * strip**2 <= _STRIP_BYTES:
        rows = samples * window.locations // window.outputs[0]
        # A product of two matrices takes twice as long as a rank-k update.
        costs["strips"] = 2 * rows * height * size * strip**2
    if any(s != 1 for s in window.strides) or channels < 8:
        return costs
    full = [
        len(_full_starts(s, k, d))
        for s, k, d in zip(spatial, window.kernel, window.dilation, strict=True)
    ]
    frequencies = math.prod(full[:-1]) * (full[-1] // 2 + 1)
    lags = (math.prod(2 * k - 1 for k in window.kernel) + 1) // 2
    cost = 4 * samples * frequencies * channels**2
    cost += samples * channels * math.prod(full) * 10 * max(1.0, math.log2(math.prod(full)))
    cost += 4 * lags * frequencies * channels**2
    for axis, (_, axis_steps) in enumerate(_frames(spatial, window)):
        rows = samples * math.prod(window.outputs[:axis]) * math.prod(full[axis + 1 :])
        others = math.prod(k for i, k in enumerate(window.kernel) if i != axis) * channels
        cost += sum(rows * (len(steps) * others) ** 2 for steps in axis_steps)
    costs["autocorrelation"] = 2 * cost  # an FFT runs at about half the speed
    return costs


def _frames(spatial, window):
    """Per axis, the corners left out by the convolution and the offsets alive there."""
    frames = []
    for size, kernel, dilation, low, outputs in zip(
        spatial, window.kernel, window.dilation, window.low, window.outputs, strict=True
    ):
        starts, steps = [], []
        for corner in _full_starts(size, kernel, dilation):
            if -low <= corner < outputs - low:
                continue
            alive = [o for o in range(kernel) if 0 <= corner + o * dilation < size]
            if alive:
                starts.append(corner)
                steps.append(alive)
        frames.append((starts, steps))
    return frames


def _autocorrelation_moment(x, window):
    channels = x.shape[-1]
    spatial = x.shape[1:-1]
    kernel, dilation = window.kernel, window.dilation
    lags, correlation = _autocorrelation(x, kernel, dilation)
    table = {lag: correlation[i] for i, lag in enumerate(lags)}
    offsets = list(itertools.product(*(range(k) for k in kernel)))
    moment = np.empty((len(offsets), channels, len(offsets), channels))
    for i, a in enumerate(offsets):
        for j, b in enumerate(offsets):
            lag = tuple(q - p for p, q in zip(a, b, strict=True))
            value = table[lag] if lag in table else table[tuple(-v for v in lag)].T
            moment[i, :, j, :] = value

    inside = [
        [t - low for t in range(n)] for low, n in zip(window.low, window.outputs, strict=True)
    ]
    everywhere = [
        list(_full_starts(s, k, d)) for s, k, d in zip(spatial, kernel, dilation, strict=True)
    ]
    steps = [[o * d for o in range(k)] for k, d in zip(kernel, dilation, strict=True)]
    for axis, (corners, alive_lists) in enumerate(_frames(spatial, window)):
        for corner, alive in zip(corners, alive_lists, strict=True):
            starts = [*inside[:axis], [corner], *everywhere[axis + 1 :]]
            axis_steps = [
                *steps[:axis],
                [o * dilation[axis] for o in alive],
                *steps[axis + 1 :],
            ]
            rows = _gather(x, starts, axis_steps)
            rows = rows.reshape(-1, rows.shape[-1])
            chosen = [i for i, o in enumerate(offsets) if o[axis] in alive]
            part = (rows.T @ rows).reshape(len(chosen), channels, len(chosen), channels)
            moment[np.ix_(chosen, range(channels), chosen, range(channels))] -= part
    size = len(offsets) * channels
    return moment.reshape(size, size)


def _autocorrelation(x, kernel, dilation):
    """R[lag]_ij = Σ_n Σ_s X_i(s) X_j(s + lag·dilation), for one lag of each pair ±lag.

    Returns:
        The lags, and R of shape (lags, C, C).
    """
    samples, *spatial, channels = x.shape
    axes = tuple(range(1, 1 + len(spatial)))
    sizes = [_even(s + (k - 1) * d) for s, k, d in zip(spatial, kernel, dilation, strict=True)]
    lags = [
        lag
        for lag in itertools.product(*(range(1 - k, k) for k in kernel))
        if lag >= (0,) * len(kernel)
    ]
    half = sizes[-1] // 2 + 1
    frequencies = math.prod(sizes[:-1]) * half
    grid = [np.arange(n) / n for n in sizes[:-1]] + [np.arange(half) / sizes[-1]]
    weight = np.full(half, 2.0)
    weight[0] = weight[-1] = 1.0
    weights = np.broadcast_to(weight, (*sizes[:-1], half)).reshape(-1) / math.prod(sizes)
    phase = np.zeros((len(lags), frequencies))
    for axis, axis_grid in enumerate(grid):
        shape = [1] * len(grid)
        shape[axis] = -1
        axis_grid = np.broadcast_to(axis_grid.reshape(shape), (*sizes[:-1], half)).reshape(-1)
        steps = np.array([lag[axis] * dilation[axis] for lag in lags])
        phase += steps[:, None] * axis_grid
    cosine = np.cos(2 * np.pi * phase) * weights
    sine = np.sin(2 * np.pi * phase) * weights

    result = np.zeros((len(lags), channels * channels))
    block = max(1, _FFT_BYTES // (16 * frequencies * channels))
    chunk = max(1, _SPECTRUM_BYTES // (16 * channels * channels))
    for start in range(0, samples, block):
        spectrum = np.fft.rfftn(
            x[start : start + block].astype(np.float64), s=sizes, axes=axes
        ).reshape(-1, frequencies, channels)
        for first in range(0, frequencies, chunk):
            part = slice(first, first + chunk)
            z = np.ascontiguousarray(spectrum[:, part].transpose(1, 0, 2))
            cross = np.matmul(z.conj().transpose(0, 2, 1), z).reshape(len(z), -1)
            result += cosine[:, part] @ cross.real - sine[:, part] @ cross.imag
    return lags, result.reshape(len(lags), channels, channels)


def _even(size):
    """The next even number with no prime factor above 5: cheap to transform."""
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1 and size % 2 == 0:
            return size
        size += 1


#: Functions of (x, window) by the name of the way.
_WAYS = {
    "im2col": _im2col_moment,
    "strips": _strip_moment,
    "autocorrelation": _autocorrelation_moment,
}
