"""`keras-actfn nearest`."""

import json

import keras
import numpy as np
import pytest

import keras_actfn
from keras_actfn.cli import main

pytestmark = pytest.mark.once

SPACE = ["--space", "unary(x)"]


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    x = generator.normal(size=300)
    np.savez("curve.npz", x=x, y=2 * np.tanh(x) + 0.01 * generator.normal(size=300))
    np.savez("data.npz", x=generator.normal(size=(90, 4)), y=generator.integers(0, 2, 90))
    np.savez("inputs.npz", x_train=generator.normal(size=(90, 4)))
    np.savez("uneven.npz", x=np.zeros((9, 4)), y=np.zeros(8))
    np.save("inputs.npy", 6 + generator.normal(size=2000))
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(6, activation="swish", name="a"),
            keras_actfn.activation("pwl(initial=tanh,low=-5,high=5)", name="b"),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.save("model.keras")
    return tmp_path


def test_a_specification(files, capsys):
    assert main(["nearest", "silu", *SPACE, "--count", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[2].startswith("| swish(x) |")
    assert main(["nearest", "relu", *SPACE, "--density", "inputs.npy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["formulas"][0]["spec"] == "x"
    assert (files / "runs/spaces").is_dir()


def test_samples(files, capsys):
    assert main(["nearest", "curve.npz", *SPACE, "--json"]) == 0
    best = json.loads(capsys.readouterr().out)["formulas"][0]
    assert best["expression"] == "tanh(x)" and best["a"] == pytest.approx(2, abs=0.01)
    assert main(["nearest", "curve.npz", *SPACE, "--json", "--no-affine"]) == 0
    assert json.loads(capsys.readouterr().out)["formulas"][0]["a"] == 1


def test_a_model(files, capsys):
    assert main(["nearest", "model.keras", "--data", "data.npz", *SPACE, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [site["path"] for site in report["sites"]] == ["a", "b"]
    assert set(report["before"]) == set(report["after"]) == {"loss", "accuracy"}
    words = ["nearest", "model.keras", "--data", "data.npz", "--sites", "b", *SPACE]
    assert main(words) == 0
    assert "| b | PWL |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("nothing", "Unknown activation 'nothing'"),
        ("missing.npz", "There is no file missing.npz"),
        ("inputs.npz", "holds samples x and y of a function. Received: x_train"),
        ("missing.keras --data data.npz", "There is no file missing.keras"),
        ("model.keras", "seen on --data, and take no --density. Received: no --data"),
        ("model.keras --data data.npz --density norm", "Received: --density norm"),
        ("model.keras --data inputs.npz", "The loss needs targets"),
        ("model.keras --data uneven.npz", "Received: 9 examples in x and targets of shape (8,)"),
        ("gelu --data data.npz", "--data and --sites are for a .keras file"),
        ("gelu --density nothing", "--density is a continuous distribution"),
        ("gelu --space nothing", "A space is one of three_node"),
    ],
)
def test_what_does_not_fit_is_refused(files, capsys, words, message):
    assert main(["nearest", *words.split()]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (files / "runs").exists()
