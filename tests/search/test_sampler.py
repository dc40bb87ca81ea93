"""Optuna's conformance tests on the sampler, and what it samples."""

import optuna
import pytest
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
)

from keras_actfn.search.sampler import CandidateSampler, evaluations_of

pytestmark = pytest.mark.once


def lowest_free(known, values, taken):
    return min(set(range(100)) - taken)


class TestCandidateSampler(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture
    def sampler(self):
        return lambda: CandidateSampler(lowest_free, seed=0)


def test_what_it_knows():
    seen = []

    def choose(known, values, taken):
        seen.append((list(known), list(values), set(taken)))
        return len(taken) * 2

    study = optuna.create_study(direction="maximize", sampler=CandidateSampler(choose))
    study.optimize(lambda trial: trial.suggest_int("candidate", 0, 99) / 10, n_trials=2)
    running = study.ask()
    assert running.suggest_int("candidate", 0, 99) == 4
    study.ask().suggest_int("candidate", 0, 99)
    assert seen[-1] == ([0, 2], [0.0, 0.2], {0, 2, 4})


def test_a_minimised_study_gives_negated_values():
    study = optuna.create_study(direction="minimize", sampler=CandidateSampler(lowest_free))
    study.optimize(lambda trial: 5 + trial.suggest_int("candidate", 0, 9), n_trials=2)
    assert evaluations_of(study) == ([0, 1], [-5.0, -6.0], {0, 1})


def test_failed_trials_are_free_again():
    study = optuna.create_study(direction="maximize", sampler=CandidateSampler(lowest_free))
    trial = study.ask()
    assert trial.suggest_int("candidate", 0, 9) == 0
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    assert study.ask().suggest_int("candidate", 0, 9) == 0


def test_a_choice_out_of_range():
    study = optuna.create_study(sampler=CandidateSampler(lambda *_: 10))
    with pytest.raises(ValueError, match="number from 0 to 9"):
        study.ask().suggest_int("candidate", 0, 9)


def test_expressions_do_not_bloat_the_database(tmp_path):
    storage = f"sqlite:///{tmp_path / 'search.db'}"
    study = optuna.create_study(storage=storage, sampler=CandidateSampler(lowest_free))
    for _ in range(5):
        trial = study.ask()
        trial.suggest_int("candidate", 0, 425_895)
        study.tell(trial, 0.5)
    assert (tmp_path / "search.db").stat().st_size < 300_000
