"""The activation as a hyperparameter of an Optuna study, beside others of another sampler."""

import numpy as np
import optuna
import pytest

from keras_actfn import expressions, search

pytestmark = pytest.mark.once
optuna.logging.set_verbosity(optuna.logging.WARNING)

INPUTS = np.linspace(-2, 2, 41)
#: Not one of the usual functions.
TARGET = expressions.parse("mul(tanh(x),erf(x))")(INPUTS)


@pytest.fixture(scope="module")
def unique():
    return expressions.three_node().unique()


def distance(trial):
    """How far the function is from the target, and the rate from 0.1."""
    rate = trial.suggest_float("rate", 1e-3, 1.0, log=True)
    values = expressions.parse(search.suggest_activation(trial))(INPUTS)
    with np.errstate(all="ignore"):
        return float(np.mean((values - TARGET) ** 2)) + 0.1 * abs(np.log10(rate) + 1)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_both_kinds_of_parameters_come_near_their_best(direction, unique):
    sign = 1 if direction == "minimize" else -1
    sampler = search.ActivationSampler(unique, candidates=300, seed=1)
    study = optuna.create_study(direction=direction, sampler=sampler)
    study.optimize(lambda trial: sign * distance(trial), n_trials=60)
    texts = [trial.user_attrs["activation"] for trial in study.trials]
    assert texts[0] == "relu(x)" and set(texts) >= {"tanh(x)", "elu(x)", "selu(x)"}
    # Odd trials tune the rate for the best function so far, even ones try what is new.
    assert len(set(texts[::2])) == 30
    values = [np.inf if trial.value is None else sign * trial.value for trial in study.trials]
    best_so_far = texts[int(np.argmin(values[:59]))]
    assert texts[59] == best_so_far
    shape = expressions.parse(study.best_trial.user_attrs["activation"])(INPUTS)
    usual = min(np.mean((expressions.parse(text)(INPUTS) - TARGET) ** 2) for text in texts[:16:2])
    assert np.mean((shape - TARGET) ** 2) < usual / 2
    assert abs(np.log10(study.best_params["rate"]) + 1) < 0.2


def test_failures_are_not_repeated(unique):
    def objective(trial):
        spec = search.suggest_activation(trial)
        return float("nan") if spec in ("relu(x)", "elu(x)") else 1.0

    study = optuna.create_study(sampler=search.ActivationSampler(unique, candidates=20))
    study.optimize(objective, n_trials=8)
    texts = [trial.user_attrs["activation"] for trial in study.trials]
    assert texts.count("relu(x)") == texts.count("elu(x)") == 1
    assert study.best_value == 1.0


def test_trials_of_another_space_are_refused(unique):
    study = optuna.create_study(sampler=search.ActivationSampler(unique, candidates=5))
    study.optimize(lambda trial: len(search.suggest_activation(trial)), n_trials=2)
    space = expressions.SearchSpace(["unary(x)"], unary=["relu", "tanh"])
    study.sampler = search.ActivationSampler(space, candidates=5)
    with pytest.raises(ValueError, match=r"same space.*trial 0 with function \d+, which is relu"):
        search.suggest_activation(study.ask())


def test_another_sampler_is_refused(unique):
    with pytest.raises(
        ValueError, match=r"needs a study with an ActivationSampler\. Received: TPE"
    ):
        search.suggest_activation(optuna.create_study().ask())
    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=search.ActivationSampler(unique, candidates=5)
    )
    with pytest.raises(ValueError, match="a study of one value"):
        search.suggest_activation(study.ask())
    with pytest.raises(ValueError, match="positive"):
        search.ActivationSampler(unique, candidates=0)


def test_candidates_that_all_failed_are_tried_again():
    space = expressions.SearchSpace(["unary(x)"], unary=["relu", "tanh"])
    sampler = search.ActivationSampler(space, candidates=1, baselines=["relu"])
    study = optuna.create_study(sampler=sampler)

    def objective(trial):
        search.suggest_activation(trial)
        raise optuna.TrialPruned

    study.optimize(objective, n_trials=5)
    texts = [trial.user_attrs["activation"] for trial in study.trials]
    assert set(texts[:2]) == set(texts[2:4]) == {"relu(x)", "tanh(x)"}


def test_a_trial_without_a_study_is_refused():
    trial = optuna.trial.FixedTrial({"activation": 1})
    with pytest.raises(ValueError, match=r"Received: a FixedTrial\. .*best_trial\.user_attrs"):
        search.suggest_activation(trial)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"space": "three_node"}, "A space is .* Received: 'three_node'. Write expressions"),
        ({"space": None}, "A space is .* Received: None"),
        ({"baselines": "relu"}, "a list of functions. Received: 'relu'"),
        ({"other": "tpe"}, "an Optuna sampler. Received: 'tpe'"),
        ({"candidates": 0}, "candidates is a positive integer"),
    ],
)
def test_bad_arguments(arguments, message, unique):
    with pytest.raises(ValueError, match=message):
        search.ActivationSampler(**{"space": unique, **arguments})
