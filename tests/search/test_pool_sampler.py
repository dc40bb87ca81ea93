"""A sampler over a pool with a kernel: Optuna's conformance tests, and the process it stands on."""

import numpy as np
import optuna
import pytest
from optuna.testing.pytest_samplers import BasicSamplerTestCase
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from keras_actfn.search import PoolSampler, output_kernel
from keras_actfn.search.pool_sampler import NOISE, graph_kernel

pytestmark = pytest.mark.once

X = np.linspace(0, 1, 60)
KERNEL = np.exp(-0.5 * ((X[:, None] - X) / 0.1) ** 2)


class TestPoolSampler(BasicSamplerTestCase):
    @pytest.fixture
    def sampler(self):
        return lambda: PoolSampler(KERNEL, seed=0)


def optimized(sampler, trials, objective=lambda i: -((X[i] - 0.3) ** 2), direction="maximize"):
    study = optuna.create_study(direction=direction, sampler=sampler)
    study.optimize(lambda trial: objective(trial.suggest_int("candidate", 0, 59)), trials)
    return study


def test_the_posterior_is_that_of_scikit_learn(monkeypatch):
    monkeypatch.setattr("keras_actfn.search.pool_sampler.NOISE", (NOISE[2],))
    known, values = [3, 20, 41, 55], np.array([0.3, -1.0, 2.0, 0.5])
    mean, deviation = PoolSampler(KERNEL).posterior(known, values, range(60))
    process = GaussianProcessRegressor(RBF(0.1, "fixed"), alpha=NOISE[2], normalize_y=True)
    process.fit(X[known, None], values)
    expected, spread = process.predict(X[:, None], return_std=True)
    np.testing.assert_allclose(mean, expected, rtol=1e-6, atol=1e-9)
    # scikit-learn's amplitude is one; here it is the likeliest.
    target = (values - values.mean()) / values.std()
    noisy = KERNEL[np.ix_(known, known)] + NOISE[2] * np.eye(4)
    amplitude = np.sqrt(target @ np.linalg.solve(noisy, target) / 4)
    np.testing.assert_allclose(deviation, amplitude * spread, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("acquisition", ["ei", "ucb"])
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_it_finds_the_best_of_sixty_in_fifteen(acquisition, direction):
    sign = 1 if direction == "maximize" else -1
    sampler = PoolSampler(KERNEL, acquisition=acquisition, seed=1)
    study = optimized(sampler, 15, lambda i: -sign * (X[i] - 0.3) ** 2, direction)
    numbers = [trial.params["candidate"] for trial in study.trials]
    assert abs(X[study.best_trial.params["candidate"]] - 0.3) < 1 / 59
    assert len(set(numbers)) == 15


def test_the_greatest_variance_lies_farthest_from_what_is_known():
    sampler = PoolSampler(KERNEL, acquisition="mvr", n_startup_trials=1, seed=0)
    study = optuna.create_study(sampler=sampler)
    study.enqueue_trial({"candidate": 0})
    study.optimize(lambda trial: trial.suggest_int("candidate", 0, 59), 3)
    first, second, third = (trial.params["candidate"] for trial in study.trials)
    assert first == 0 and abs(X[second] - 0) > 0.4
    assert min(abs(X[third] - X[first]), abs(X[third] - X[second])) > 0.2


def test_failures_infinities_and_a_second_round():
    def objective(i):
        if i == 2:
            raise RuntimeError
        return np.inf if i == 1 else float(i)

    study = optuna.create_study(sampler=PoolSampler(np.eye(4), n_startup_trials=1, seed=0))
    study.optimize(
        lambda trial: objective(trial.suggest_int("candidate", 0, 3)), 9, catch=RuntimeError
    )
    numbers = [trial.params["candidate"] for trial in study.trials]
    assert sorted(numbers[:4]) == [0, 1, 2, 3] and len(numbers) == 9


def test_the_matern_kernel_of_a_graph_is_a_power_of_its_laplacian():
    path = np.eye(6, k=1) + np.eye(6, k=-1)
    laplacian = np.diag(path.sum(1)) - path
    shifted = 2 * 2 / 3.0**2 * np.eye(6) + laplacian
    expected = np.linalg.inv(shifted) @ np.linalg.inv(shifted)
    found = graph_kernel(path, smoothness=2, length=3.0)
    np.testing.assert_allclose(found, expected / np.diag(expected).mean(), rtol=1e-10)
    sampler = PoolSampler(graph=np.eye(60, k=1) + np.eye(60, k=-1), seed=0)
    assert abs(X[optimized(sampler, 25).best_trial.params["candidate"]] - 0.3) < 2 / 59


def test_opposite_functions_are_one_to_the_kernel_of_outputs():
    x = np.linspace(-3, 3, 200)
    kernel = output_kernel([np.tanh(x), -np.tanh(x), np.maximum(x, 0), np.exp(x)])
    np.testing.assert_allclose(np.diag(kernel), 1)
    assert kernel[0, 1] == pytest.approx(1, abs=1e-9)
    assert 0 < kernel[0, 3] < kernel[0, 2] < 0.99
    assert np.linalg.eigvalsh(kernel).min() > -1e-9


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({}, "Received: neither"),
        ({"kernel": KERNEL, "graph": KERNEL}, "Received: both"),
        ({"kernel": np.ones((2, 3))}, r"A kernel is a symmetric .* shape \(2, 3\)"),
        ({"kernel": [[1, np.nan], [np.nan, 1]]}, "not symmetric or not finite"),
        ({"graph": -np.ones((2, 2))}, "not negative. Received: -1.0"),
        ({"kernel": KERNEL, "acquisition": "pi"}, "one of ei, ucb, mvr. Received: 'pi'"),
    ],
)
def test_bad_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        PoolSampler(**arguments)


def test_bad_studies():
    with pytest.raises(ValueError, match=r"suggest_int\('candidate', 0, 59\)"):
        optuna.create_study(sampler=PoolSampler(KERNEL)).ask().suggest_int("candidate", 0, 9)
    study = optuna.create_study(directions=["minimize"] * 2, sampler=PoolSampler(KERNEL))
    with pytest.raises(ValueError, match=r"one value\. Received: 2"):
        study.ask().suggest_int("candidate", 0, 59)
    indefinite = PoolSampler([[1.0, 9.0], [9.0, 1.0]])
    with pytest.raises(ValueError, match="positive semidefinite"):
        indefinite.posterior([0, 1], [0.0, 1.0], [0])
