"""Patch second moments and Gram eigenvalues against loops."""

import numpy as np
import pytest
from reference.fisher import patches as reference_patches

from keras_actfn.fisher import patches
from keras_actfn.fisher.second_moments import Diagonal, SecondMoment

pytestmark = pytest.mark.once

# spatial sizes, kernel, strides, dilation, zeros before, output locations
WINDOWS = {
    "same": ((7, 6), (3, 3), (1, 1), (1, 1), (1, 1), (7, 6)),
    "valid": ((7, 6), (3, 2), (1, 1), (1, 1), (0, 0), (5, 5)),
    "wide": ((8, 8), (5, 5), (1, 1), (1, 1), (0, 0), (4, 4)),
    "causal": ((9,), (3,), (1,), (2,), (4,), (9,)),
    "dilated": ((5, 5), (3, 3), (1, 1), (2, 2), (2, 2), (5, 5)),
    "larger than the input": ((3, 3), (3, 3), (1, 1), (2, 2), (2, 2), (3, 3)),
    "three axes": ((5, 6, 4), (2, 3, 2), (1, 1, 1), (1, 1, 1), (0, 1, 0), (4, 6, 3)),
    "strided": ((7, 6), (3, 3), (2, 3), (1, 1), (1, 0), (4, 2)),
    "pointwise": ((4, 4), (1, 1), (2, 2), (1, 1), (0, 0), (2, 2)),
}


def problem(name, channels=3):
    spatial, *geometry = WINDOWS[name]
    x = np.random.default_rng(0).normal(size=(4, *spatial, channels))
    return x, patches.Window(*geometry)


@pytest.mark.parametrize("name", WINDOWS)
def test_moment_equals_loops(name):
    x, window = problem(name)
    rows = reference_patches(
        x, window.kernel, window.strides, window.dilation, window.low, window.outputs
    )
    np.testing.assert_allclose(patches.extract(x, window).reshape(rows.shape), rows, rtol=0, atol=0)
    np.testing.assert_allclose(patches.patch_sum(x, window), rows.sum(axis=0), atol=1e-12)
    np.testing.assert_allclose(patches._im2col_moment(x, window), rows.T @ rows, atol=1e-12)
    if window.dilation[0] == 1:
        np.testing.assert_allclose(patches._strip_moment(x, window), rows.T @ rows, atol=1e-12)
    if set(window.strides) == {1}:
        np.testing.assert_allclose(
            patches._autocorrelation_moment(x, window), rows.T @ rows, atol=1e-12
        )


@pytest.mark.parametrize(
    "size, channels, kernel, stride, way",
    [
        (32, 32, 3, 1, "autocorrelation"),
        (12, 20, 5, 1, "strips"),
        (32, 3, 3, 1, "strips"),
        (32, 32, 3, 2, "im2col"),
        (32, 8, 1, 1, "im2col"),
    ],
)
def test_the_cheapest_way_is_taken(size, channels, kernel, stride, way):
    window = patches.Window((kernel,) * 2, (stride,) * 2, (1, 1), (0, 0), (size // stride - 4,) * 2)
    costs = patches._operations((16, size, size, channels), window)
    assert min(costs, key=costs.get) == way
    x = np.random.default_rng(1).normal(size=(2, size, size, channels)).astype("float32")
    rows = patches.extract(x, window).reshape(-1, kernel**2 * channels)
    np.testing.assert_allclose(patches._WAYS[way](x, window), rows.T @ rows, atol=1e-9)


@pytest.mark.parametrize("rows", [1, 5, 12])
def test_eigenvalues_from_rows_or_from_the_matrix(rows):
    values = np.random.default_rng(rows).normal(size=(rows, 7))
    moment = SecondMoment(7)
    moment.add(values[: rows // 2])
    moment.add(values[rows // 2 :])
    expected = np.linalg.eigvalsh(values.T @ values)
    np.testing.assert_allclose(moment.eigenvalues(), expected, atol=1e-12)
    np.testing.assert_allclose(moment.matrix(), values.T @ values, atol=1e-12)
    assert np.count_nonzero(moment.eigenvalues() > 1e-10) == min(rows, 7)


def test_rows_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"shape \(any, 3\); received \(2, 4\)"):
        SecondMoment(3).add(np.ones((2, 4)))


def test_infinite_rows_give_nan():
    moment = SecondMoment(2)
    moment.add(np.array([[np.inf, 1.0]]))
    assert np.isnan(moment.eigenvalues()).all()


def test_diagonal_counts_one_hot_rows():
    diagonal = Diagonal(4)
    diagonal.add_indices(np.array([1, 1, 3]))
    rows = np.eye(4)[[1, 1, 3]]
    np.testing.assert_array_equal(diagonal.matrix(), rows.T @ rows)
    np.testing.assert_array_equal(diagonal.eigenvalues(), [0, 0, 1, 2])
