"""The sums by which accelerators get the knots' gradients, against NumPy's own sums, on a CPU."""

import functools
import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_actfn.backend import compiled, piecewise, splines, uniform_knots

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

        def run(formula, terms, index, shape):
            return jax.jit(functools.partial(formula, shape=shape))(*terms, index)

        found = {"tpu": _jax_knots.dense, "gpu": _jax_knots.on_gpu}
        return {name: functools.partial(run, f) for name, f in found.items()}
    from keras_actfn.backend.comparisons import knot_sums_by_comparison

    if BACKEND == "torch":
        from keras_actfn.backend import _torch_knots

        return {"gpu": _torch_knots._compared, "gpu, compiled": knot_sums_by_comparison}
    import tensorflow as tf

    def compiled(terms, index, shape):
        run = functools.partial(knot_sums_by_comparison, shape=shape)
        return tf.function(run, jit_compile=True, autograph=False)(terms, index)

    return {"gpu": knot_sums_by_comparison, "gpu, XLA": compiled}


FORMULAS = formulas()

#: JAX compiles each operation by itself else, for each shape.
as_one_program = compiled if BACKEND == "jax" else lambda function: function


#: The functions whose sums are compared, and how many knots each element's gradient goes to.
KINDS = {"pwl": piecewise, "spline": splines}


def arguments(x_shape, shape, dtype="float32", clamp=False, nan=True, kind="pwl"):
    """What `knot_sums` is given for random x, some far outside, one of them NaN."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=x_shape) * 3
    if x.size > 9 and nan:
        x.flat[3], x.flat[4], x.flat[5], x.flat[6] = np.nan, np.inf, -np.inf, 1e4
    upstream = rng.normal(size=x_shape)
    if x.size > 9 and nan:
        upstream.flat[4] = upstream.flat[5] = 0  # infinity times that many
    segments = shape[0] - (1 if kind == "pwl" else 3)
    largest = uniform_knots.LARGEST_POSITION
    values = ops.convert_to_tensor(rng.normal(size=shape), "float32")
    gradient = functools.partial(
        KINDS[kind].interpolate_gradient,
        low=-3.0,
        scale=segments / 6,
        bounds=(0, segments) if clamp else (-largest, largest),
    )
    given = ops.convert_to_tensor(upstream, dtype), ops.convert_to_tensor(x, dtype), values
    _, *terms, index = as_one_program(gradient)(*given)
    return terms, index


def expected(terms, index, shape, of=np.asarray):
    """The sums by NumPy, in float64, of a function of each element's terms."""
    index, *terms = (ops.convert_to_numpy(a).ravel() for a in (index, *terms))
    channels = math.prod(shape[1:])
    sums = np.zeros((shape[0] + len(terms)) * channels)
    for number, term in enumerate(terms):
        np.add.at(sums, index + number * channels, of(term.astype("float64")))
    return sums[: shape[0] * channels].reshape(shape)


def check(found, terms, index, shape):
    found = ops.convert_to_numpy(found)
    exact = expected(terms, index, shape)
    scale = expected(terms, index, shape, np.abs)
    assert found.dtype == "float32"
    assert found.shape == shape
    assert np.all(np.abs(found - exact) <= 1e-5 * np.maximum(np.abs(scale), 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("case", CASES)
def test_sums(case, formula, kind):
    x_shape, shape = CASES[case]
    shape = (shape[0] + 2 * (kind == "spline"), *shape[1:])
    given = arguments(x_shape, shape, kind=kind)
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
    given = arguments((64, 33, 2), (9, 1, 2), kind="spline")
    first, second = (ops.convert_to_numpy(FORMULAS[formula](*given, (9, 1, 2))) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_reaches_its_own_knots_only(bad, formula):
    for kind, knots in {"pwl": 2, "spline": 4}.items():
        terms, index = arguments((40,), (9,), nan=False, kind=kind)
        terms = [np.array(ops.convert_to_numpy(term)) for term in terms]
        for term in terms:
            term[7] = bad
        terms = [ops.convert_to_tensor(term) for term in terms]
        found = np.isfinite(ops.convert_to_numpy(FORMULAS[formula](terms, index, (9,))))
        first = int(ops.convert_to_numpy(index)[7])
        assert set(np.flatnonzero(~found)) == set(range(first, first + knots))


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("shape", [(150,), (150, 3)])
def test_more_knots_than_are_summed_up_side_by_side(shape, formula):
    if BACKEND == "tensorflow":
        pytest.skip("TensorFlow sums by segments from 129 knots on")
    given = arguments((50, 3), shape, kind="spline")
    check(FORMULAS[formula](*given, shape), *given, shape)


@pytest.mark.skipif(BACKEND != "torch", reason="PyTorch's loop over slices")
def test_slices(monkeypatch):
    from keras_actfn.backend import _torch_knots

    monkeypatch.setattr(_torch_knots, "_COMPARED", 100)
    given = arguments((13, 3), (5, 3), kind="spline")
    check(_torch_knots._compared(*given, (5, 3)), *given, (5, 3))


@pytest.mark.parametrize("channels", [(), (1, 3)])
def test_neighbours_by_selects_and_by_a_gather(channels):
    for segments, count in ((1, 4), (2, 3), (5, 4), (32, 4), (33, 1), (64, 2), (65, 3)):
        table = np.random.default_rng(0).normal(size=(segments + count - 1, *channels))
        segment = np.arange(segments * 6, dtype="int32").reshape(-1, 2, 3) % segments
        rows = np.stack([segment + number for number in range(count)])
        column = np.arange(3) if channels else ()
        exact = table[rows, 0, column] if channels else table[rows]
        given = ops.convert_to_tensor(table, "float32"), ops.convert_to_tensor(segment)
        for select in (True, False):
            look_up = functools.partial(
                uniform_knots.look_up_neighbours, count=count, select=select
            )
            found = as_one_program(look_up)(*given)
            assert len(found) == count
            for one, row in zip(found, exact.astype("float32"), strict=True):
                one = np.broadcast_to(ops.convert_to_numpy(one), row.shape)
                np.testing.assert_array_equal(one, row)
