"""Every operator of the table on the running backend, against closed forms in SciPy."""

import functools

import keras
import numpy as np
import pytest
from keras import ops
from reference import expressions as reference

from keras_actfn import backend
from keras_actfn.expressions import find_operator, operators
from keras_actfn.expressions.spaces import BINARY_NAMES, COATNET_UNARY_NAMES, N_ARY_NAMES

GRID = np.concatenate([np.linspace(-6.0, 6.0, 49), [-80.0, -20.0, 1e-4, -1e-4, 20.0, 80.0]])
EXTREME = np.array([-1e30, -1e4, -88.0, -0.0, 0.0, 88.0, 1e4, 1e30, np.inf, -np.inf, np.nan])
EVERYTHING = np.concatenate([GRID, EXTREME]).astype("float32").astype("float64")
TABLE = [operator for operator in operators() if operator.name in reference.UNARY]
PAIRS = [operator for operator in operators() if operator.name in reference.BINARY]


def value_and_slopes(operator, *arrays, dtype="float32"):
    tensors = [ops.convert_to_tensor(array.astype(dtype)) for array in arrays]
    value = operator.function(*tensors)
    slopes = backend.vector_jacobian_product(operator.function, ops.ones_like(value), *tensors)
    return ops.convert_to_numpy(value), [ops.convert_to_numpy(slope) for slope in slopes]


def assert_close(actual, expected, rtol=4e-6, atol=2e-7):
    """Equal up to float32, where what overflows float32 counts as infinite."""
    expected = expected.astype("float32")
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


@pytest.mark.once
def test_the_table_is_complete():
    names = [operator.name for operator in operators() if not operator.name.startswith("test_")]
    known = [*reference.UNARY, *reference.BINARY, *reference.N_ARY]
    assert sorted(names) == sorted(known)
    papers = {*COATNET_UNARY_NAMES, *BINARY_NAMES, *N_ARY_NAMES}
    assert papers <= set(names), "an operator of the papers' spaces is missing"
    for operator in map(find_operator, names):
        assert operator.formula and operator.reference is not None


@pytest.mark.once
@pytest.mark.parametrize("operator", TABLE, ids=lambda o: o.name)
def test_unary_references_are_accurate(operator):
    value, slope = reference.UNARY[operator.name]
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(operator.on_arrays(GRID), value(GRID), rtol=2e-14, atol=1e-35)
        for dtype in ("float32", "float64"):
            assert operator.on_arrays(GRID.astype(dtype)).dtype == dtype
        # The closed-form derivatives that the backends are compared with, against differences.
        x = np.linspace(-5.03, 4.99, 41)
        step = 1e-6
        differences = (value(x + step) - value(x - step)) / (2 * step)
    np.testing.assert_allclose(slope(x), differences, rtol=1e-6, atol=1e-8)


@functools.cache
def unary_on_everything(operator):
    """One evaluation for all tests, of one shape: compiling takes the time."""
    got, (slope,) = value_and_slopes(operator, EVERYTHING)
    return got, slope


@pytest.mark.parametrize("operator", TABLE, ids=lambda o: o.name)
def test_unary_values_and_slopes(operator):
    value, slope = reference.UNARY[operator.name]
    got, got_slope = unary_on_everything(operator)
    with np.errstate(all="ignore"):
        expected, expected_slope = value(EVERYTHING), slope(EVERYTHING)
        finite = np.isfinite(EVERYTHING)
        assert_close(got[finite], expected[finite])
        # A finite slope is never NaN from a branch that is not taken.
        kinks = np.isin(EVERYTHING, reference.KINKS.get(operator.name, ()))
        smooth = finite & np.isfinite(expected_slope.astype("float32")) & ~kinks
        assert smooth.sum() > 50
        assert_close(got_slope[smooth], expected_slope[smooth], rtol=2e-5, atol=1e-6)
    at = EVERYTHING[kinks]
    sides = np.sort([slope(at - 1e-9), slope(at + 1e-9)], axis=0)
    assert (got_slope[kinks] >= sides[0] - 1e-6).all()
    assert (got_slope[kinks] <= sides[1] + 1e-6).all()
    if operator.name not in ("zero", "one"):
        assert np.isnan(got[np.isnan(EVERYTHING)]).all()


@pytest.mark.parametrize("operator", PAIRS, ids=lambda o: o.name)
def test_binary_values_and_slopes(operator):
    axis = np.array([-3.0, -1.5, -0.25, 0.5, 1.25, 2.0, 3.0])
    x, y = (a.ravel() for a in np.meshgrid(axis, axis))
    if operator.name == "pow":
        x, y = np.append(x, [0.0, 0.0, 0.0, -2.0]), np.append(y, [0.0, 1.0, 2.0, 0.0])
    got, got_slopes = value_and_slopes(operator, x, y)
    value, slopes = reference.BINARY[operator.name]
    with np.errstate(all="ignore"):
        expected, expected_slopes = value(x, y), slopes(x, y)
    assert_close(got, expected)
    np.testing.assert_allclose(operator.on_arrays(x, y), expected, rtol=1e-14)
    apart = x != y if operator.name in ("max", "min") else np.ones(x.shape, bool)
    for got_slope, expected_slope in zip(got_slopes, expected_slopes, strict=True):
        where = apart & np.isfinite(expected_slope) & np.isfinite(expected)
        assert_close(got_slope[where], expected_slope[where], rtol=1e-5)
    # At a tie the two slopes share a weight of one.
    np.testing.assert_allclose(sum(got_slopes)[~apart], 1.0, rtol=1e-6)


def test_division_and_powers_at_their_singularities():
    table = {operator.name: operator for operator in PAIRS}
    value, _ = value_and_slopes(table["div"], np.array([1.0, -1.0, 0.0]), np.zeros(3))
    np.testing.assert_array_equal(value, [np.inf, -np.inf, np.nan])
    x, y = np.array([0.0, 0.0, -2.0, -2.0]), np.array([0.0, -1.0, 0.5, 3.0])
    value, (to_x, to_y) = value_and_slopes(table["pow"], x, y)
    np.testing.assert_allclose(value, [1.0, np.inf, np.nan, -8.0], rtol=1e-6)
    np.testing.assert_array_equal(to_y, np.zeros(4))
    np.testing.assert_allclose(to_x[[0, 3]], [0.0, 12.0], rtol=1e-6)


@pytest.mark.parametrize("name", reference.N_ARY)
def test_n_ary_operators_repeat_a_binary_one(name):
    operator = next(o for o in operators() if o.name == name)
    rows = np.random.default_rng(0).normal(size=(3, 50))
    expected = rows[0]
    for row in rows[1:]:
        expected = reference.BINARY[reference.N_ARY[name]][0](expected, row)
    got, slopes = value_and_slopes(operator, *rows)
    assert_close(got, expected)
    np.testing.assert_allclose(operator.on_arrays(*rows), expected, rtol=1e-14)
    if name == "prod_n":
        np.testing.assert_allclose(slopes[1], rows[0] * rows[2], rtol=1e-5)
    else:
        total = np.full(50, 3.0 if name == "sum_n" else 1.0)
        np.testing.assert_allclose(sum(slopes), total, rtol=1e-6)


@pytest.mark.parametrize("name", ["bessel_i0e", "bessel_i1e"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_bessel_functions_in_half_precision(name, dtype):
    x = ops.cast(ops.convert_to_tensor(np.linspace(-30, 30, 61, dtype="float32")), dtype)
    got = getattr(backend, name)(x)
    assert keras.backend.standardize_dtype(got.dtype) == dtype
    got = ops.convert_to_numpy(ops.cast(got, "float32"))
    expected = reference.UNARY[name][0](ops.convert_to_numpy(ops.cast(x, "float32")))
    np.testing.assert_allclose(got, expected, rtol=4e-3)
