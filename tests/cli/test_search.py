"""`keras-actfn search`: one command, more workers, and its state from outside."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import optuna
import pytest

from keras_actfn.cli import main

pytestmark = pytest.mark.once

SPACE = "max(unary(x),unary(x))"
WORDS = ["search", "--model", "small_model:build", "--data", "digits", "--image-size", "8"]
WORDS += ["--space", SPACE, "--probe", "12", "--subset", "300", "--validation", "200"]
WORDS += ["--batch-size", "20", "--epochs", "3"]
WORDS += ["--embedding", "pca", "--from-scratch", "--storage", "search.log"]


def study_in(path):
    """The study in a journal."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(path))
    return optuna.load_study(study_name=None, storage=storage)


def finished(path):
    states = (optuna.trial.TrialState.COMPLETE,)
    return study_in(path).get_trials(states=states)


def test_search_and_status(small_model, capsys):
    assert main([*WORDS, "--evaluations", "10", "--seeds", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert len(result["evaluations"]) == 10
    best = max(row["value"] for row in result["evaluations"])
    assert result["best"]["value"] == best > 0.2
    verdict = result["verdict"]
    assert verdict["planned_looks"] == [2] and len(verdict["test"]["runs"]) == 4
    expressions = {row["expression"]: row["baseline"] for row in result["evaluations"]}
    assert [expressions[verdict[side]] for side in ("function", "usual")] == [False, True]
    page = (small_model / result["report"]).read_text(encoding="utf-8")
    assert "10, of which 0 failed" in page
    assert result["probe"]["probed"] >= 12

    assert main(["search", "status", "--storage", "search.log", "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert (state["evaluations"], state["asked"], state["running"]) == (10, 10, [])
    assert state["best"] == result["best"]

    # A smaller number finds its evaluations done.
    assert main([*WORDS, "--evaluations", "9", "--seeds", "0"]) == 0
    out = capsys.readouterr().out
    assert "10 evaluated" in out and "Not confirmed" not in out
    assert f'keras_actfn.activation("{result["best"]["expression"]}")' in out


def test_two_workers_never_take_the_same_function(small_model):
    """One in a process of its own, whose evaluations take longer, and one here."""
    assert main([*WORDS, "--evaluations", "2", "--seeds", "0"]) == 0
    words = ["search", "worker", "--storage", "search.log", "--evaluations", "7"]
    words += ["--model", "small_model:build"]
    worker = subprocess.Popen(
        [sys.executable, "-m", "keras_actfn", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "SECONDS_TO_BUILD": "0.3"},
    )
    while len(study_in("search.log").trials) < 3:
        assert worker.poll() is None, worker.stderr.read()
        time.sleep(0.1)
    assert main(words) == 0
    assert worker.wait(timeout=300) == 0, worker.stderr.read()
    worker.stderr.close()
    trials = finished("search.log")
    functions = [trial.params["candidate"] for trial in trials]
    assert len(functions) == len(set(functions)) == 7
    processes = {trial.user_attrs["lease"]["process"] for trial in trials[2:]}
    assert processes == {os.getpid(), worker.pid}


PASSWORD = "sesame-4711"


def test_two_workers_by_one_command_and_a_password_that_nobody_sees(
    small_model, capfd, monkeypatch
):
    """Processes find the module in the current folder, and no text holds the password."""
    url = f"sqlite:///file:search.db?uri=true&password={PASSWORD}"
    monkeypatch.setenv("KERAS_ACTFN_STORAGE", url)
    words = [*WORDS[: WORDS.index("--storage")], "--epochs", "2", "--evaluations", "12"]
    words += ["--workers", "2", "--moves", "2", "--seeds", "2", "--json"]
    lines, done = set(), threading.Event()
    watcher = threading.Thread(target=watch_command_lines, args=(lines, done), daemon=True)
    watcher.start()
    status = main(words)
    done.set()
    watcher.join()
    assert status == 0
    out, err = capfd.readouterr()
    result = json.loads(out)
    assert len({row["candidate"] for row in result["evaluations"]}) == 12
    assert result["probe"]["probed"] > 12 + 8  # functions have joined those and the usual ones
    assert "2 workers" in err and "cores each" in err
    assert any("search\0worker" in line for line in lines)
    assert main(["search", "status", "--json"]) == 0
    assert main(["search", "status", "--study", "another"]) == 1
    assert main(["search", "worker", url]) == 2
    more = capfd.readouterr()
    assert "password=***" in more.err
    study = optuna.load_study(study_name=None, storage="sqlite:///search.db")
    assert "keras-actfn:" not in err  # the worker joined, and said nothing of an error
    texts = [out, err, *more, *lines]
    files = [path for path in small_model.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert [text for text in texts if PASSWORD in text] == []
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []
    assert PASSWORD not in json.dumps([study.user_attrs, *(t.user_attrs for t in study.trials)])


def watch_command_lines(lines, done):
    """Collect the command lines of all processes until `done` (where there is /proc)."""
    while not done.wait(0.1):
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                lines.add(path.read_text(errors="replace"))


def test_a_storage_names_no_code(small_model, capsys, monkeypatch):
    """Whoever writes to the storage chooses the attribute; what runs is on the command line."""
    assert main([*WORDS, "--evaluations", "1", "--seeds", "0"]) == 0
    study = study_in("search.log")
    options = dict(study.user_attrs["command"])
    called = []
    monkeypatch.setattr(os, "system", called.append)
    study.set_user_attr("command", {**options, "model": "os:system"})
    assert main(["search", "worker", "--storage", "search.log"]) == 1
    assert "pass --model os:system to run that function" in capsys.readouterr().err
    assert called == []
    for name, value in (("epochs", "os:system"), ("output", None), ("model", ["lenet5"])):
        study.set_user_attr("command", {**options, name: value})
        assert main(["search", "worker", "--storage", "search.log"]) == 1
        assert f"the option '{name}' is" in capsys.readouterr().err
    study.set_user_attr("command", options)
    words = ["search", "worker", "--storage", "search.log", "--evaluations", "2"]
    assert main([*words, "--model", "small_model:build"]) == 0
    assert len(finished("search.log")) == 2


def test_a_request_to_terminate_is_an_interrupt(small_model):
    """Of spectra that were being computed, what is finished is kept."""
    environment = {**os.environ, "SECONDS_TO_BUILD": "0.05"}
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_actfn", *WORDS, "--probe", "200"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    while not list(small_model.glob("search-*/features/shard-*")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    process.terminate()
    assert process.wait(timeout=60) == 130
    said = process.stderr.read()
    assert "keras-actfn: interrupted; what is finished is kept" in said
    assert said.count("interrupted") == 1
    process.stderr.close()


def test_errors_are_one_line(small_model, capsys):
    assert main([*WORDS, "--metric", "f1", "--evaluations", "1"]) == 1
    assert "reports: accuracy, loss" in capsys.readouterr().err
    for command in ("worker", "status"):
        assert main(["search", command, "--storage", "empty.log"]) == 1
        assert "Received: no file empty.log" in capsys.readouterr().err
    assert not (small_model / "empty.log").exists()
    assert main(["search", "--space", "tree_node", "--storage", "a.log"]) == 1
    assert "three_node" in capsys.readouterr().err
