"""The CUDA kernels of PWL, compiled for a CPU: threads of the system for those of a block."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from reference.piecewise import piecewise_linear, value_gradients

import keras_actfn
from keras_actfn.backend import piecewise, uniform_knots

pytestmark = pytest.mark.once

SOURCE = Path(keras_actfn.__file__).parent / "backend" / "piecewise.cu"

#: What CUDA adds to C++, for one block at a time.
HARNESS = r"""
#include <barrier>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>
struct Index { int x, y, z; };
static thread_local Index threadIdx;
static Index blockIdx, blockDim, gridDim;
static std::barrier<>* together;
#define __device__ static
#define __global__
#define __shared__
#define __syncthreads() together->arrive_and_wait()
static float __uint_as_float(unsigned x) { float y; std::memcpy(&y, &x, 4); return y; }
static unsigned __float_as_uint(float x) { unsigned y; std::memcpy(&y, &x, 4); return y; }
float table[1 << 14];
#include SOURCE

extern "C" void launch(int which, const Element* x, const Element* gradient, Element* output,
                       float* partial, const float* values, int count, int packs, int channels,
                       int knots, const double* n, int blocks, int tiles, int threads) {
  gridDim = {blocks, tiles, 1};
  blockDim = {threads, 1, 1};
  std::barrier<> barrier(threads);
  together = &barrier;
  for (int block = 0; block < blocks * tiles; ++block) {
    blockIdx = {block % blocks, block / blocks, 0};
    std::memset(table, 0x7f, sizeof table);
    std::vector<std::thread> running;
    for (int t = 0; t < threads; ++t)
      running.emplace_back([=] {
        threadIdx = {t, 0, 0};
        if (which == 0)
          forward(x, output, values, count, packs, channels, knots, n[0], n[1], n[2], n[3], n[4]);
        else
          (which == 1 ? backward : backward_by_channel)(
              x, gradient, output, partial, values, count, packs, channels, knots, n[0], n[1],
              n[2], n[3], n[4]);
      });
    for (auto& one : running) one.join();
  }
}
"""


@pytest.fixture(scope="module", params=[0, 1], ids=["float32", "bfloat16"])
def kernels(request, tmp_path_factory):
    """The element type, and the library for it."""
    compiler = shutil.which("g++")
    if not compiler:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "harness.cpp").write_text(HARNESS)
    options = ["-std=c++20", "-O1", "-fno-strict-aliasing", "-pthread", "-shared", "-fPIC", "-w"]
    macros = [f"-DELEMENT={request.param}", f'-DSOURCE="{SOURCE}"']
    library = folder / "kernels.so"
    command = [compiler, *options, *macros, "harness.cpp", "-o", str(library)]
    subprocess.run(command, cwd=folder, check=True)
    return request.param, ctypes.CDLL(str(library))


def elements(array, kind):
    """An array as a kernel reads it."""
    array = np.asarray(array, "float32")
    if kind == 0:
        return array.copy()
    bits = array.view("uint32").astype("uint64")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("uint16")


def numbers(array):
    """The same, back in float64."""
    if array.dtype == "float32":
        return array.astype("float64")
    return (array.astype("uint32") << 16).view("float32").astype("float64")


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def launch(library, which, x, gradient, values, low, high, clamp, blocks, tiles, threads, packs):
    """What a kernel writes: its output, and the sums of all blocks."""
    knots, channels = values.shape
    scale = (knots - 1) / (high - low)
    first, last = (0, knots - 1) if clamp else (-1e30, 1e30)
    constants = np.array([low, scale, first, last, high])
    output = np.full_like(x, np.nan if x.dtype == "float32" else 0x7FFF)
    partial = np.full((blocks, knots, channels), np.nan, "float32")
    arrays = [pointer(array) for array in (x, gradient, output, partial, values)]
    sizes = x.size, packs, channels, knots
    library.launch(which, *arrays, *sizes, pointer(constants), blocks, tiles, threads)
    return numbers(output), partial.astype("float64").sum(0)


@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize(("knots", "channels"), [(2, 1), (33, 1), (9, 5), (5, 37)])
def test_kernels(kernels, knots, channels, clamp):
    kind, library = kernels
    rng = np.random.default_rng(0)
    x = rng.normal(size=(41, channels)) * 3
    x[3, 0], x[4, 0], x[5, 0] = np.nan, np.inf, -np.inf
    gradient = rng.normal(size=x.shape)
    gradient[4:6, 0] = 0  # infinity times that many
    x, gradient = elements(x, kind), elements(gradient, kind)
    values = rng.normal(size=(knots, channels)).astype("float32")
    low, high, extrapolation = -2.5, 3.0, "clamp" if clamp else "linear"
    packs = x.size // (16 // x.itemsize) - 1  # some elements are left over
    grid = {"blocks": 2, "tiles": -(-channels // 32), "threads": 64}
    run = [library, x, gradient, values, low, high, clamp]

    found, _ = launch(run[0], 0, *run[1:], **grid | {"tiles": 1}, packs=packs)
    to_x, sums = launch(run[0], 1 if channels == 1 else 2, *run[1:], **grid, packs=packs)
    rounding = 1e-5 if kind == 0 else 2.0**-8
    for channel in range(channels):
        one, up = numbers(x)[:, channel], numbers(gradient)[:, channel]
        finite = np.isfinite(one)
        column = values[:, channel].astype("float64")
        expected = piecewise_linear(one[finite], column, low, high, extrapolation)
        got = found[finite, channel]
        np.testing.assert_allclose(got, expected, rtol=rounding, atol=rounding)
        assert np.isnan(found[np.isnan(one), channel]).all()

        segment = np.clip(np.floor((one[finite] - low) / (high - low) * (knots - 1)), 0, knots - 2)
        slope = np.diff(column)[segment.astype(int)] * (knots - 1) / (high - low)
        if clamp:
            slope[(one[finite] < low) | (one[finite] >= high)] = 0
        expected = slope * up[finite]
        np.testing.assert_allclose(to_x[finite, channel], expected, rtol=rounding, atol=rounding)
        assert (to_x[~finite, channel] == 0).all()

        weights = value_gradients(one[finite], knots, low, high, extrapolation)
        expected, size = weights @ up[finite], np.abs(weights) @ np.abs(up[finite])
        assert (np.abs(sums[:, channel] - expected) <= 1e-5 * np.maximum(size, 1)).all()


@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("case", ["shared", "by channel", "permuted", "not aligned", "many knots"])
def test_launches(kernels, case, clamp, monkeypatch):
    kind, library = kernels
    torch = pytest.importorskip("torch")
    from keras_actfn.backend import _torch_cuda as cuda

    def launch(self, name, x, values, grid, threads, shared, arrays):
        assert shared <= 48 * 1024 and grid[0] >= 1
        aligned = all(array.data_ptr() % 16 == 0 for array in arrays)
        packs = x.numel() // (16 // x.element_size()) if aligned else 0
        last = (values.shape[0] - 1) / self.scale + self.low
        constants = np.array([self.low, self.scale, *self.bounds, last])
        of = {"forward": [0, None, 1, None], "backward": [0, 1, 2, 3]}
        chosen = of[name.partition("_")[0]]
        pointers = [None if i is None else ctypes.c_void_p(arrays[i].data_ptr()) for i in chosen]
        which = ["forward", "backward", "backward_by_channel"].index(name)
        numbers = x.numel(), packs, values[0].numel(), values.shape[0]
        knots = ctypes.c_void_p(values.data_ptr())
        library.launch(which, *pointers, knots, *numbers, pointer(constants), *grid[:2], threads)
        return True

    monkeypatch.setattr(cuda.Interpolation, "_launch", launch)
    monkeypatch.setattr(cuda, "_multiprocessors", lambda device: 1)
    monkeypatch.setattr(cuda, "_THREADS", 64)
    rng = np.random.default_rng(0)
    knots = 300 if case == "many knots" else 9
    channels = 5 if case == "by channel" else 1
    dtype = torch.bfloat16 if kind else torch.float32
    x, up = (torch.tensor(rng.normal(size=(2, 3, 7, 5)) * 2, dtype=dtype) for _ in range(2))
    if case == "permuted":
        x = x.permute(0, 2, 3, 1)
        up = up.permute(0, 2, 3, 1).contiguous()
    if case == "not aligned":
        x, up = x.reshape(-1)[1:], up.reshape(-1)[1:]
    shape = (knots, 1, 1, 5) if channels > 1 else (knots,)
    values = torch.tensor(rng.normal(size=shape), dtype=torch.float32)
    bounds = (0, knots - 1) if clamp else (-1e30, 1e30)
    grid = {"low": -3.0, "scale": (knots - 1) / 6, "bounds": bounds}
    found = cuda.Interpolation(**grid)
    exact = {"values": values.double(), **grid}
    expected = piecewise.interpolate(x.double(), **exact, select=False)
    output = found.forward(x, values)
    assert output.shape == x.shape and output.dtype == dtype
    rounding = knots * 1e-6 if kind == 0 else 2.0**-7  # of the position
    torch.testing.assert_close(output.double(), expected, rtol=rounding, atol=rounding)
    to_x, to_values = found.backward(up, x, values)
    expected, *rest = piecewise.interpolate_gradient(up.double(), x.double(), **exact, select=False)
    torch.testing.assert_close(to_x.double(), expected, rtol=rounding, atol=rounding)
    (expected,) = uniform_knots.sums_by_knot(*rest, values.double())
    torch.testing.assert_close(to_values.double(), expected, rtol=1e-5, atol=1e-4)
