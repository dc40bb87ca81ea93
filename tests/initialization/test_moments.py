"""Gaussian moments by quadrature against closed forms and draws."""

import math

import numpy as np
import pytest

from keras_actfn.initialization.signal_moments import Signal, mixture_of, product_of, sum_of

pytestmark = pytest.mark.once

PHI = 1 / math.sqrt(2 * math.pi)


@pytest.mark.parametrize(
    ("function", "mean", "square"),
    [
        (lambda x: np.maximum(x, 0), PHI, 0.5),
        (lambda x: (x > 0).astype(float), 0.5, 0.5),
        (np.sin, 0.0, (1 - math.exp(-2)) / 2),
        (np.exp, math.exp(0.5), math.exp(2.0)),
        (np.square, 1.0, 3.0),
        (np.abs, 2 * PHI, 1.0),
    ],
)
def test_moments_of_functions_of_a_standard_gaussian(function, mean, square):
    signal = Signal.gaussian().map(function)
    # A jump inside a cell of the grid is known to half the cell: 0.005 · density.
    jump = 2.1e-3 if square == mean else 1e-5
    assert signal.mean == pytest.approx(mean, abs=jump)
    assert float(signal.second_moments) == pytest.approx(square, rel=1e-5, abs=jump)
    assert signal.variance == pytest.approx(square - mean**2, rel=1e-4)


def test_each_position_has_its_own_distribution():
    means, variances = np.array([[0.0, 1.0], [0.0, -2.0]]), np.array([[1.0, 4.0], [1.0, 0.0]])
    signal = Signal.gaussian(means, variances)
    assert len(signal.values) == 3  # two positions are alike
    np.testing.assert_allclose(signal.means, means, atol=1e-12)
    np.testing.assert_allclose(signal.variances, variances, rtol=1e-6, atol=1e-12)
    assert signal.variance == pytest.approx(variances.mean() + means.var())
    doubled = signal.map(lambda x: 2 * x)
    np.testing.assert_allclose(doubled.variances, 4 * variances, rtol=1e-6, atol=1e-12)


def test_channels_with_their_own_function_count_alike():
    signal = Signal.gaussian().map(lambda x: x[..., None] * np.array([1.0, 3.0]))
    assert signal.variance == pytest.approx((1 + 9) / 2, rel=1e-6)


def test_dropout():
    signal = Signal.gaussian(1.0, 2.0).dropped(0.25)
    assert signal.mean == pytest.approx(1.0)
    assert float(signal.second_moments) == pytest.approx(3.0 / 0.75)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_largest_of_several(n):
    draws = np.maximum(np.random.default_rng(0).normal(size=(400_000, n)), 0).max(axis=1)
    signal = Signal.gaussian().map(lambda x: np.maximum(x, 0)).largest_of(n)
    assert signal.mean == pytest.approx(draws.mean(), abs=0.005)
    assert signal.variance == pytest.approx(draws.var(), rel=0.01)
    # Closed form of the largest of two: 1/√π.
    assert Signal.gaussian().largest_of(2).mean == pytest.approx(math.pi**-0.5, abs=0.006)


def test_sums_products_and_mixtures():
    a, b = Signal.gaussian(1.0, 2.0), Signal.gaussian(-3.0, 0.5)
    assert (sum_of([a, b]).mean, sum_of([a, b]).variance) == pytest.approx((-2.0, 2.5))
    product = product_of([a, b])
    assert (product.mean, product.variance) == pytest.approx((-3.0, 3 * 9.5 - 9.0))
    mixture = mixture_of([a, b], [3, 1])
    square = 0.75 * 3.0 + 0.25 * 9.5
    assert (mixture.mean, mixture.variance) == pytest.approx((0.0, square))


def test_values_that_overflow_are_not_finite():
    with np.errstate(over="ignore"):
        assert not Signal.gaussian().map(lambda x: np.exp(np.exp(x**2))).finite
