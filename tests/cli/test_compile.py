"""`keras-actfn compile`."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_actfn
from keras_actfn.cli import main
from keras_actfn.cli.data import DataChoice, model_samples

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
    Path("table.csv").write_text("a,b\n1,2\n3,4\n")
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
        ("--data missing.npz", "Received: missing.npz, where nothing is"),
        ("--data wide.npz", "The data fits the model's input"),
        ("--data other.npz", "as x or x_train. Received: y"),
        ("--data nothing", "A dataset's name is one of"),
        ("--data data.npz --target y", "takes the options image_size. Received: target='y'"),
        ("--data table.csv", "the column that is to be predicted"),
        ("--formats tflite", "format is one of: litert, onnx"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(files, capsys, change, message):
    words = ["compile", "model.keras", "--data", "data.npz", "--output", "out", *change.split()]
    assert main(words) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (files / "out").exists()


def test_a_model_sees_what_it_was_trained_on(files):
    """Bytes of images are divided by 255, whatever the arrays are called."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, size=(40, 3, 3), dtype="uint8")
    labels = generator.integers(0, 2, 40)
    np.savez("inputs.npz", x=images)
    np.savez("parts.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    model = keras.Sequential(
        [keras.Input((3, 3, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    for name in ("inputs.npz", "parts.npz"):
        x, y = model_samples(DataChoice(data=name), model, 30)
        np.testing.assert_allclose(x, images[:30, ..., None] / 255, rtol=1e-6)
        assert (y is None) == (name == "inputs.npz")


def test_a_table_is_read_as_for_a_training(files, capsys):
    generator = np.random.default_rng(0)
    rows = np.column_stack([1000 + 500 * generator.normal(size=(60, 4)), generator.normal(size=60)])
    np.savetxt("mine.csv", rows, delimiter=",", header="a,b,c,d,y", comments="")
    words = "compile model.keras --data mine.csv --target y --sites b --output out --no-plot --json"
    assert main(words.split()) == 0
    assert json.loads(capsys.readouterr().out)["sites"][0]["path"] == "b"
    assert main(["compile", "model.keras", "--output", "none"]) == 1
    assert "Received: no --data" in capsys.readouterr().err


def test_names_that_are_one_in_c_are_refused_before_anything_is_written(files, capsys):
    inputs = keras.Input((4,))
    x = keras.layers.Dense(3, "tanh", name="Act")(keras.layers.Dense(3, "tanh", name="act")(inputs))
    keras.Model(inputs, keras.layers.Dense(2)(x)).save("twice.keras")
    assert main(["compile", "twice.keras", "--data", "data.npz", "--output", "out"]) != 0
    assert "whose macros begin with ACT" in capsys.readouterr().err
    assert not (files / "out").exists()
