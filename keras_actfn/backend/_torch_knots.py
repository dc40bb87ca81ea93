"""Functions on evenly spaced knots on PyTorch: sums by knot, and formulas that run one by one.

The formulas reuse their temporaries in place. They are those of `piecewise` and `splines`.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from . import _torch_cuda
from .comparisons import knot_sums_by_comparison, sums_in_a_row

#: Comparisons of elements with knots at a time, off the CPU.
_COMPARED = 1 << 26

#: Rows behind a spline's table that NaN is looked up in.
_FOR_NAN = 4


def knot_sums(
    terms: Sequence[torch.Tensor], index: torch.Tensor, shape: tuple[int, ...]
) -> torch.Tensor:
    """Sums by knot of terms for knots in a row; see `protocol`."""
    if index.device.type == "cpu":
        return _scattered(terms, index, shape)
    if get_proxy_mode() is not None:  # traced for the compiler
        return knot_sums_by_comparison(terms, index, shape)
    return _compared(terms, index, shape)


def _scattered(terms, index, shape):
    """`knot_sums` by scatters, which on a CPU run in order."""
    rows = math.gcd(index.numel(), 8)  # to share out among threads
    channels, sums = math.prod(shape[1:]), []
    index = index.reshape(rows, -1)
    for real, imaginary in zip(terms[::2], terms[1::2], strict=True):
        # One scatter of complex numbers is faster than two.
        pairs = torch.complex(real, imaginary).reshape(rows, -1)
        zeros = torch.zeros(rows, (shape[0] + 1) * channels, dtype=pairs.dtype, device=pairs.device)
        # In a new tensor: `torch.vmap` puts no batch into one that has none.
        found = zeros.scatter_add(1, index, pairs).sum(0)
        sums += [found.real, found.imag]
    return sums_in_a_row(sums, torch.nn.functional.pad, channels).reshape(shape)


def _compared(terms, index, shape):
    """`knot_sums` by comparing elements with every knot, a slice of them at a time.

    A scatter on a GPU adds in no fixed order, and all threads at the same few addresses.
    """
    channels = math.prod(shape[1:])
    own = [axis for axis in range(1, len(shape)) if shape[axis] > 1]
    last = range(index.ndim - len(own), index.ndim)
    arrays = (
        torch.movedim(array, own, list(last)).reshape(-1, channels) for array in (index, *terms)
    )
    knots = torch.arange(shape[0], device=index.device)[:, None, None] * channels
    sums = torch.zeros(shape[0], channels, dtype=terms[0].dtype, device=index.device)
    step = max(1, _COMPARED // (shape[0] * channels))
    for row, *some in zip(*(array.split(step) for array in arrays), strict=True):
        row = row - torch.arange(channels, device=row.device)
        for number, term in enumerate(some):
            sums = sums + torch.where(row == knots - number * channels, term, 0).sum(1)
    return sums.reshape(shape)


class InPlace(NamedTuple):
    """A function and its gradient with their temporaries reused, and kernels in place of both."""

    forward: Callable
    backward: Callable
    #: `on_cuda(x, *parameters)` is None, or has `forward` and `backward` for tensors like these,
    #: which return None if they can't run; `backward` returns the sums as well.
    on_cuda: Callable
    #: `traced(x, *parameters)` is the function as one operation of a graph that is compiled for a
    #: CUDA device, or None: the compiler's own gradient adds up the sums atomically.
    traced: Callable


def in_place_interpolation(*, low: float, scale: float, bounds: tuple[float, float]) -> InPlace:
    """`piecewise.interpolate` and its gradient."""
    functions = _interpolate, _interpolate_gradient, _torch_cuda.interpolation, _traced
    grid: dict[str, Any] = {"low": low, "scale": scale, "bounds": bounds}
    return InPlace(*(functools.partial(function, **grid) for function in functions))


def _traced(x, values, *, low, scale, bounds):
    # The operation has no rule for transforms of `torch.func` inside the graph.
    transformed = torch._C._are_functorch_transforms_active()
    if transformed or not _compiles_for_cuda(x) or not _torch_cuda.fits(x, values):
        return None
    return _piecewise(x, values, low, scale, *map(float, bounds))


def _compiles_for_cuda(x):
    """Whether x is of a graph that is compiled for a CUDA device, and not to be exported."""
    if not x.is_cuda or not torch.compiler.is_dynamo_compiling():
        return False
    return hasattr(torch.compiler, "is_exporting") and not torch.compiler.is_exporting()


@torch.library.custom_op("keras_actfn::piecewise_linear", mutates_args=())
def _piecewise(
    x: torch.Tensor, values: torch.Tensor, low: float, scale: float, first: float, last: float
) -> torch.Tensor:
    grid: dict[str, Any] = {"low": low, "scale": scale, "bounds": (first, last)}
    kernels = _torch_cuda.interpolation(x, values, **grid)
    output = kernels.forward(x, values) if kernels else None
    return _interpolate(x, values, **grid) if output is None else output


@torch.library.custom_op("keras_actfn::piecewise_linear_backward", mutates_args=())
def _piecewise_backward(
    gradient: torch.Tensor,
    x: torch.Tensor,
    values: torch.Tensor,
    low: float,
    scale: float,
    first: float,
    last: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    grid: dict[str, Any] = {"low": low, "scale": scale, "bounds": (first, last)}
    kernels = _torch_cuda.interpolation(x, values, **grid)
    gradients = kernels.backward(gradient, x, values) if kernels else None
    if gradients is not None:
        return gradients
    to_x, *terms, index = _interpolate_gradient(gradient, x, values, **grid)
    return to_x, knot_sums(terms, index, values.shape).to(values.dtype)


@_piecewise.register_fake
def _like(x, values, *grid):
    return torch.empty_like(x.contiguous() if values[0].numel() > 1 else x)


@_piecewise_backward.register_fake
def _like_both(gradient, x, values, *grid):
    return _like(x, values), torch.empty_like(values, memory_format=torch.contiguous_format)


def _keep(ctx, inputs, output):
    x, values, *ctx.grid = inputs
    ctx.save_for_backward(x, values)


def _pull_back(ctx, gradient):
    return *_piecewise_backward(gradient, *ctx.saved_tensors, *ctx.grid), None, None, None, None


_piecewise.register_autograd(_pull_back, setup_context=_keep)


def in_place_spline(
    *, low: float, scale: float, bounds: tuple[float, float]
) -> tuple[Callable, Callable]:
    """`splines.interpolate` and its gradient, with their temporaries reused in place."""
    grid = {"low": low, "scale": scale, "bounds": bounds}
    return functools.partial(_spline, **grid), functools.partial(_spline_gradient, **grid)


def _interpolate(x, values, *, low, scale, bounds):
    values = values.to(torch.promote_types(x.dtype, values.dtype))
    offset, segment = _locate(x, values, low, scale, bounds)
    output = _look_up(_rise(values), segment).mul_(offset)
    values = torch.cat([values, torch.zeros_like(values[:1])])
    return output.add_(_look_up(values, segment)).to(x.dtype)


def _interpolate_gradient(gradient, x, values, *, low, scale, bounds):
    dtype = values.dtype
    values = values.to(torch.promote_types(x.dtype, dtype))
    gradient = gradient.to(values.dtype)
    offset, segment = _locate(x, values, low, scale, bounds)
    to_x = _look_up(_rise(values), segment).mul_(gradient).mul_(scale)
    if bounds[0] == 0:  # constant outside the knots
        to_x.mul_((x >= low) & (x < low + (values.shape[0] - 1) / scale))
    right = offset.mul_(gradient)
    return to_x.to(x.dtype), gradient - right, right, segment


def _locate(x, values, low, scale, bounds):
    """Offset of x in its segment, and the segment's index; NaN is beyond the last knot."""
    last = values.shape[0] - 1
    position = x.to(values.dtype).sub(low).mul_(scale)
    position.clamp_(*bounds)
    segment = position.clamp(0, last - 1).floor_().nan_to_num_(nan=last + 1)
    offset = position.sub_(segment)
    return offset, _index(segment, values)


def _rise(values):
    """Rise of each segment, with rows of zeros for the last knot and beyond."""
    zeros = torch.zeros_like(values[:1])
    return torch.cat([values[1:] - values[:-1], zeros, zeros])


def _spline(x, table, *, low, scale, bounds):
    table = _with_rows_for_nan(table.to(torch.promote_types(x.dtype, table.dtype)))
    beyond, offset, index = _locate_on_spline(x, table, low, scale, bounds)
    rest, rises = 1 - offset, table[1:] - table[:-1]
    output = _look_up(rises, index, 2).mul_(offset).mul_(offset).mul_(offset)
    output.sub_(_look_up(rises, index).mul_(rest).mul_(rest).mul_(rest)).div_(6)
    middle = (offset / -3).add_(0.5).mul_(offset).add_(0.5).mul_(offset).add_(1 / 6)
    if bounds[0] != 0:
        middle.add_(beyond)
    output.add_(_look_up(rises, index, 1).mul_(middle))
    return output.add_(_look_up(table, index, 1)).to(x.dtype)


def _spline_gradient(gradient, x, table, *, low, scale, bounds):
    table = _with_rows_for_nan(table.to(torch.promote_types(x.dtype, table.dtype)))
    gradient = gradient.to(table.dtype)
    beyond, offset, index = _locate_on_spline(x, table, low, scale, bounds)
    rest, squared, rises = 1 - offset, offset * offset, table[1:] - table[:-1]
    middle = _look_up(rises, index, 1)
    to_x = _look_up(rises, index).sub_(middle).mul_(rest).mul_(rest)
    to_x.add_(_look_up(rises, index, 2).sub_(middle).mul_(squared)).mul_(0.5)
    to_x.add_(middle).mul_(gradient).mul_(scale)
    to_x = torch.where(offset == offset, to_x, 0)
    second = (offset / 2).sub_(1).mul_(squared).add_(2 / 3)
    third = (offset - squared).mul_(0.5).add_(0.5).mul_(offset).add_(1 / 6)
    if bounds[0] != 0:
        second.sub_(beyond)
        third.add_(beyond)
    weights = rest.pow_(3).div_(6), second, third, offset.mul_(squared).div_(6)
    return to_x.to(x.dtype), *(weight.mul_(gradient) for weight in weights), index


def _locate_on_spline(x, table, low, scale, bounds):
    """What x is beyond the segments, its offset, and its index; see `splines`."""
    rows = table.shape[0] - _FOR_NAN
    position = x.to(table.dtype).sub(low).mul_(scale)
    if bounds[0] == 0:
        position.add_(1)
    position.clamp_(*bounds)
    inside = position.clamp(0, rows - 3)
    segment = inside.clamp(max=rows - 4).floor_().nan_to_num_(nan=rows)
    return position.sub_(inside), inside.sub_(segment), _index(segment, table)


def _with_rows_for_nan(table):
    return torch.cat([table, table.new_zeros(_FOR_NAN, *table.shape[1:])])


def _index(segment, table):
    """The index of each segment in a table of rows and channels."""
    segment = segment.to(torch.int32).to(torch.int64)  # two fast conversions, one slow
    channels = table[0].numel()
    if channels > 1:
        channel = torch.arange(channels, device=segment.device).view(table.shape[1:])
        segment = segment.mul_(channels).add_(channel)
    return segment


def _look_up(table, index, behind=0):
    """The table's row of each index, or one so many rows behind it."""
    flat = table[behind:].reshape(-1)
    return flat.index_select(0, index.reshape(-1)).view(index.shape)
