"""Piecewise-linear functions on CUDA devices of PyTorch, as kernels: one pass each way.

Forward reads x and writes f(x); backward reads x and the gradient, and writes the gradient to x
and, for every block of threads, a row of sums by knot, which are added up after it. Each thread
keeps sums of its own in shared memory, one for each knot, so nothing is added atomically: two
runs give the same bits on the same device. That is 2 N and 3 N of memory traffic, as for ReLU.
PyTorch's compiler keeps all knots' sums in registers instead, which do not suffice.

The kernels are compiled by NVRTC, which PyTorch brings along, when first used on a device.
"""

import ctypes
import functools
import logging
from importlib.resources import files
from typing import NamedTuple

import torch

_LOGGER = logging.getLogger(__name__)

#: Threads of a block, and the shared memory that it may take without being asked for.
_THREADS, _SHARED = 256, 48 * 1024

#: Neighbouring channels that the threads of a warp take.
_WARP = 32

_ELEMENTS = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}


class Interpolation(NamedTuple):
    """f and its gradient for tensors like one that it was made for; see `piecewise`."""

    low: float
    scale: float
    bounds: tuple[float, float]

    def forward(self, x: torch.Tensor, values: torch.Tensor) -> torch.Tensor | None:
        """f(x), or None if the kernel can't be launched."""
        x, (output,), _ = _aligned(x, values)
        threads = _THREADS
        blocks = min(-(-x.numel() // (4 * threads)), 8 * _multiprocessors(x.device))
        shared = 4 * values.numel() if values[0].numel() == 1 else 0
        arrays = [x, output]
        launched = self._launch("forward", x, values, (blocks, 1, 1), threads, shared, arrays)
        return output if launched else None

    def backward(
        self, gradient: torch.Tensor, x: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Gradients to x and to the values, or None if the kernel can't be launched."""
        x, (to_x, gradient), channels = _aligned(x, values, gradient.to(x.dtype))
        knots, threads = values.shape[0], _threads(values)
        columns = threads if channels == 1 else threads + _WARP
        shared = 4 * knots * (columns + (channels == 1))
        tiles = 1 if channels == 1 else -(-channels // _WARP)
        rows = x.numel() if channels == 1 else x.numel() // channels * _WARP
        resident = min(2048 // threads, (200 * 1024) // shared)
        most = max(1, resident * _multiprocessors(x.device) // tiles)
        blocks = min(-(-rows // (4 * threads)), most)
        sums = torch.empty(blocks, knots, channels, device=x.device)
        name = "backward" if channels == 1 else "backward_by_channel"
        arrays = [x, gradient, to_x, sums]
        if not self._launch(name, x, values, (blocks, tiles, 1), threads, shared, arrays):
            return None
        return to_x, sums.sum(0).reshape(values.shape).to(values.dtype)

    def _launch(self, name, x, values, grid, threads, shared, arrays):
        count, channels = x.numel(), values[0].numel()
        size = 16 // x.element_size()
        aligned = all(array.data_ptr() % 16 == 0 for array in arrays)
        last = values.shape[0] - 1
        arrays = [*arrays, values.to(torch.float32).contiguous()]
        counts = count, count // size if aligned else 0, channels, values.shape[0]
        numbers = self.low, self.scale, *self.bounds, self.low + last / self.scale
        arguments = [
            *(ctypes.c_void_p(array.data_ptr()) for array in arrays),
            *map(ctypes.c_int, counts),
            *map(ctypes.c_double, numbers),
        ]
        pointers = [ctypes.addressof(argument) for argument in arguments]
        kernels = _kernels(x.device.index, x.dtype)
        driver, old = _driver(), ctypes.c_void_p()
        # The thread that runs the backward pass may have no context yet, or another device's.
        error = driver.cuCtxPushCurrent_v2(kernels.context)
        if not error:
            stream = torch.cuda.current_stream(x.device).cuda_stream
            launch = kernels.functions[name], *grid, threads, 1, 1, shared, ctypes.c_void_p(stream)
            array = (ctypes.c_void_p * len(pointers))(*pointers)
            error = driver.cuLaunchKernel(*launch, array, None)
            driver.cuCtxPopCurrent_v2(ctypes.byref(old))
        if error:
            _LOGGER.warning("PWL's kernel '%s' was not launched: CUDA error %s", name, error)
        return not error


def interpolation(
    x: torch.Tensor, values: torch.Tensor, *, low: float, scale: float, bounds: tuple[float, float]
) -> Interpolation | None:
    """The kernels for x and values like these, or None where there are none.

    Values may be shared or vary along the last axis.
    """
    usual = x.is_cuda and type(x) is torch.Tensor and 0 < x.numel() < 1 << 31
    if not usual or not fits(x, values) or _kernels(x.device.index, x.dtype) is None:
        return None
    return Interpolation(low, scale, bounds)


def fits(x: torch.Tensor, values: torch.Tensor) -> bool:
    """Whether the kernels take the types of x and values, and the axes of the values."""
    along_last = values.shape[1:].numel() == x.shape[-1] == values.shape[-1]
    return (
        x.dtype in _ELEMENTS
        and values.dtype != torch.float64
        and (values[0].numel() == 1 or along_last)
        and _threads(values) >= _WARP
    )


def _threads(values):
    """Threads of a block whose sums fit into its shared memory; 0 for too many knots."""
    extra = 1 if values[0].numel() == 1 else _WARP
    room = _SHARED // (4 * values.shape[0]) - extra
    return min(_THREADS, 1 << max(0, room.bit_length() - 1)) if room >= _WARP else 0


def _aligned(x, values, *others):
    """X, an empty tensor like it with the `others`, all in one order in memory, and the channels.

    Where values are shared the order does not matter; else the last axis comes last.
    """
    channels = values[0].numel()
    if channels > 1:
        x = x.contiguous()
        return x, (torch.empty_like(x), *(other.contiguous() for other in others)), channels
    output = torch.empty_like(x)
    if x.stride() != output.stride():  # overlapping, or with gaps
        x = torch.empty_like(x).copy_(x)
    same = [
        other if other.stride() == x.stride() else torch.empty_like(x).copy_(other)
        for other in others
    ]
    return x, (output, *same), channels


@functools.cache
def _driver():
    return torch.cuda._utils._get_gpu_runtime_library()


@functools.cache
def _multiprocessors(device):
    return torch.cuda.get_device_properties(device).multi_processor_count


class _Kernels(NamedTuple):
    functions: dict[str, ctypes.c_void_p]
    context: ctypes.c_void_p


@functools.cache
def _kernels(device, dtype):
    """The kernels compiled for a device and an element type, or None."""
    try:
        source = files(__package__).joinpath("piecewise.cu").read_text(encoding="utf-8")
        source = f"#define ELEMENT {_ELEMENTS[dtype]}\n{source}"
        with torch.cuda.device(device):
            names = ["forward", "backward", "backward_by_channel"]
            loaded = torch.cuda._utils._cuda_load_module(_compile(source, device), names)
            context = ctypes.c_void_p()
            with torch.cuda.current_stream():  # makes the device's context that of the thread
                if error := _driver().cuCtxGetCurrent(ctypes.byref(context)):
                    raise RuntimeError(f"CUDA error {error}")
        return _Kernels({name: kernel.func for name, kernel in loaded.items()}, context)
    except Exception as error:  # PyTorch's own way to NVRTC is not public, and may change
        _LOGGER.warning("PWL runs without its CUDA kernels, which takes far longer: %s", error)
        return None


def _compile(source, device):
    """The machine code of a CUDA source."""
    nvrtc = torch.cuda._utils._get_nvrtc_library()
    major, minor = torch.cuda.get_device_capability(device)
    options = [f"--gpu-architecture=sm_{major}{minor}".encode()]
    program, size = ctypes.c_void_p(), ctypes.c_size_t()

    def check(result):
        if result:
            nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
            log = ctypes.create_string_buffer(size.value)
            nvrtc.nvrtcGetProgramLog(program, log)
            raise RuntimeError(f"NVRTC error {result}. {log.value.decode()}")

    text = source.encode()
    check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, b"piecewise.cu", 0, None, None))
    array = (ctypes.c_char_p * len(options))(*options)
    check(nvrtc.nvrtcCompileProgram(program, len(options), array))
    check(nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size)))
    code = ctypes.create_string_buffer(size.value)
    check(nvrtc.nvrtcGetCUBIN(program, code))
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return code.raw
