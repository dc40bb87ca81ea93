"""Functions of large tensors, compiled by `torch.compile` into one loop, or one kernel of a GPU.

Run operation by operation, an elementwise function of many operations takes several times
longer than ReLU. Compiled, it takes about as long; the price is a few seconds for each new
function, so only tensors of a million elements and more are worth it. Where PyTorch cannot
compile, for want of a C++ compiler or of Triton or for a function that it does not understand,
and where `TORCH_COMPILE_DISABLE=1` is set, the function runs as it is.
"""

import contextlib
import ctypes
import functools
import importlib.util
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch.fx.experimental import _config as tracing
from torch.fx.experimental.proxy_tensor import make_fx

#: Tensors with fewer elements are not worth the compilation.
_FEWEST_ELEMENTS = 1 << 20

#: Elements of a slice, where sums follow the loop, which bounds what they take.
_SLICE = 1 << 20

#: Elements of a part that has sums of its own, with shared parameters and for each channel. Fewer
#: than the last number are not worth it.
_PART, _PART_OF_CHANNEL, _SMALLEST_PART = 4096, 256, 64

#: How many functions are compiled, which bounds the time that it takes. Later ones run as they are.
_MOST_COMPILED = 64

_COMPILED: dict = {}
_LOGGER = logging.getLogger(__name__)


def worthwhile(x: torch.Tensor, parameters: Iterable[torch.Tensor]) -> bool:
    """Whether a function of a tensor like x and of these parameters should be compiled.

    It should where x is large. On a CPU every parameter must be shared by all elements of x as
    well: one that may vary along an axis of x could not be lined up with a slice of it.
    """
    plain = type(x) is torch.Tensor  # no tensor of a tracer's
    large = x.numel() >= _FEWEST_ELEMENTS
    fits = shared(x, parameters) or not in_slices(x)
    return plain and large and fits and _compiles_for(x.device.type)


def in_slices(x: torch.Tensor) -> bool:
    """Whether a function runs slice by slice of x, as the caches of a CPU ask for."""
    return x.device.type == "cpu"


def shared(x: torch.Tensor, parameters: Iterable[torch.Tensor]) -> bool:
    """Whether no parameter may vary along an axis of x."""
    return all(p.ndim == 0 or p.ndim < x.ndim - 1 for p in parameters)


@functools.cache
def _compiles_for(device):
    """Whether there may be a compiler for a device; Triton comes with PyTorch's CUDA builds."""
    if device == "cuda":
        return importlib.util.find_spec("triton") is not None
    return device == "cpu"


def slices(tensors: Sequence[torch.Tensor], whole: bool) -> Iterator[list[torch.Tensor]]:
    """Yield flat slices of tensors of one shape, or all in one; those of the first are views.

    Elements come in the order in which the first tensor has them in memory, so that others in
    the same order are not copied, and the rest a slice at a time.
    """
    order = sorted(range(tensors[0].ndim), key=tensors[0].stride, reverse=True)
    tensors = [tensor.permute(order) for tensor in tensors]
    count, elements = len(tensors[0]), tensors[0].numel()
    step = count if whole else max(1, _SLICE * count // elements)
    for start in range(0, count, step):
        yield [tensor[start : start + step].reshape(-1) for tensor in tensors]


def in_parts(
    tensors: Sequence[torch.Tensor], parameters: Sequence[torch.Tensor]
) -> tuple[list[torch.Tensor], list[torch.Tensor]] | None:
    """Tensors as (elements of a part, parts) or (…, channels), and a row of parameters a part.

    The gradient to a parameter is one sum for each part then. These the compiler makes in the
    kernel that writes the gradient to x; sums over all elements it makes in another one, which
    reads everything again. None where the sizes do not allow it. The first tensor's are views.
    """
    first, channels = tensors[0], max(parameter.numel() for parameter in parameters)
    if channels > 1 and not (
        first.is_contiguous() and all(p.numel() in (1, first.shape[-1]) for p in parameters)
    ):
        return None
    most = _PART if channels == 1 else _PART_OF_CHANNEL
    size = math.gcd(first.numel() // channels, most)
    if size < _SMALLEST_PART:
        return None
    shape = (-1, size) if channels == 1 else (-1, size, channels)
    flat = next(slices(tensors, whole=True))
    parts = [tensor.view(shape).transpose(0, 1) for tensor in flat]
    count = parts[0].shape[1]
    if channels == 1:
        return parts, [p.reshape(1).expand(count) for p in parameters]
    return parts, [p.reshape(1, -1).expand(count, -1) for p in parameters]


def into(function: Callable) -> Callable[..., list[torch.Tensor]]:
    """A function of an output and the arguments that writes the first result into the output.

    It returns the list of the other results.
    """

    def write(output, *tensors):
        results = function(*tensors)
        first, *rest = results if isinstance(results, (list, tuple)) else [results]
        output.copy_(first)
        return rest

    return write


def compiled(
    function: Callable,
    arrays: Sequence[torch.Tensor],
    parameters: Sequence[torch.Tensor],
    any_size: bool = False,
) -> Callable | None:
    """`into(function)` compiled for tensors such as these, or None if that fails.

    It is found again for the same function of the same arguments, and arrays of other sizes; a
    function's keyword arguments of type float may differ, and with `any_size` the parameters'
    sizes, which else the function may have been unrolled over.
    """
    if os.environ.get("TORCH_COMPILE_DISABLE") == "1":
        return None
    function, numbers = _without_numbers(function)
    kind = (
        _identity(function),
        tuple((a.dtype, _ones(a)) for a in arrays),
        tuple((p.dtype, _ones(p) if any_size else p.shape) for p in parameters),
    )
    try:
        if kind not in _COMPILED:
            if len(_COMPILED) >= _MOST_COMPILED:
                return None
            _COMPILED[kind] = _compile(function, (numbers, *arrays, *parameters))
    except TypeError:  # an unhashable argument: each call would compile
        return None
    run = _COMPILED[kind]
    return run and functools.partial(run, numbers)


def _ones(tensor):
    """The axes of size one: what is traced with one is not what is traced with more."""
    return tuple(size == 1 for size in tensor.shape)


def _compile(function, tensors):
    """A function of numbers, the output and the arguments, or None."""

    def write(numbers, *tensors):
        return into(functools.partial(function, **numbers))(*tensors)

    try:
        # Operations alone: torch.compile would read, and watch for changes, Keras's own code.
        # Sizes that are equal this time need not be so the next.
        with tracing.patch(use_duck_shape=False):
            operations = make_fx(write, tracing_mode="symbolic")(*tensors)
        run = torch.compile(operations.forward, dynamic=True, fullgraph=True)
        run(*tensors)
    except Exception as error:  # whatever the compiler stumbles over, the function still runs
        _LOGGER.info("%s runs uncompiled: %s", function, error)
        return None
    finally:
        _give_back()
    return run


def _give_back():
    """Give the memory that the compiler took and freed back to the system.

    Ten megabytes a function stay with glibc's allocator otherwise; the loop itself takes one.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _without_numbers(function):
    """A function without its keyword arguments of type float, and these as tensors by name."""
    if not isinstance(function, functools.partial):
        return function, {}
    numbers = {
        name: torch.tensor(value, dtype=torch.float64)
        for name, value in function.keywords.items()
        if type(value) is float
    }
    others = {name: value for name, value in function.keywords.items() if name not in numbers}
    return functools.partial(function.func, *function.args, **others), numbers


def _identity(function):
    """What is equal for two functions that do the same."""
    if not isinstance(function, functools.partial):
        return function
    arguments = tuple(map(_identity, function.args))
    return _identity(function.func), arguments, tuple(sorted(function.keywords.items()))
