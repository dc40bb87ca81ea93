"""Regressors against scikit-learn and NumPy, and the process on distances against its formula."""

import itertools

import numpy as np
import pytest
from reference.act_bench import synthetic_bench
from scipy.integrate import quad
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal, norm, rankdata, zscore
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import Ridge
from sklearn.svm import SVR

from keras_actfn import search
from keras_actfn.search import surrogate
from keras_actfn.search.acquisition import expected_improvement
from keras_actfn.search.atlas.mean import WithPrior
from keras_actfn.search.distance_process import (
    NOISE,
    OUTPUT_SCALES,
    SHARES,
    SPECTRUM_SCALES,
    DistanceProcess,
    DistanceTable,
    correlation,
    savage_scores,
)
from keras_actfn.search.surrogate import (
    REGRESSORS,
    CandidateFeatures,
    below_the_worst,
    get_regressor,
    suggest,
)

pytestmark = pytest.mark.once

KNOWN = [2, 40, 11, 7, 23, 60, 33, 18]


@pytest.fixture(scope="module")
def bench():
    return synthetic_bench()


@pytest.fixture(scope="module")
def features(bench):
    return bench.features(method="pca")


@pytest.fixture(scope="module")
def values(bench):
    return bench.validation_accuracy[KNOWN]


@pytest.mark.parametrize("name", REGRESSORS)
@pytest.mark.parametrize("known", [0, 1, 2, 8])
def test_suggestions_are_available_and_repeatable(name, known, features, values):
    available = [70, 3, 51]
    rows = [
        suggest(features, KNOWN[:known], values[:known], available, name, seed=5) for _ in range(2)
    ]
    assert rows[0] == rows[1]
    assert rows[0] in available


def test_knr_is_the_mean_of_three_weighted_by_inverse_distance(features, values):
    rows = np.setdiff1d(np.arange(len(features)), KNOWN)
    distance = cdist(features.coordinates[rows], features.coordinates[KNOWN])
    near = np.argsort(distance, axis=1)[:, :3]
    weight = 1 / np.take_along_axis(distance, near, axis=1)
    expected = (weight * values[near]).sum(1) / weight.sum(1)
    found = get_regressor("knr").fit(features, KNOWN, values).scores(rows)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert suggest(features, KNOWN, values, rows, "knr") == rows[expected.argmax()]


def test_knr_with_two_known_candidates(features, values):
    distance = cdist(features.coordinates[[50]], features.coordinates[KNOWN[:2]])[0]
    expected = (values[:2] / distance).sum() / (1 / distance).sum()
    found = get_regressor("knr").fit(features, KNOWN[:2], values[:2]).scores([50])
    np.testing.assert_allclose(found, [expected])


@pytest.mark.parametrize(
    ("spec", "estimator"),
    [
        ("rfr", RandomForestRegressor(random_state=3)),
        ("svr", SVR()),
        (Ridge(alpha=0.1), Ridge(alpha=0.1)),
    ],
)
def test_scores_are_scikit_learn_s_predictions(spec, estimator, features, values):
    rows = np.arange(30, 60)
    expected = estimator.fit(features.coordinates[KNOWN], values).predict(
        features.coordinates[rows]
    )
    found = get_regressor(spec, seed=3).fit(features, KNOWN, values).scores(rows)
    np.testing.assert_array_equal(found, expected)


def test_gpr_scores_are_expected_improvement(features, values):
    model = GaussianProcessRegressor(RBF(1.0), alpha=1e-6, normalize_y=True, optimizer=None).fit(
        features.coordinates[KNOWN], values
    )
    mean, deviation = model.predict(features.coordinates[[50]], return_std=True)
    best = values.max()
    expected, _ = quad(
        lambda y: (y - best) * norm.pdf(y, mean[0], deviation[0]), best, best + 20 * deviation[0]
    )
    found = get_regressor("gpr").fit(features, KNOWN, values).scores([50])
    np.testing.assert_allclose(found, [expected], rtol=1e-6)


def test_expected_improvement_without_uncertainty():
    np.testing.assert_allclose(expected_improvement([0.5, 0.1], [0.0, 0.0], 0.2), [0.3, 0.0])


def test_gpr_takes_candidates_in_one_place(values):
    features = CandidateFeatures(None, None, None, np.zeros((10, 2)))
    scores = get_regressor("gpr").fit(features, [0, 1, 2], values[:3]).scores([5])
    assert np.isfinite(scores).all()


def test_equal_scores_are_decided_by_the_seed():
    features = CandidateFeatures(None, None, None, np.zeros((30, 2)))
    chosen = {suggest(features, [0], [0.5], range(1, 30), "knr", seed) for seed in range(20)}
    assert len(chosen) > 5


# The process on distances.


def test_distances_are_those_of_compressed_outputs_and_weighted_spectra(bench):
    outputs, cdfs = bench.outputs[1:], bench.cdfs[1:]
    found = DistanceTable(outputs, cdfs, bench.weights).to([4, 9])
    shape, spectra = np.arcsinh(outputs.astype("float64")), cdfs * bench.weights
    for part, expected in (
        (found.same, cdist(shape, shape[[4, 9]])),
        (found.opposite, cdist(shape, -shape[[4, 9]])),
        (found.norms[0][:, None], 2 * np.linalg.norm(shape, axis=1)[:, None]),
    ):
        scale = found.same[20, 0] / np.linalg.norm(shape[20] - shape[4])
        np.testing.assert_allclose(part, expected * scale, rtol=1e-4, atol=1e-5)
    expected = cdist(spectra, spectra[[4, 9]], "cityblock")
    np.testing.assert_allclose(
        found.spectra / found.spectra[20, 0], expected / expected[20, 0], rtol=1e-4, atol=1e-5
    )
    assert 0.5 < np.median(DistanceTable(outputs).to(range(40)).same) < 2


def test_many_candidates_are_projected_and_compared_in_blocks():
    random = np.random.default_rng(0)
    outputs = np.sinh(random.normal(size=(600, 30)) @ random.normal(size=(30, 200)) / 9)
    cdfs = random.random((600, 7))
    found = DistanceTable(outputs, cdfs).to([3])
    expected = cdist(np.arcsinh(outputs), np.arcsinh(outputs[[3]]))
    np.testing.assert_allclose(
        found.same / found.same[9], expected / expected[9], rtol=1e-4, atol=1e-5
    )
    expected = cdist(cdfs, cdfs[[3]], "cityblock")
    np.testing.assert_allclose(found.spectra / found.spectra[9], expected / expected[9], rtol=1e-4)


def test_bins_of_long_spectra_are_added_up():
    grid = np.linspace(-6, 6, 5000)
    place = np.random.default_rng(0).normal(size=(40, 1))
    cdfs = 1 / (1 + np.exp(-8 * (grid - place)))
    table = DistanceTable(None, cdfs)
    assert 900 < table.spectra.shape[1] <= 1024
    found = table.to([3]).spectra
    expected = cdist(cdfs, cdfs[[3]], "cityblock")
    np.testing.assert_allclose(found / found[9], expected / expected[9], rtol=1e-3, atol=1e-4)


def test_correlation_is_positive_definite_with_ones_and_blind_to_signs(bench):
    outputs = np.concatenate([bench.outputs[1:31], -bench.outputs[1:6]])
    table = DistanceTable(outputs, bench.cdfs[[*range(1, 31), *range(1, 6)]], bench.weights)
    every = table.to(range(35))
    for scale, spectrum, share in itertools.product((0.1, 1.0, 3.0), (0.3, 3.0), (0.0, 0.5, 1.0)):
        found = correlation(every, scale, spectrum, share)
        np.testing.assert_allclose(np.diag(found), 1.0, atol=1e-6)
        np.testing.assert_allclose(found[30:], found[:5], atol=1e-5)
        assert np.linalg.eigvalsh(found).min() > -1e-5


def test_the_atlas_adds_a_part_on_standings(bench):
    """Against the formula: 0.7 of the kernel is on the root mean square of standings."""
    outputs, rng = bench.outputs[1:31], np.random.default_rng(0)
    expected = rng.normal(size=(30, 4))
    features = CandidateFeatures(outputs, prior=lambda: expected)
    every = list(range(30))
    ranks = zscore(rankdata(expected, axis=0))
    distances = features.distances.to(every)
    np.testing.assert_allclose(distances.results, cdist(ranks, ranks) / 2)
    without = correlation(DistanceTable(outputs).to(every), 0.3, 1.0, 0.0)
    found = correlation(distances, 0.3, 1.0, 0.0)
    part = np.exp(-cdist(ranks, ranks, "sqeuclidean") / 4 / 0.7**2 / 2)
    np.testing.assert_allclose(found, 0.3 * without + 0.7 * part)
    assert np.linalg.eigvalsh(found).min() > -1e-5


@pytest.mark.parametrize("used", ["both", "outputs", "spectra"])
def test_process_is_that_of_the_most_likely_setting(used, bench, values):
    features = CandidateFeatures(
        None if used == "spectra" else bench.outputs[1:],
        None if used == "outputs" else bench.cdfs[1:],
        bench.weights,
    )
    process = DistanceProcess().fit(features, KNOWN, values)
    target = savage_scores(values)
    among = features.distances.to(KNOWN).rows(KNOWN)
    shares = {"both": (0.0, *SHARES), "outputs": (0.0,), "spectra": (1.0,)}[used]
    likelihoods = {}
    for a, b, m, noise in itertools.product(OUTPUT_SCALES, SPECTRUM_SCALES, shares, NOISE):
        covariance = correlation(among, a, b, m) + noise * np.eye(8)
        centred = target - target.mean()
        variance = centred @ np.linalg.solve(covariance, centred) / 8
        likelihoods[a, b, m, noise] = multivariate_normal.logpdf(
            centred, np.zeros(8), variance * covariance
        )
    best = max(likelihoods.values())
    near = [key for key, value in likelihoods.items() if value > best - 1e-6]
    a, b, m = process.setting
    assert any(
        key[3] == process.noise
        and key[2] == m
        and (m == 1 or key[0] == a)
        and (m == 0 or key[1] == b)
        for key in near
    )
    covariance = correlation(among, a, b, m) + process.noise * np.eye(8)
    centred = target - target.mean()
    variance = centred @ np.linalg.solve(covariance, centred) / 8
    cross = correlation(features.distances.to(KNOWN).rows([50, 51]), a, b, m)
    mean, deviation = process.predict([50, 51])
    np.testing.assert_allclose(
        mean, target.mean() + cross @ np.linalg.solve(covariance, centred), rtol=1e-6
    )
    rest = 1 - np.diag(cross @ np.linalg.solve(covariance, cross.T))
    np.testing.assert_allclose(deviation, np.sqrt(variance * rest), rtol=1e-6)
    np.testing.assert_allclose(process.scores([50, 51]), mean + deviation)


def test_only_the_order_of_values_matters(bench, values):
    features = CandidateFeatures(bench.outputs, bench.cdfs, bench.weights)
    available = np.setdiff1d(np.arange(len(bench)), KNOWN)
    chosen = {
        suggest(features, KNOWN, form(values), available, "distance_gp")
        for form in (np.asarray, np.exp, lambda v: -1 / v)
    }
    assert len(chosen) == 1


def test_savage_scores():
    np.testing.assert_allclose(
        savage_scores([0.1, 0.8, 0.7]), -np.log([5 / 6, 1 / 6, 1 / 2]), rtol=1e-12
    )
    np.testing.assert_allclose(savage_scores([2.0, 2.0]), -np.log([0.5, 0.5]))


def test_process_on_equal_values(bench):
    features = CandidateFeatures(bench.outputs)
    scores = DistanceProcess().fit(features, [1, 2, 3], np.full(3, 0.1)).scores(range(4, 20))
    assert np.isfinite(scores).all()


# What comes in.


def test_own_regressor():
    class Nearest:
        def fit(self, features, known, values):
            self.places, self.known = features.places(), known
            return self

        def scores(self, rows):
            return -np.abs(self.places[rows] - self.places[self.known[0]]).sum(1)

    places = np.arange(20.0).reshape(10, 2)
    features = CandidateFeatures(None, None, None, places)
    assert suggest(features, [4], [0.5], [0, 6, 9], Nearest()) == 6


def test_a_regressor_registered_from_outside(monkeypatch):
    from sklearn.linear_model import LinearRegression

    monkeypatch.setattr(surrogate, "REGRESSORS", dict(REGRESSORS))
    search.register_regressor("linear", lambda seed: LinearRegression())
    features = search.CandidateFeatures(None, None, None, np.arange(20.0).reshape(10, 2))
    assert suggest(features, [2, 3, 4], [0.2, 0.3, 0.4], [0, 6, 9], "linear") == 9
    assert suggest(features, [2, 3, 4], [0.4, 0.3, 0.2], [0, 6, 9], "linear") == 0
    with pytest.raises(ValueError, match=r"name is not taken\. Received: 'knr'"):
        search.register_regressor("knr", LinearRegression)


def test_every_regressor_of_the_package_has_a_name():
    def below(kind):
        return {kind}.union(*map(below, kind.__subclasses__()))

    own = {kind for kind in below(search.Regressor) if kind.__module__.startswith("keras_actfn.")}
    bases = {search.Regressor, surrogate.PlaneRegressor, WithPrior}
    assert own - bases == set(REGRESSORS.values()) & own


def test_places_are_computed_where_they_are_needed_and_once():
    calls = []

    def places():
        calls.append(1)
        return np.arange(20.0).reshape(10, 2)

    features = CandidateFeatures(np.random.default_rng(0).normal(size=(10, 5)), None, None, places)
    for name in ("distance_gp", "random"):
        suggest(features, [4], [0.5], [0, 6, 9], name)
    assert calls == []
    for name in ("knr", "gpr"):
        suggest(features, [4], [0.5], [0, 6, 9], name)
    assert calls == [1]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(regressor="knn"), ValueError, "one of knr, rfr, svr, gpr, distance_gp, random"),
        (dict(regressor=Ridge), TypeError, "an instance of a scikit-learn regressor"),
        (dict(available=[]), ValueError, "none is available"),
        (dict(values=[-np.inf]), ValueError, "1 candidates, 1 infinite of 1 values"),
        (dict(values=[0.1, 0.2]), ValueError, "1 candidates, 0 infinite of 2 values"),
        (
            dict(features=CandidateFeatures(np.zeros((4, 3)))),
            ValueError,
            "Make them by CandidateFeatures.embedded",
        ),
        (
            dict(features=CandidateFeatures(None), regressor="distance_gp"),
            ValueError,
            "needs outputs or spectra",
        ),
    ],
)
def test_errors(change, error, message):
    features = CandidateFeatures(None, None, None, np.zeros((4, 2)))
    arguments = dict(features=features, known=[0], values=[0.5], available=[1]) | change
    with pytest.raises(error, match=message):
        suggest(**arguments)


def test_scores_that_are_no_numbers_are_refused():
    class Broken:
        def fit(self, features, known, values):
            return self

        def scores(self, rows):
            return np.full(len(rows), np.nan)

    with pytest.raises(ValueError, match="Scores must be numbers"):
        suggest(CandidateFeatures(np.zeros((4, 2))), [0], [0.5], [1, 2], Broken())


@pytest.mark.parametrize("scale", [1e-300, 1e-3, 1.0, 1e300])
@pytest.mark.parametrize("offset", [-1.0, 0.0, 1.0])
def test_a_failure_counts_as_worse_than_the_worst(scale, offset):
    values = scale * (offset + np.array([0.5, np.nan, -0.5, 0.1, np.nan]))
    found = below_the_worst(values)
    ended = np.isfinite(values)
    np.testing.assert_array_equal(found[ended], values[ended])
    assert np.isfinite(found).all() and (found[~ended] < found[ended].min()).all()


def test_failures_alone_or_beside_one_value():
    np.testing.assert_array_equal(below_the_worst(np.array([np.nan, np.nan])), [0, 0])
    for value in (-1e308, -3.0, 0.0, 1e-320, 2e200):
        assert below_the_worst(np.array([value, np.nan]))[1] < value


@pytest.mark.parametrize("name", [name for name in REGRESSORS if name != "random"])
def test_the_neighbour_of_a_failure_is_passed_over(name):
    """Two groups of candidates; losses, negated, all below zero: in one group they failed."""
    rng = np.random.default_rng(0)
    group = np.arange(40) % 2
    places = 10.0 * group[:, None] + rng.normal(size=(40, 2))
    outputs = 10.0 * group[:, None] + 0.1 * rng.normal(size=(40, 30))
    features = CandidateFeatures(outputs, None, None, places)
    known = np.arange(12)
    values = np.where(group[known], np.nan, -5.0 - rng.random(12))
    assert group[suggest(features, known, values, np.arange(12, 40), name)] == 0
