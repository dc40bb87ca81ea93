"""Workers of one search on a PostgreSQL server, which the tests start for themselves."""

import contextlib
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import optuna
import pytest

from keras_actfn.cli import main
from keras_actfn.search.storage import open_storage, open_study

pytestmark = pytest.mark.once

optuna.logging.set_verbosity(optuna.logging.WARNING)

WORDS = ["search", "--model", "small_model:build", "--data", "digits", "--image-size", "8"]
WORDS += ["--space", "max(unary(x),unary(x))", "--probe", "12", "--embedding", "pca"]
WORDS += ["--subset", "100", "--validation", "100", "--batch-size", "20", "--seeds", "0"]
WORDS += ["--from-scratch"]


def program(name):
    """Where a program of the server is."""
    found = shutil.which(name) or max(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), default=None)
    return found or pytest.skip(f"no PostgreSQL server here: there is no program {name}")


@pytest.fixture(scope="module")
def server():
    """Function of a new database's name that makes it and returns its URL."""
    psycopg = pytest.importorskip(
        "psycopg", reason="no driver here: pip install keras-actfn[postgresql]"
    )
    make, serve = program("initdb"), program("postgres")
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # a socket's path has 107 characters at most
    options = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if os.geteuid() == 0:  # which the server refuses to run as
        shutil.chown(folder, "postgres")
        options["user"] = "postgres"
    data = ["-D", str(folder / "data")]
    subprocess.run([make, *data, "-A", "trust", "-U", "actfn", "--no-sync"], check=True, **options)
    process = subprocess.Popen([serve, *data, "-k", str(folder), "-h", "", "-F"], **options)
    try:
        connection = connect(psycopg, folder, process)

        def database(name):
            connection.execute(f"CREATE DATABASE {name}")
            return f"postgresql://actfn@/{name}?host={folder}"

        with connection:
            yield database
    finally:
        process.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def connect(psycopg, folder, process):
    """A connection to the server as soon as it answers."""
    while process.poll() is None:
        with contextlib.suppress(psycopg.OperationalError):
            return psycopg.connect(
                host=str(folder), user="actfn", dbname="postgres", autocommit=True
            )
        time.sleep(0.1)
    raise RuntimeError(f"The PostgreSQL server ended with {process.returncode}.")


def test_workers_that_start_at_the_same_moment(server):
    url, workers = server("moment"), 6
    together = Barrier(workers)

    def start(_):
        together.wait()
        study = open_study(open_storage(url), "s", {"space": "a"})
        study.tell(study.ask(), 0.5)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(start, range(workers)))
    assert len(open_study(open_storage(url), "s", {"space": "a"}).trials) == workers


def stopped_at_work(study, workers):
    """A worker that is evaluating a function and is stopped in it, or None."""
    for worker in workers:
        worker.send_signal(signal.SIGSTOP)
        running = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
        confirmed = [trial.user_attrs for trial in running if "confirmed" in trial.user_attrs]
        if any(attributes["lease"]["process"] == worker.pid for attributes in confirmed):
            return worker
        worker.send_signal(signal.SIGCONT)
    return None


def test_a_killed_workers_function_is_evaluated_by_another(server, small_model, monkeypatch):
    url = server("killed")
    assert main([*WORDS, "--storage", url, "--evaluations", "2"]) == 0
    study = optuna.load_study(study_name=None, storage=open_storage(url))
    words = ["search", "worker", "--storage", url, "--evaluations", "6"]
    words += ["--model", "small_model:build"]
    monkeypatch.setenv("SECONDS_TO_BUILD", "0.3")

    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "keras_actfn", *words], stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    while (victim := stopped_at_work(study, workers)) is None:
        assert [worker.poll() for worker in workers] == [None, None]
        time.sleep(0.05)
    victim.kill()
    assert victim.wait() == -signal.SIGKILL
    assert main(words) == 0  # a worker again, here
    (other,) = set(workers) - {victim}
    assert other.wait(timeout=100) == 0, other.stderr.read()
    for worker in workers:
        worker.stderr.close()

    trials = study.get_trials(deepcopy=False)
    states = Counter(trial.state.name for trial in trials)
    assert states["COMPLETE"] == 6 and states["RUNNING"] == 0 and states["FAIL"] >= 1
    evaluated = [t.params["candidate"] for t in trials if t.state.name == "COMPLETE"]
    assert len(set(evaluated)) == 6
    lost = {
        trial.params["candidate"]
        for trial in trials
        if trial.state.name == "FAIL" and trial.user_attrs["lease"]["process"] == victim.pid
    }
    assert lost & set(evaluated)
