"""The sums by which accelerators get the knots' gradients, against NumPy's own sums, on a CPU."""

import functools
import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_actfn.backend import piecewise

BACKEND = keras.backend.backend()

#: Shapes of x and of the values, of each kind and none of them whole blocks.
CASES = {
    "shared": ((7, 5, 3), (33,)),
    "shared, no axes": ((301,), (2,)),
    "per channel": ((5, 9, 3), (33, 1, 3)),
    "per channel, many blocks": ((37, 9, 2), (9, 1, 2)),
    "channels first": ((5, 3, 9), (6, 3, 1)),
    "two axes": ((4, 3, 5, 2), (4, 3, 1, 2)),
    "each entry": ((70, 4), (5, 4)),
    "one row": ((1, 4), (5, 4)),
    "no row": ((0, 4), (5, 4)),
}


def formulas():
    """Each formula of the running backend as a function of NumPy arrays and a shape."""
    if BACKEND == "jax":
        import jax

        from keras_actfn.backend import _jax_knots

        found = {"tpu": _jax_knots.dense, "gpu": _jax_knots.on_gpu}
        return {name: jax.jit(f, static_argnums=3) for name, f in found.items()}
    from keras_actfn.backend.comparisons import knot_sums_by_comparison

    if BACKEND == "torch":
        from keras_actfn.backend import torch as module

        return {"gpu": module._compared, "gpu, compiled": knot_sums_by_comparison}
    import tensorflow as tf

    def compiled(gradient, right, index, shape):
        run = functools.partial(knot_sums_by_comparison, shape=shape)
        return tf.function(run, jit_compile=True, autograph=False)(gradient, right, index)

    return {"gpu": knot_sums_by_comparison, "gpu, XLA": compiled}


FORMULAS = formulas()


def arguments(x_shape, shape, dtype="float32", clamp=False, nan=True):
    """What `sums_by_knot` is given for random x, some far outside, one of them NaN."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=x_shape) * 3
    if x.size > 9 and nan:
        x.flat[3], x.flat[4], x.flat[5], x.flat[6] = np.nan, np.inf, -np.inf, 1e4
    upstream = rng.normal(size=x_shape)
    if x.size > 9 and nan:
        upstream.flat[4] = upstream.flat[5] = 0  # infinity times that many
    last = shape[0] - 1
    bounds = (0, last) if clamp else (-piecewise.LARGEST_POSITION, piecewise.LARGEST_POSITION)
    values = ops.convert_to_tensor(rng.normal(size=shape), "float32")
    found = piecewise.interpolate_gradient(
        ops.convert_to_tensor(upstream, dtype),
        ops.convert_to_tensor(x, dtype),
        values,
        low=-3.0,
        scale=last / 6,
        bounds=bounds,
    )
    return found[1:]


def expected(gradient, right, index, shape):
    """The sums by NumPy, in float64."""
    gradient, right, index = (ops.convert_to_numpy(a).ravel() for a in (gradient, right, index))
    channels = math.prod(shape[1:])
    sums = np.zeros((shape[0] + 2) * channels)
    np.add.at(sums, index, gradient.astype("float64") - right)
    np.add.at(sums, index + channels, right.astype("float64"))
    return sums[: shape[0] * channels].reshape(shape)


def check(found, gradient, right, index, shape):
    found = ops.convert_to_numpy(found)
    exact = expected(gradient, right, index, shape)
    scale = expected(*(ops.abs(a) for a in (gradient, right, index)), shape)
    assert found.dtype == "float32"
    assert found.shape == shape
    assert np.all(np.abs(found - exact) <= 1e-5 * np.maximum(np.abs(scale), 1))


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("case", CASES)
def test_sums(case, formula):
    x_shape, shape = CASES[case]
    given = arguments(x_shape, shape)
    check(FORMULAS[formula](*given, shape), *given, shape)


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bits_are_summed_in_float32(dtype, formula):
    given = arguments((3000, 3), (5, 3), dtype, clamp=True, nan=False)
    found = FORMULAS[formula](*given, (5, 3))
    check(found, *given, (5, 3))
    assert np.abs(ops.convert_to_numpy(found)).max() > 10  # where 16 bits would tell


@pytest.mark.parametrize("formula", FORMULAS)
def test_runs_agree_bit_by_bit(formula):
    given = arguments((64, 33, 2), (9, 1, 2))
    first, second = (ops.convert_to_numpy(FORMULAS[formula](*given, (9, 1, 2))) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_reaches_its_own_knots_only(bad, formula):
    gradient, right, index = arguments((40,), (9,), nan=False)
    index = ops.convert_to_numpy(index)
    gradient, right = (np.array(ops.convert_to_numpy(a)) for a in (gradient, right))
    gradient[7] = right[7] = bad
    given = [ops.convert_to_tensor(a) for a in (gradient, right, index)]
    found = np.isfinite(ops.convert_to_numpy(FORMULAS[formula](*given, (9,))))
    assert set(np.flatnonzero(~found)) == {index[7], index[7] + 1}


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("shape", [(150,), (150, 3)])
def test_more_knots_than_are_summed_up_side_by_side(shape, formula):
    if BACKEND == "tensorflow":
        pytest.skip("TensorFlow sums by segments from 129 knots on")
    given = arguments((50, 3), shape)
    check(FORMULAS[formula](*given, shape), *given, shape)


@pytest.mark.skipif(BACKEND != "torch", reason="PyTorch's loop over slices")
def test_slices(monkeypatch):
    from keras_actfn.backend import torch as module

    monkeypatch.setattr(module, "_COMPARED", 100)
    given = arguments((13, 3), (5, 3))
    check(module._compared(*given, (5, 3)), *given, (5, 3))
