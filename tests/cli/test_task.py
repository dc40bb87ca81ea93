"""The commands on a task of the user's own: any model, data and metric."""

import json
import sys
import textwrap

import pytest

from keras_actfn.cli import main

pytestmark = pytest.mark.once

MODULE = """
    import keras
    import keras_actfn
    import numpy as np
    from keras_actfn.training import Task

    x = np.random.default_rng(0).normal(size=(60, 5)).astype("float32")
    y = np.abs(x[:, :1]) + 0.1 * x[:, 1:2]


    def build(activation):
        model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(24)])
        model.add(keras_actfn.activation(activation))
        model.add(keras.layers.Dense(1))
        model.compile(keras.optimizers.Adam(0.05), "mse", metrics=["mae"])
        return model


    def task():
        return Task(build, (x[:40], y[:40]), 10, (x[40:], y[40:]), epochs=3, batch_size=10)


    def nothing():
        return build("relu")
"""
TASK = ["--task", "own_task:task"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a user's own task in it."""
    (tmp_path / "own_task.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("own_task", None)


def test_compare(folder, capsys):
    words = ["compare", *TASK, "--activations", "relu", "tanh", "--seeds", "2", "--no-plots"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "own_task:task: 30 training and 20 test examples, 3 epochs, seeds 0, 1, backend" in out
    assert "test mae" in out and "(+ is better, 95 % interval)" in out
    assert main([*words, "--metric", "loss", "--json"]) == 0
    captured = capsys.readouterr()
    assert "4 of 4 runs were finished before" in captured.err  # a metric decides on no training
    found = json.loads(captured.out)
    assert (found["metric"], found["mode"], found["part"]) == ("loss", "min", "test")


def test_search_and_a_worker(folder, capsys):
    words = ["search", *TASK, "--space", "max(unary(x),unary(x))", "--probe", "5", "--seeds", "0"]
    words += ["--embedding", "pca", "--storage", "s.log", "--json"]
    assert main([*words, "--evaluations", "3", "--minutes", "60"]) == 0
    found = json.loads(capsys.readouterr().out)
    values = [row["value"] for row in found["evaluations"]]
    assert len(values) == 3 and values == sorted(values)  # of an error the least comes first
    join = ["search", "worker", "--storage", "s.log", "--evaluations", "4"]
    assert main(join) == 1
    assert "pass --task own_task:task to run that function" in capsys.readouterr().err
    assert main([*join, *TASK]) == 0
    assert main(["search", "status", "--storage", "s.log", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["evaluations"], status["asked"]) == (4, 3)
    assert status["best"]["value"] <= values[0]
    assert main([*words, "--minutes", "0.01"]) == 0  # and as many evaluations as fit
    json.loads(capsys.readouterr().out)
    assert main([*join[:4], *TASK]) == 1
    assert "a search that has --minutes alone" in capsys.readouterr().err


def test_probe(folder, capsys):
    assert main(["probe", *TASK, "--batch-size", "20", "--no-plots", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["relu"]
    assert found["valid"] and found["settings"]["examples"] == 20


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--epochs", "2", "--data", "digits"], "Received beside it: --data, --epochs. Leave out"),
        (["--metric", "auc"], "reports: loss, mae. Received: 'auc'"),
        (["--mode", "auto"], "mode is 'min' (less is better)"),
        (["--task", "own_task"], "such as my_models:build. Received: 'own_task'"),
        (["--task", "own_task:build"], "missing 1 required positional argument"),
        (["--task", "own_task:nothing"], "Received from own_task:nothing: Sequential"),
        (["--task", "own_task:other"], "names a function that returns a Task. Received"),
    ],
)
def test_errors_are_one_line(folder, words, match, capsys):
    assert main(["compare", *TASK, *words, "--seeds", "1"]) == 1
    assert match in capsys.readouterr().err
    assert not (folder / "runs" / "compare" / "runs").exists()
