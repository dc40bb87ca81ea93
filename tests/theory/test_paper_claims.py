"""Statements of the papers that hold in part or not at all; docs/papers.md lists them."""

import numpy as np
import pytest

from keras_actfn.theory import GaussianMixture, UnrestrictedOptimum

pytestmark = pytest.mark.once

X = np.linspace(0, 12, 240_001)


def bell(x):
    return x * np.exp(-(x**2) / 2)


def error(epsilon, x=X):
    """g(f(x)) − x of the CRReLU paper's Proposition 2, x ≥ 0."""
    y = x + epsilon * bell(x)
    return y - epsilon * bell(y) - x


def bound(epsilon):
    return abs(np.exp(-1) * epsilon**2 + 0.5 * np.exp(-1.5) * epsilon**3)


def test_the_bound_of_proposition_2_fails_below_minus_a_third():
    ratios = [np.abs(error(e)).max() / bound(e) for e in np.geomspace(1e-3, 1, 31)]
    assert 0.7 < max(ratios) < 0.8
    assert np.abs(error(-0.336)).max() < bound(-0.336)
    for epsilon in (-0.34, -0.5, -1.0):
        assert np.abs(error(epsilon)).max() > bound(epsilon)


def test_the_first_inequality_of_its_proof_fails():
    """It drops the second of two terms, which is the larger one near zero."""
    x, epsilon = np.array(0.1), 0.5
    y = x + epsilon * bell(x)
    first = epsilon * bell(x) * (1 - np.exp(-(y**2 - x**2) / 2))
    second = epsilon**2 * bell(x) * np.exp(-(y**2) / 2)
    assert first - second == pytest.approx(float(error(epsilon, x)), abs=1e-15)
    assert abs(first - second) > 10 * abs(first)


def test_crrelu_is_monotone_for_the_range_of_epsilon_in_its_docstring():
    def smallest_slope(epsilon):
        return (1 + epsilon * (1 - X**2) * np.exp(-(X**2) / 2)).min()

    limit = np.exp(1.5) / 2
    for inside, outside in ((limit - 1e-6, limit + 1e-6), (-1 + 1e-6, -1 - 1e-6)):
        assert smallest_slope(inside) > 0 > smallest_slope(outside)


def test_no_ramp_is_the_best_function_for_a_mixture():
    """The best of all functions is bounded; Swish and ReLU are not."""
    best = UnrestrictedOptimum(GaussianMixture(np.linspace(-3, 3, 20), 1.0))
    values = best(np.array([-400.0, -200.0, 200.0, 400.0]))
    assert np.isfinite(values).all()
    assert values[0] == pytest.approx(values[1], abs=1e-6)
    assert values[3] == pytest.approx(values[2], abs=1e-6)
