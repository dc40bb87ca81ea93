"""`keras-actfn compile`."""

import json

import keras
import numpy as np
import pytest

import keras_actfn
from keras_actfn.cli import main

pytestmark = pytest.mark.once


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(6, activation="swish", name="a"),
            keras_actfn.activation("aff(identity,relu,tanh)", name="b"),
            keras.layers.Dense(2),
        ]
    )
    model.save("model.keras")
    np.savez("data.npz", x_train=np.random.default_rng(0).normal(size=(90, 4)))
    np.savez("wide.npz", x=np.zeros((9, 5)))
    np.savez("other.npz", y=np.zeros(9))
    return tmp_path


def test_report_pictures_and_files(files, capsys):
    words = "compile model.keras --data data.npz --segments 6 --output out --formats onnx --json"
    assert main(words.split()) == 0
    report = json.loads(capsys.readouterr().out)
    assert [site["path"] for site in report["sites"]] == ["a", "b"]
    assert sorted(path.name for path in (files / "out").iterdir()) == [
        *("a.png", "activations.h", "b.png", "compiled.keras", "model.onnx", "report.json")
    ]
    assert all(len(site["slopes"]) <= 6 for site in report["sites"])


def test_the_table_is_printed(files, capsys):
    assert (
        main(
            [
                "compile",
                "model.keras",
                "--data",
                "data.npz",
                "--output",
                "out",
                "--no-plot",
                "--sites",
                "b",
            ]
        )
        == 0
    )
    assert "| b | AffineHullActivation |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("--data missing.npz", "There is no file missing.npz"),
        ("--data wide.npz", "The data fits the model's input"),
        ("--data other.npz", "as x or x_train. Received: y"),
        ("--data nothing", "A dataset's name is one of"),
        ("--formats tflite", "format is one of: litert, onnx"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(files, capsys, change, message):
    words = ["compile", "model.keras", "--data", "data.npz", "--output", "out", *change.split()]
    assert main(words) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (files / "out").exists()
