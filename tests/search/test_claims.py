"""No function twice, whatever workers do and whenever they die."""

import subprocess
import sys
import textwrap
import threading
import time

import optuna
import pytest
from processes import ANY_BACKEND

from keras_actfn.search import claims
from keras_actfn.search.sampler import CandidateSampler
from keras_actfn.search.storage import open_storage

pytestmark = pytest.mark.once

optuna.logging.set_verbosity(optuna.logging.WARNING)
FAIL = optuna.trial.TrialState.FAIL


def lowest_free(known, values, taken):
    return min(set(range(100)) - taken)


@pytest.fixture
def study():
    return optuna.create_study(direction="maximize", sampler=CandidateSampler(lowest_free))


def announced(study, number):
    """A running trial of a function, as another worker makes it."""
    study.enqueue_trial({claims.CANDIDATE: number})
    trial = study.ask()
    trial.suggest_int(claims.CANDIDATE, 0, 99)
    return trial


def gone(lease):
    """A lease of a process of this machine that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return {**lease, "process": ended.pid}


def test_a_free_function_is_confirmed(study):
    trial = announced(study, 7)
    assert claims.confirm(study, trial)
    assert trial.user_attrs["confirmed"]


def test_a_finished_function_is_not(study):
    study.tell(announced(study, 7), 0.5)
    assert not claims.confirm(study, announced(study, 7))
    assert claims.confirm(study, announced(study, 8))


def test_a_function_that_a_pruner_stopped_is_not(study):
    stopped = announced(study, 7)
    stopped.report(0.2, 1)
    study.tell(stopped, state=optuna.trial.TrialState.PRUNED)
    assert not claims.confirm(study, announced(study, 7))
    assert not claims.confirm(study, announced(study, 8), evaluations=1)


def test_of_two_the_lower_number_waits_and_gets_it(study):
    first, second = announced(study, 7), announced(study, 7)
    decisions = {}

    def decide(name, trial):
        decisions[name] = claims.confirm(study, trial, wait=0.01)

    waiting = threading.Thread(target=decide, args=("first", first))
    waiting.start()
    time.sleep(0.1)
    assert waiting.is_alive() and not decisions  # the second is undecided
    decide("second", second)
    study.tell(second, state=FAIL)
    waiting.join()
    assert decisions == {"first": True, "second": False}


def test_the_lower_number_yields_to_a_confirmed_one(study):
    first = study.ask()
    second = announced(study, 7)
    assert claims.confirm(study, second)
    study.sampler = CandidateSampler(lambda *_: 7)
    first.study = study
    first.suggest_int(claims.CANDIDATE, 0, 99)
    assert not claims.confirm(study, first)


def test_no_more_evaluations_than_asked_for(study):
    study.tell(announced(study, 1), 0.5)
    third, fourth = announced(study, 2), announced(study, 3)
    assert not claims.confirm(study, fourth, evaluations=2)
    assert claims.confirm(study, third, evaluations=2)


def test_a_lease_is_renewed_while_its_worker_lives(study):
    trial = announced(study, 7)
    with claims.Lease(trial, seconds=0.3):
        first = trial.user_attrs["lease"]["until"]
        time.sleep(0.5)
        assert claims.is_alive(study.trials[0])
        assert study.trials[0].user_attrs["lease"]["until"] > first
    time.sleep(0.4)
    assert not claims.is_alive(study.trials[0])


def test_a_function_of_a_dead_worker_is_free_again(study):
    trial = announced(study, 7)
    trial.set_user_attr("lease", gone({**claims.identity(), "until": time.time() + 1000}))
    assert claims.release_expired(study) == 1
    assert study.trials[0].state == FAIL
    assert claims.confirm(study, announced(study, 7))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel tells it on Linux")
def test_a_process_that_ended_unseen_by_its_parent_is_gone(study):
    ended = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    ended.stdout.read()  # its end; the process stays a zombie until it is waited for
    trial = announced(study, 7)
    lease = {**claims.identity(), "process": ended.pid, "until": time.time() + 1000}
    trial.set_user_attr("lease", lease)
    for _ in range(100):
        if claims.release_expired(study):
            break
        time.sleep(0.05)
    assert study.trials[0].state == FAIL
    ended.stdout.close()
    ended.wait()


ASKER = textwrap.dedent(
    """
    import os, signal, sys, optuna
    from keras_actfn.search import claims
    from keras_actfn.search.storage import open_storage

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(study_name="s", storage=open_storage(sys.argv[1]))

    def killed(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    # The first thing that happens once the trial is in the storage.
    optuna.Trial.__init__ = killed
    claims.ask(study)
    """
)


@pytest.mark.parametrize("enqueued", [False, True])
@pytest.mark.parametrize("name", ["search.db", "search.log"])
def test_a_kill_after_asking_delays_nobody(name, enqueued, tmp_path):
    path = tmp_path / name
    study = optuna.create_study(storage=open_storage(path), study_name="s", direction="maximize")
    if enqueued:
        study.enqueue_trial({claims.CANDIDATE: 42})
    command = [sys.executable, "-c", ASKER, str(path)]
    killed = subprocess.run(command, capture_output=True, env=ANY_BACKEND)
    assert killed.returncode == -9, killed.stderr
    assert [t.state.name for t in study.get_trials()] == ["RUNNING"]
    assert claims.release_expired(study) == 1
    assert claims.in_use(study.get_trials()) == []


def test_what_another_program_enqueued_is_asked_for_first(study):
    study.enqueue_trial({claims.CANDIDATE: 42})
    trials = [claims.ask(study) for _ in range(3)]
    assert [trial.number for trial in trials] == [0, 1, 2]
    assert [t.suggest_int(claims.CANDIDATE, 0, 99) for t in trials] == [42, 0, 1]
    assert all("lease" in trial.user_attrs for trial in trials)


def test_a_failed_evaluation_is_not_made_again(study):
    trial = announced(study, 7)
    trial.set_user_attr(claims.DIVERGED, True)
    study.tell(trial, state=FAIL)
    assert claims.is_evaluated(study.trials[0]) and claims.has_failed(study.trials[0])
    assert not claims.confirm(study, announced(study, 7))
    study.tell(announced(study, 8), state=FAIL)  # cut off
    assert claims.confirm(study, announced(study, 8))


def test_another_machines_lease_counts_until_it_expires(study):
    trial = announced(study, 7)
    lease = gone({"machine": "elsewhere", "until": time.time() + 1000})
    trial.set_user_attr("lease", lease)
    assert claims.release_expired(study) == 0
    trial.set_user_attr("lease", {**lease, "until": time.time() - 1})
    assert claims.release_expired(study) == 1


def test_a_trial_without_a_lease_is_given_time(study):
    announced(study, 7)
    assert claims.release_expired(study) == 0
    trial = study.get_trials(deepcopy=False)[0]
    later = time.time() + claims.LEASE_SECONDS + 60
    assert claims.is_alive(trial) and not claims.is_alive(trial, now=later)


WORKER = textwrap.dedent(
    """
    import sys, time, optuna
    from keras_actfn.search import claims
    from keras_actfn.search.sampler import CandidateSampler
    from keras_actfn.search.storage import open_storage

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    free = lambda known, values, taken: min(set(range(100)) - taken)
    study = optuna.load_study(
        study_name="s", storage=open_storage(sys.argv[1]), sampler=CandidateSampler(free)
    )
    print("ready", flush=True)
    sys.stdin.readline()
    while len(claims.in_use(study.get_trials(deepcopy=False))) < 12:
        trial = study.ask()
        trial.set_user_attr("lease", {**claims.identity(), "until": time.time() + 60})
        trial.suggest_int("candidate", 0, 99)
        if claims.confirm(study, trial, evaluations=12, wait=0.01):
            study.tell(trial, 0.5)
        else:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
    """
)


def test_two_processes_on_one_journal(tmp_path):
    path = tmp_path / "search.log"
    study = optuna.create_study(storage=open_storage(path), study_name="s", direction="maximize")
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ANY_BACKEND,
        )
        for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("\n")
        worker.stdin.flush()
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0]
    finished = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
    assert sorted(t.params["candidate"] for t in finished) == list(range(12))
