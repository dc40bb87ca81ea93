"""Projections against bisection and closed forms, and the contract of the constraints."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_actfn import constraints
from keras_actfn.testing import CONSTRAINT_CHECKS

W = np.concatenate(
    [
        np.random.default_rng(0).normal(size=(6, 40)),
        np.random.default_rng(1).normal(scale=100, size=(6, 40)),
        -np.abs(np.random.default_rng(2).normal(size=(6, 40))),
    ],
    axis=1,
)


def simplex_by_bisection(w):
    """The threshold τ with Σ max(w − τ, 0) = 1, found by halving."""
    low, high = w.max() - 1, w.max()
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(w - middle, 0).sum() > 1 else (low, middle)
    return np.maximum(w - low, 0)


def test_simplex_equals_bisection():
    result = ops.convert_to_numpy(constraints.Simplex()(ops.convert_to_tensor(W, "float32")))
    expected = np.apply_along_axis(simplex_by_bisection, 0, W.astype("float32").astype("float64"))
    np.testing.assert_allclose(result, expected, atol=1e-6)
    np.testing.assert_allclose(result.sum(0), 1, atol=1e-6)
    assert result.min() >= 0


def test_unit_sum_is_the_orthogonal_projection():
    w = ops.convert_to_tensor(W.T[:80], "float32")
    result = ops.convert_to_numpy(constraints.UnitSum(axis=1)(w))
    moved = result - W.T[:80]
    np.testing.assert_allclose(moved - moved.mean(1, keepdims=True), 0, atol=2e-5)
    np.testing.assert_allclose(result.sum(1), 1, atol=1e-4)
    small = ops.convert_to_numpy(constraints.UnitSum()(ops.convert_to_tensor(W[:, :40], "float32")))
    np.testing.assert_allclose(small.sum(0), 1, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, 1e5, 1e6, 4e6, 1.5e7])
def test_unit_sum_holds_for_large_coefficients(scale, axis):
    w = np.random.default_rng(0).uniform(-1, 1, size=(5, 200)).astype("float32") * np.float32(scale)
    w = w if axis == 0 else w.T
    once = constraints.UnitSum(axis)(ops.convert_to_tensor(w))
    result = ops.convert_to_numpy(once).astype("float64")
    # The stored numbers add up to one, but for a last digit of the one of least magnitude.
    least = np.abs(result).min(axis, keepdims=True).astype("float32")
    np.testing.assert_array_less(
        np.abs(result.sum(axis, keepdims=True) - 1), np.spacing(least) + 1e-7
    )
    if scale <= 1e6:
        np.testing.assert_allclose(result.sum(axis), 1, atol=1e-6)
    exact = w + (1 - w.astype("float64").sum(axis, keepdims=True)) / 5
    np.testing.assert_allclose(result, exact, atol=1e-6 * max(1, scale))
    twice = ops.convert_to_numpy(constraints.UnitSum(axis)(once))
    np.testing.assert_allclose(twice, result, atol=1e-7 * min(1, scale), rtol=1e-7)


@pytest.mark.once
def test_one_projection_for_arrays_and_tensors():
    """Theory and callbacks project float64 arrays by the function of the constraint."""
    w = np.column_stack([W[:, :3], np.full(6, 0.7)])
    expected = (w - w[0])[:, :3] / np.linalg.norm((w - w[0])[:, :3], axis=0)
    result = constraints.anchored_unit_norm(w)
    assert isinstance(result, np.ndarray) and result.dtype == np.float64
    np.testing.assert_allclose(result[:, :3], expected, rtol=1e-14)
    np.testing.assert_array_equal(result[:, 3], 0)
    np.testing.assert_array_equal(constraints.anchored_unit_norm(w.T, axis=1), result.T)


def test_anchored_unit_norm():
    w = np.column_stack([W[:, 0], W[:, 50] * 1e20, W[:, 1] * 1e-20, np.full(6, 0.7)])
    result = ops.convert_to_numpy(
        constraints.AnchoredUnitNorm()(ops.convert_to_tensor(w, "float32"))
    )
    anchored = w - w[0]
    expected = anchored[:, :3] / np.linalg.norm(anchored[:, :3], axis=0)
    np.testing.assert_allclose(result[:, :3], expected, atol=1e-5)
    np.testing.assert_array_equal(result[:, 3], 0)


@pytest.mark.parametrize("check", CONSTRAINT_CHECKS)
@pytest.mark.parametrize("name", constraints.CONSTRAINTS)
def test_contract(name, check):
    CONSTRAINT_CHECKS[check](lambda: constraints.get(name))


def test_get():
    assert constraints.get(None) is None
    assert isinstance(constraints.get("Simplex"), constraints.Simplex)
    assert isinstance(constraints.get(constraints.UnitSum), constraints.UnitSum)
    assert isinstance(constraints.get("non_neg"), keras.constraints.NonNeg)
    copy = constraints.deserialize(constraints.serialize(constraints.UnitSum(axis=2)))
    assert isinstance(copy, constraints.UnitSum)
    assert copy.axis == 2
    assert constraints.deserialize(constraints.serialize(None)) is None
    with pytest.raises(ValueError, match="Did you mean 'unit_sum'"):
        constraints.get("unitsum")
    with pytest.raises(ValueError, match=r"one integer\. Received: axis='first'"):
        constraints.Simplex(axis="first")
