"""Entropies and entropy steps against golden values, closed forms and quadrature."""

import json
import pathlib

import numpy as np
import pytest
from scipy import integrate, stats

from keras_actfn.theory import (
    GaussianMixture,
    SmoothedPWL,
    eafo_step,
    kernel_bandwidth,
    kernel_estimate,
    max_step,
    monotone_regions,
    output_entropy,
    smooth_density,
    wafbc,
)

pytestmark = pytest.mark.once

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "eafo_steps.json").read_text())[
    "cases"
]
NORMAL = stats.norm(0, 1)
CALLABLES = {"identity": lambda x: x, "tanh": np.tanh}


@pytest.mark.parametrize("as_function", [False, True], ids=["name", "function"])
@pytest.mark.parametrize("case", GOLDEN, ids=[c["act"] for c in GOLDEN])
def test_golden_steps(case, as_function):
    activation = CALLABLES[case["act"]] if as_function else case["act"]
    step = eafo_step(activation, NORMAL, case["step"])
    np.testing.assert_allclose(step(case["x"]), case["f_new"], atol=1e-8)
    assert step.entropy_before == pytest.approx(case["H0"], abs=1e-8)
    assert step.entropy_after == pytest.approx(case["H1"], abs=1e-8)
    assert step.max_step == pytest.approx(case["max_step"], abs=1e-6)
    assert step.slope == pytest.approx(case["slope"], abs=1e-8)
    assert max_step(activation, NORMAL) == pytest.approx(case["max_step"], abs=1e-6)


def test_the_mixture_of_one_component_agrees_with_scipy():
    mixture = GaussianMixture([0.0], 1.0)
    ours, theirs = (eafo_step("tanh", density, 1.0) for density in (mixture, NORMAL))
    x = np.linspace(-4, 4, 21)
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-8)
    assert ours.entropy_after == pytest.approx(theirs.entropy_after, abs=1e-8)


@pytest.mark.parametrize("density", [NORMAL, stats.logistic(0.3, 0.5), stats.t(4)])
def test_entropy_of_the_new_function_is_that_of_its_output(density):
    """H by the transported formula equals h(X) + E log f_new' by finite differences."""
    step = eafo_step("identity", density, 0.4)
    edges = np.linspace(density.ppf(1e-9), density.isf(1e-9), 40_001)
    mass = np.diff(density.cdf(edges))
    slope = np.diff(step(edges)) / np.diff(edges)
    assert (slope > 0).all()
    expected = float(density.entropy()) + mass @ np.log(slope)
    assert step.entropy_after == pytest.approx(expected, abs=1e-5)
    assert step.entropy_after < step.entropy_before


def test_slope_is_the_derivative_of_entropy_and_of_the_direction():
    small = 1e-4
    step = eafo_step("tanh", NORMAL, small)
    change = (step.entropy_after - step.entropy_before) / small
    assert change == pytest.approx(step.slope, rel=1e-3)
    # f_new − f ≈ s f' R', R = p/f'
    x = np.linspace(-2, 2, 9)
    slope = 1 - np.tanh(x) ** 2
    ratio_rate = NORMAL.pdf(x) * (-x / slope + 2 * np.tanh(x) / slope)
    np.testing.assert_allclose((step(x) - np.tanh(x)) / small, slope * ratio_rate, atol=1e-3)


def test_the_direction_for_normal_inputs_has_the_corrected_sign():
    """The step is x − ε x e^{−x²/2}; CRReLU raises the entropy for ε > 0, lowers it for ε < 0."""
    step = eafo_step("relu", NORMAL, 0.01, region=(0, np.inf))
    x = np.array([0.5, 1.0, 2.0])
    epsilon = 0.01 * 2 / np.sqrt(2 * np.pi)  # the density given x > 0 is 2φ
    np.testing.assert_allclose(step(x), x - epsilon * x * np.exp(-x * x / 2), atol=1e-4)
    np.testing.assert_allclose(step(np.array([-2.0, -0.1])), 0, atol=1e-12)
    for epsilon, expected in ((0.01, 0.003516385), (-0.01, -0.003554876)):
        crrelu = lambda x, e=epsilon: np.maximum(x, 0) + e * x * np.exp(-x * x / 2)  # noqa: E731
        change = output_entropy(crrelu, NORMAL, region=(0, np.inf)) - output_entropy(
            "relu", NORMAL, region=(0, np.inf)
        )
        # Half of the inputs are positive; the published change is over the whole line.
        whole = output_entropy(lambda x, e=epsilon: x + e * x * np.exp(-x * x / 2), NORMAL)
        assert whole - float(NORMAL.entropy()) == pytest.approx(expected, abs=1e-8)
        assert change == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    "activation, expected",
    [("sigmoid", -0.19317983), ("tanh", 0.66980412), (np.tanh, 0.66980412)],
)
def test_output_entropy_of_saturating_functions(activation, expected):
    assert output_entropy(activation, NORMAL) == pytest.approx(expected, abs=5e-8)


def test_output_entropy_of_scaled_and_kinked_functions_in_closed_form():
    h = float(NORMAL.entropy())
    assert output_entropy(lambda x: -3 * x, NORMAL) == pytest.approx(h + np.log(3), abs=1e-7)
    leaky = lambda x: np.where(x > 0, x, 0.2 * x)  # noqa: E731
    assert output_entropy(leaky, NORMAL) == pytest.approx(h + 0.5 * np.log(0.2), abs=1e-6)
    assert output_entropy("identity", stats.laplace()) == pytest.approx(1 + np.log(2), abs=1e-12)


def test_wafbc_is_the_maximum_at_its_range():
    worst = wafbc(NORMAL, -1, 1)
    assert worst.entropy == pytest.approx(np.log(2))
    np.testing.assert_allclose(worst([-np.inf, 0, np.inf]), [-1, 0, 1], atol=1e-12)
    assert output_entropy(worst, NORMAL) == pytest.approx(np.log(2), abs=1e-8)
    assert output_entropy("tanh", NORMAL) < worst.entropy
    assert output_entropy("sigmoid", NORMAL) < wafbc(NORMAL).entropy
    # Its entropy is stationary: R is constant and the step moves nothing.
    assert max_step(worst, NORMAL) == np.inf
    still = eafo_step(worst, NORMAL, 1.0)
    np.testing.assert_allclose(still([-1.0, 0.5]), worst([-1.0, 0.5]), atol=1e-9)


def test_a_slope_lost_to_rounding_is_refused_until_it_is_given():
    with pytest.raises(ValueError, match=r"cannot be resolved.*derivative=function"):
        max_step(NORMAL.cdf, NORMAL)
    assert max_step(NORMAL.cdf, NORMAL, derivative=NORMAL.pdf) == np.inf


def test_steps_above_the_limit_are_refused_and_just_below_are_monotone():
    limit = max_step("identity", NORMAL)
    with pytest.raises(ValueError, match=r"must be below 5\.61696"):
        eafo_step("identity", NORMAL, limit * 1.0001)
    step = eafo_step("identity", NORMAL, limit * 0.999)
    assert (np.diff(step(np.linspace(-5, 5, 2001))) > 0).all()


@pytest.mark.parametrize(
    "activation, density, message",
    [
        ("tanh", stats.laplace(), "largest valid step is 0.*grows without bound"),
        ("tanh", stats.logistic(), "largest valid step is 0.*grows without bound"),
        ("identity", stats.laplace(), "largest valid step is 0.*jumps.*smooth=bandwidth"),
        (lambda x: np.where(x > 0, x, 0.3 * x), NORMAL, "kink of the density or the activation"),
        ("relu", NORMAL, r"atom.*minus infinity.*region=\(low, high\)"),
        ("swish", NORMAL, r"monotone regions: \(.*-1\.27.*\), \(-1\.27"),
    ],
)
def test_what_has_no_valid_step_is_refused_with_the_reason(activation, density, message):
    with pytest.raises(ValueError, match=message):
        eafo_step(activation, density, 0.1)


def test_no_step_means_a_limit_of_zero():
    assert max_step("tanh", stats.laplace()) == 0
    assert max_step("identity", stats.laplace()) == 0


@pytest.mark.parametrize(
    "activation, density",
    [("identity", stats.laplace()), ("leaky_relu", NORMAL)],
    ids=["kinked density", "kinked activation"],
)
def test_smoothing_makes_a_step_possible(activation, density):
    limit = max_step(activation, density, smooth=0.5)
    assert limit > 0
    step = eafo_step(activation, density, limit / 2, smooth=0.5)
    assert step.entropy_after < step.entropy_before
    assert (np.diff(step(np.linspace(-6, 6, 501))) > 0).all()


def test_a_monotone_region_keeps_its_ends_and_lowers_the_entropy():
    step = eafo_step("swish", NORMAL, 0.05, region=(0, np.inf))
    swish = lambda x: x / (1 + np.exp(-x))  # noqa: E731
    x = np.array([-3.0, -1.0, 0.0])
    np.testing.assert_allclose(step(x), swish(x), atol=1e-7)
    assert step.entropy_after < step.entropy_before
    assert step.slope < 0
    assert np.abs(step(np.array([0.5])) - swish(0.5)) > 1e-4


def test_decreasing_functions_take_the_mirrored_step():
    up = eafo_step("tanh", NORMAL, 0.5)
    down = eafo_step(lambda x: -np.tanh(x), NORMAL, 0.5)
    x = np.linspace(-2, 2, 7)
    np.testing.assert_allclose(down(x), -up(x), atol=1e-8)
    assert down.entropy_after == pytest.approx(up.entropy_after, abs=1e-8)


def test_normalised_entropy_is_invariant_to_scale():
    a = eafo_step("identity", NORMAL, 0.5)
    b = eafo_step(lambda x: 4 * x, NORMAL, 0.5 * 4)  # R shrinks by 4, the same T
    assert a.normalised_after == pytest.approx(b.normalised_after, abs=1e-7)
    assert a.normalised_before == pytest.approx(float(NORMAL.entropy()), abs=1e-8)
    assert b.entropy_after == pytest.approx(a.entropy_after + np.log(4), abs=1e-7)


def test_samples_give_a_step_close_to_the_true_density_and_check_it_on_themselves():
    samples = np.random.default_rng(0).normal(size=20_000)
    step = eafo_step("identity", samples, 0.5)
    exact = eafo_step("identity", NORMAL, 0.5)
    x = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(step(x), exact(x), atol=0.03)
    assert step.entropy_after < step.entropy_before
    edges = np.sort(samples)
    slope = (step(edges + 1e-4) - step(edges - 1e-4)) / 2e-4
    assert step.sample_change == pytest.approx(np.log(slope).mean(), abs=1e-4)
    assert step.sample_change < 0
    assert exact.sample_change is None


def test_kernel_estimate_matches_scipy_and_its_bandwidth_the_rule():
    samples = np.random.default_rng(1).normal(2, 3, size=400)
    expected = np.std(samples) * (4 / (7 * 400)) ** (1 / 9)
    assert kernel_bandwidth(samples) <= expected * 1.0000001
    mixture = kernel_estimate(samples, bandwidth=0.8)
    scipy_kde = stats.gaussian_kde(samples, bw_method=0.8 / np.std(samples, ddof=1))
    x = np.linspace(-8, 12, 41)
    np.testing.assert_allclose(mixture.pdf(x), scipy_kde(x), atol=3e-4)
    assert mixture.mean() == pytest.approx(samples.mean(), abs=1e-9)


def test_smoothing_a_density_is_convolution():
    smooth = smooth_density(stats.laplace(), 0.3)
    for x in (-1.0, 0.0, 0.4):
        expected = integrate.quad(
            lambda v, x=x: stats.laplace.pdf(v) * stats.norm.pdf(x - v, scale=0.3),
            -6,
            6,
            points=[0, x],
            epsabs=1e-12,
        )[0]
        assert smooth.pdf(x) == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize("extrapolation", ["linear", "clamp"])
def test_smoothed_pwl_is_convolution_and_its_slope_a_derivative(extrapolation):
    from reference.correlation import piecewise_linear

    knots = np.linspace(-2, 2, 6)
    values = np.array([0.0, 0.1, 0.1, 0.5, 1.2, 1.5])
    smooth = SmoothedPWL(knots, values, 0.25, extrapolation)
    nodes, weights = np.polynomial.legendre.leggauss(400)
    x = np.linspace(-3, 3, 13)
    window = 2.5 * nodes
    mass = weights * 2.5 * stats.norm.pdf(window, scale=0.25)
    expected = [piecewise_linear(p - window, knots, values, extrapolation) @ mass for p in x]
    np.testing.assert_allclose(smooth(x), expected, atol=3e-5)
    numeric = (smooth(x + 1e-6) - smooth(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(smooth.derivative(x), numeric, atol=1e-8)
    assert (smooth.derivative(np.linspace(-9, 9, 200)) >= 0).all()


def test_monotone_regions_of_swish():
    (a, b, falling), (c, d, rising) = monotone_regions("swish", -6, 6)
    assert (falling, rising) == (-1, 1)
    assert a == -6 and d == 6
    assert b == pytest.approx(-1.2785, abs=3e-3) and c == b


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: eafo_step("tanh", "normal", 0.1), TypeError, "frozen SciPy distribution"),
        (lambda: eafo_step("tanh", NORMAL, 0.0), ValueError, "must be positive"),
        (lambda: eafo_step("tanh", [1.0, 1.0], 0.1), ValueError, "not all equal"),
        (lambda: output_entropy("tanh", NORMAL, region=(3, 2)), ValueError, "an interval"),
        (lambda: output_entropy("tanh", NORMAL, region=(40, 50)), ValueError, "no probability"),
        (lambda: output_entropy(3, NORMAL), TypeError, "a name, an expression"),
        (lambda: wafbc(NORMAL, 1, 0), ValueError, "`low` must be below"),
    ],
)
def test_errors_say_the_rule(call, error, message):
    with pytest.raises(error, match=message):
        call()
