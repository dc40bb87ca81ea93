"""`keras-actfn search`: one command, more workers, and its state from outside."""

import json
import subprocess
import sys

import optuna
import pytest

from keras_actfn.cli import main

pytestmark = pytest.mark.once

SPACE = "max(unary(x),unary(x))"
WORDS = ["search", "--model", "small_model:build", "--data", "digits", "--image-size", "8"]
WORDS += ["--space", SPACE, "--probe", "12", "--subset", "300", "--validation", "200"]
WORDS += ["--batch-size", "20", "--epochs", "8"]
WORDS += ["--embedding", "pca", "--storage", "search.log"]


def finished(path):
    study = optuna.load_study(
        study_name="activation-search",
        storage=optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(path)),
    )
    return [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]


def test_search_and_status(small_model, capsys):
    assert main([*WORDS, "--evaluations", "10", "--seeds", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert len(result["evaluations"]) == 10
    best = max(row["value"] for row in result["evaluations"])
    assert result["best"]["value"] == best > 0.2
    assert len(result["retrained"]["runs"]) in (2, 4)
    page = (small_model / result["report"]).read_text(encoding="utf-8")
    assert "10 evaluations" in page
    assert result["probe"]["probed"] >= 12

    assert main(["search", "status", "--storage", "search.log", "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert (state["evaluations"], state["asked"], state["running"]) == (10, 10, [])
    assert state["best"] == result["best"]

    # A smaller number finds its evaluations done.
    assert main([*WORDS, "--evaluations", "9", "--seeds", "0"]) == 0
    out = capsys.readouterr().out
    assert "10 evaluated" in out
    assert f'keras_actfn.activation("{result["best"]["expression"]}")' in out


def test_two_workers_never_take_the_same_function(small_model):
    assert main([*WORDS, "--evaluations", "2", "--seeds", "0"]) == 0
    words = ["search", "worker", "--storage", "search.log", "--evaluations", "10"]
    command = [sys.executable, "-m", "keras_actfn", *words]
    workers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for worker in workers:
        assert worker.wait(timeout=300) == 0, worker.stderr.read()
        worker.stderr.close()
    functions = [trial.params["candidate"] for trial in finished("search.log")]
    assert len(functions) == len(set(functions)) == 10


def test_errors_are_one_line(small_model, capsys):
    assert main([*WORDS, "--metric", "f1", "--evaluations", "1"]) == 1
    assert "A metric is one of accuracy, loss" in capsys.readouterr().err
    assert main(["search", "worker", "--storage", "empty.log"]) == 1
    assert "A worker joins a search begun by" in capsys.readouterr().err
    assert main(["search", "status", "--storage", "empty.log"]) == 1
    assert "There is no study" in capsys.readouterr().err
    assert main(["search", "--space", "tree_node", "--storage", "a.log"]) == 1
    assert "three_node" in capsys.readouterr().err
