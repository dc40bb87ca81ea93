"""The data behind the theory's figures, and that the figures draw them."""

import numpy as np
import pytest
from scipy import stats

from keras_actfn.callbacks import Snapshots
from keras_actfn.plotting import theory as plotting
from keras_actfn.theory import (
    CorrelationObjective,
    GaussianMixture,
    UnrestrictedOptimum,
    compare_shapes,
    eafo_step,
    two_class_optimum,
)

pytestmark = pytest.mark.once


def make_snapshots():
    x, edges = np.linspace(-2, 2, 5), np.linspace(-4, 4, 41)
    curves = np.stack([np.stack([x, 3 * x], axis=-1), np.stack([x + 1, 3 * x + 1], axis=-1)])
    counts = np.stack(
        [np.diff(stats.norm(0.3, 0.9).cdf(edges)), np.diff(stats.uniform(-1, 2).cdf(edges))]
    )
    counts = np.round(1e5 * np.stack([counts, counts[::-1]]))
    return Snapshots(np.array([0, 3]), x, edges, {"a": curves, "b": curves}, {"a": counts})


def test_derived_correlation_lies_on_its_rivals():
    mixture, knots = GaussianMixture(np.linspace(-3, 3, 8), 1.0), np.linspace(-3, 3, 33)
    objective = CorrelationObjective(mixture, knots, "linear")
    values = objective.optimum().values
    data = plotting.derived_correlation(
        objective, values, compare_shapes(knots, values), UnrestrictedOptimum(mixture)
    )
    np.testing.assert_array_equal(data.values, values)
    np.testing.assert_allclose(data.density, mixture.pdf(data.x))
    best = data.rivals["best of all functions"]
    inner = np.abs(data.x) < 2
    gap = best - np.interp(data.x, knots, values)
    assert np.abs(gap[inner]).max() < 0.1
    figure = plotting.draw_derived(data)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[-1] == "derived" and "best of all functions" in labels


def test_two_classes_are_titled_by_their_correlation():
    """L is zero for every function of two classes; at μ = ±3 the best ρ₂ is 0.99792212."""
    mixture, knots = GaussianMixture(np.array([-3.0, 3.0]), 1.0), np.linspace(-3, 3, 33)
    values = two_class_optimum(mixture, knots, "clamp").values
    data = plotting.derived_correlation(CorrelationObjective(mixture, knots, "clamp"), values)
    assert data.title == "optimum for two classes, ρ₂ = 0.9979"


def test_derived_entropy_step():
    step = eafo_step("tanh", stats.norm(), 1.0)
    data = plotting.derived_entropy_step(step, np.tanh, stats.norm.pdf, np.linspace(-2, 2, 9))
    np.testing.assert_allclose(data.values, step(np.linspace(-2, 2, 9)))
    np.testing.assert_allclose(data.rivals["before"], np.tanh(data.x))
    assert "-0.1771" in data.title


def test_evolution_means_and_ranges_over_units():
    first, second = plotting.evolution(make_snapshots())
    assert (first.layer, second.layer) == ("a", "b")
    np.testing.assert_allclose(first.curves[0], 2 * first.x)
    np.testing.assert_allclose(first.low[1], np.minimum(first.x, 3 * first.x) + 1)
    np.testing.assert_allclose(first.high[1], np.maximum(first.x, 3 * first.x) + 1)
    figure = plotting.draw_evolution(make_snapshots())
    assert len(figure.axes[0].get_lines()) == 2


def test_gaussianity_panels_tell_normal_from_uniform():
    (panel,) = plotting.gaussianity_panels(make_snapshots())
    assert panel.layer == "a"
    width = panel.centres[1] - panel.centres[0]
    np.testing.assert_allclose(panel.densities.sum(axis=1) * width, 1, rtol=1e-6)
    # The last snapshot has the classes swapped: class 1 is the normal one.
    np.testing.assert_allclose(panel.normals[1], stats.norm(0.3, 0.9).pdf(panel.centres), atol=4e-3)
    assert panel.distances[1] < 0.003 < 0.04 < panel.distances[0]
    figure = plotting.draw_gaussianity(make_snapshots())
    assert len(figure.axes[0].get_lines()) == 4
    bare = make_snapshots()
    bare.histograms.clear()
    with pytest.raises(ValueError, match="pass x and y to ActivationSnapshots"):
        plotting.draw_gaussianity(bare)
