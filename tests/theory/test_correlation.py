"""The correlation objective against quadrature, golden optima and other optimisers."""

import json
import pathlib

import numpy as np
import pytest
from reference import correlation as reference
from scipy import integrate, optimize

from keras_actfn.theory import (
    CorrelationObjective,
    GaussianMixture,
    UnrestrictedOptimum,
    two_class_optimum,
)

pytestmark = pytest.mark.once

GOLDEN = json.loads(
    (pathlib.Path(__file__).parents[1] / "golden" / "correlation_optima.json").read_text()
)["cases"]
KNOTS = np.linspace(-3, 3, 33)
IRREGULAR = np.array([-2.5, -1.9, -0.4, 0.1, 0.15, 1.2, 2.8])
MIXTURES = {
    "even": dict(means=np.linspace(-3, 3, 8), std=1.0),
    "uneven": dict(
        means=[0.5, -2.0, 1.7, 0.0], std=[0.6, 1.3, 0.4, 2.0], priors=[0.4, 0.1, 0.3, 0.2]
    ),
    "wide": dict(means=np.linspace(-30, 30, 5), std=10.0),
}


def mixture(name):
    return GaussianMixture(**MIXTURES[name])


def reference_correlations(mix, knots, y, extrapolation):
    x, weights = reference.quadrature(knots, mix.means, mix.std)
    f = reference.piecewise_linear(x, knots, y, extrapolation)
    return reference.correlations(f, x, weights, mix.means, mix.std, mix.priors)


@pytest.mark.parametrize("extrapolation", ["linear", "clamp"])
@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize("knots", [KNOTS, IRREGULAR], ids=["uniform", "irregular"])
def test_correlations_and_value_agree_with_quadrature(name, extrapolation, knots):
    mix = mixture(name)
    y = np.random.default_rng(1).normal(size=knots.size)
    objective = CorrelationObjective(mix, knots, extrapolation)
    expected = reference_correlations(mix, knots, y, extrapolation)
    np.testing.assert_allclose(objective.correlations(y), expected, atol=1e-11)
    np.testing.assert_allclose(objective.value(y), reference.objective(expected), atol=1e-11)


@pytest.mark.parametrize("extrapolation", ["linear", "clamp"])
def test_statistics_agree_with_monte_carlo(extrapolation):
    mix = mixture("uneven")
    exact = CorrelationObjective(mix, IRREGULAR, extrapolation)
    x, labels = mix.sample(400_000, seed=3)
    sampled = CorrelationObjective.from_samples(x, labels, IRREGULAR, extrapolation)
    np.testing.assert_allclose(sampled.statistics.means, exact.statistics.means, atol=0.03)
    np.testing.assert_allclose(sampled.statistics.second, exact.statistics.second, atol=0.03)


def test_from_samples_is_the_empirical_correlation():
    generator = np.random.default_rng(0)
    x, labels = generator.normal(size=500) * 2, generator.integers(4, 8, size=500)
    y = generator.normal(size=KNOTS.size)
    for extrapolation in ("linear", "clamp"):
        objective = CorrelationObjective.from_samples(x, labels, KNOTS, extrapolation)
        f = reference.piecewise_linear(x, KNOTS, y, extrapolation)
        expected = [np.corrcoef(f, labels == k)[0, 1] for k in range(4, 8)]
        np.testing.assert_allclose(objective.correlations(y), expected, atol=1e-12)


def test_partial_moments_agree_with_quadrature_and_not_with_the_printed_equation():
    low, high, mean, std, slope, intercept = -0.5, 1.2, 0.7, 0.6, 1.7, 0.3
    m0, m1, m2 = GaussianMixture([mean], std).partial_moments([low], [high], [0.0])[0, 0]

    def density(x):
        return np.exp(-0.5 * ((x - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))

    for power, moment in enumerate((m0, m1, m2)):
        expected = integrate.quad(lambda x, j=power: x**j * density(x), low, high, epsabs=1e-13)[0]
        assert moment == pytest.approx(expected, abs=1e-12)
    conditional = slope * m1 / m0 + intercept
    assert conditional == pytest.approx(1.189996, abs=1e-6)
    assert abs(conditional - 1.670002) > 0.4


@pytest.mark.parametrize("extrapolation", ["linear", "clamp"])
@pytest.mark.parametrize("name", MIXTURES)
def test_gradient_matches_finite_differences(name, extrapolation):
    objective = CorrelationObjective(mixture(name), KNOTS, extrapolation)
    y = np.maximum(KNOTS, 0) + 0.1 * np.random.default_rng(2).normal(size=KNOTS.size)
    steps = 1e-5 * np.eye(KNOTS.size)
    numeric = [(objective.value(y + e) - objective.value(y - e)) / 2e-5 for e in steps]
    np.testing.assert_allclose(objective.gradient(y), numeric, atol=1e-8)


@pytest.mark.parametrize("name", MIXTURES)
def test_invariances_and_bounds(name):
    mix = mixture(name)
    objective = CorrelationObjective(mix, KNOTS, "clamp")
    y = np.random.default_rng(5).normal(size=KNOTS.size)
    value = objective.value(y)
    assert objective.value(2.5 * y - 4) == pytest.approx(value, abs=1e-12)
    assert objective.value(-y) == pytest.approx(-value, abs=1e-12)
    assert abs(objective.optimum().objective) <= (mix.classes - 2) / (mix.classes - 1)
    rho = objective.correlations(y)
    assert np.sqrt(mix.priors * (1 - mix.priors)) @ rho == pytest.approx(0, abs=1e-12)
    gradient = objective.gradient(y)
    assert gradient.sum() == pytest.approx(0, abs=1e-12)
    assert gradient @ y == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("case", GOLDEN, ids=[f"{c['K']}-{c['sigma']}-{c['ext']}" for c in GOLDEN])
def test_golden_optima(case):
    mix = GaussianMixture(np.linspace(-case["half"], case["half"], case["K"]), case["sigma"])
    objective = CorrelationObjective(mix, KNOTS, case["ext"])
    found = objective.optimum()
    assert found.objective == pytest.approx(case["L"], abs=1e-9)
    np.testing.assert_allclose(found.values, case["y"], atol=1e-6)
    np.testing.assert_allclose(found.correlations, case["rho"], atol=1e-6)
    assert objective.value(np.maximum(KNOTS, 0)) == pytest.approx(case["L_relu"], abs=1e-9)
    assert found.values[0] == 0
    assert objective.statistics.variance(found.values) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", ["even", "uneven", "wide"])
def test_full_enumeration_certifies_the_fast_search(name):
    objective = CorrelationObjective(mixture(name), KNOTS, "linear")
    fast, certified = objective.optimum(), objective.optimum(certify=True)
    assert certified.certified and not fast.certified
    assert fast.objective == pytest.approx(certified.objective, abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_the_solver_beats_a_general_optimiser_on_random_mixtures(seed):
    generator = np.random.default_rng(seed)
    classes = int(generator.integers(3, 9))
    mix = GaussianMixture(
        generator.normal(size=classes) * 2,
        generator.uniform(0.4, 2, size=classes),
        generator.dirichlet(np.full(classes, 3.0)),
    )
    objective = CorrelationObjective(mix, np.linspace(-4, 4, 17), "clamp")
    fast = objective.optimum().objective
    assert fast == pytest.approx(objective.optimum(certify=True).objective, abs=1e-10)
    for _ in range(5):
        start = generator.normal(size=17)
        found = optimize.minimize(objective.value, start, jac=objective.gradient)
        assert fast <= found.fun + 1e-9


def test_two_classes_are_refused_with_the_reason():
    objective = CorrelationObjective(GaussianMixture([-1, 1], 1.0), KNOTS, "clamp")
    y = np.random.default_rng(0).normal(size=KNOTS.size)
    assert objective.value(y) == pytest.approx(0, abs=1e-14)
    for act in (objective.optimum, objective.train):
        with pytest.raises(ValueError, match=r"at least three classes.*two_class_optimum"):
            act()


@pytest.mark.parametrize("mean, expected", [(3, 0.99792212), (1, 0.74188949)])
def test_two_class_optimum(mean, expected):
    found = two_class_optimum(GaussianMixture([-mean, mean], 1.0), KNOTS, "clamp")
    assert found.correlation == pytest.approx(expected, abs=1e-8)
    assert found.slope == pytest.approx(2 * mean)
    assert found.centre == pytest.approx(0)
    assert found.correlation < found.unrestricted_correlation < found.correlation + 1e-6
    # The values approach the posterior sigmoid up to scale and shift.
    posterior = 1 / (1 + np.exp(-found.slope * KNOTS))
    assert np.corrcoef(found.values, posterior)[0, 1] > 0.999
    with pytest.raises(ValueError, match="two classes; this one has 3"):
        two_class_optimum(GaussianMixture([-1, 0, 1], 1.0), KNOTS)


def test_two_class_centre_moves_with_the_priors():
    mix = GaussianMixture([-1.0, 2.0], 0.8, priors=[0.3, 0.7])
    found = two_class_optimum(mix, KNOTS, "linear")
    assert mix.posterior(found.centre)[1] == pytest.approx(0.5)


def test_unrestricted_optimum_bounds_every_piecewise_linear_one():
    mix = mixture("uneven")
    best = UnrestrictedOptimum(mix)
    fine = CorrelationObjective(mix, np.linspace(-9, 9, 301), "clamp").optimum()
    assert best.objective <= fine.objective
    assert best.objective == pytest.approx(fine.objective, abs=1e-4)
    # Its correlations, taken by quadrature of the curve itself, are those it reports.
    x, weights = reference.quadrature(KNOTS, mix.means, mix.std)
    rho = reference.correlations(best(x), x, weights, mix.means, mix.std, mix.priors)
    np.testing.assert_allclose(rho, best.correlations, atol=1e-9)
    mass = mix.pdf(x) * weights
    assert mass @ best(x) == pytest.approx(0, abs=1e-9)
    assert mass @ best(x) ** 2 == pytest.approx(1, abs=1e-9)


def test_unit_variance_of_samples_and_of_a_constant():
    """The rule of `anchored_unit_norm`: what has no direction becomes zero."""
    x = np.random.default_rng(0).normal(size=300)
    statistics = CorrelationObjective.from_samples(x, np.arange(300) % 3, KNOTS, "clamp").statistics
    y = np.random.default_rng(1).normal(size=KNOTS.size)
    f = reference.piecewise_linear(x, KNOTS, y, "clamp")
    np.testing.assert_allclose(statistics.unit_variance(y), (y - y[0]) / f.std(), rtol=1e-9)
    np.testing.assert_array_equal(statistics.unit_variance(np.full(KNOTS.size, 0.7)), 0)
    # The best function of two equal classes.
    found = two_class_optimum(GaussianMixture([0, 0], 1.0), KNOTS, "clamp")
    np.testing.assert_array_equal(found.values, 0)
    assert found.correlation == 0


@pytest.mark.parametrize("options", [{}, {"projection": "anchored_unit_norm"}])
def test_adam_reaches_the_exact_optimum(options):
    objective = CorrelationObjective(mixture("even"), KNOTS, "clamp")
    exact = objective.optimum().objective
    training = objective.train(steps=500, **options)
    assert training.history[0] == pytest.approx(objective.value(np.maximum(KNOTS, 0)))
    assert training.history.shape == (501,)
    assert exact - 1e-12 <= training.objective < exact + 2e-5


def test_sample_training_comes_close_and_depends_on_its_seed():
    objective = CorrelationObjective(mixture("even"), KNOTS, "clamp")
    first, again, other = (
        objective.train(data="samples", steps=200, batch_size=4000, seed=seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.values, again.values)
    assert np.abs(first.values - other.values).max() > 1e-6
    assert first.objective == pytest.approx(objective.optimum().objective, abs=2e-3)


def test_knots_beyond_the_inputs_follow_their_neighbours():
    mix = GaussianMixture([-0.2, 0.0, 0.2], 0.05)
    found = CorrelationObjective(mix, np.linspace(-60, 60, 241), "clamp").optimum()
    assert np.isfinite(found.values).all()
    assert np.ptp(found.values[:100]) == 0 and np.ptp(found.values[-100:]) == 0


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: GaussianMixture([0, 1], 0.0), "must be positive"),
        (lambda: GaussianMixture([0, 1], [1, 1, 1]), "one for each of the 2 means"),
        (lambda: GaussianMixture([0, 1], 1, priors=[0.5, 0.6]), "sum to one"),
        (lambda: GaussianMixture([0, 1], 1, priors=[1.0]), "one entry for each"),
        (lambda: CorrelationObjective(mixture("even"), [0, 0, 1]), "increasing order"),
        (lambda: CorrelationObjective(mixture("even"), KNOTS, "hold"), "'linear'.*'clamp'"),
        (lambda: CorrelationObjective(mixture("even"), KNOTS).value(np.ones(33)), "constant one"),
        (lambda: CorrelationObjective(mixture("even"), KNOTS).value(np.ones(3)), "33 knots"),
        (
            lambda: CorrelationObjective(GaussianMixture(np.arange(12), 1.0), KNOTS).optimum(
                certify=True
            ),
            "K <= 10; this mixture has 12",
        ),
        (
            lambda: CorrelationObjective(GaussianMixture([0, 0, 0], 1.0), KNOTS).optimum(),
            "all classes have the same",
        ),
        (lambda: CorrelationObjective(mixture("even"), KNOTS).train(method="lbfgs"), "'adam'"),
        (lambda: CorrelationObjective(mixture("even"), KNOTS).train(data="real"), "'samples'"),
        (
            lambda: CorrelationObjective.from_samples([0, 1], [0], KNOTS),
            "2 inputs and 1 labels",
        ),
    ],
)
def test_errors_say_the_rule(call, message):
    with pytest.raises(ValueError, match=message):
        call()
