"""`keras-actfn replace`: a saved model converted, listed and trained on."""

import json

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_actfn
from keras_actfn.cli import main

pytestmark = pytest.mark.once


@pytest.fixture
def saved(tmp_path):
    inputs = keras.Input((6, 6, 1), name="images")
    x = layers.Conv2D(3, 3, activation="relu", name="conv")(inputs)
    x = layers.Flatten(name="flat")(ops.relu(x - 0.1))
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="out")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.save(tmp_path / "model.keras")
    return model, tmp_path / "model.keras"


def test_a_file_is_converted_and_trained_on(saved, tmp_path, capsys):
    model, path = saved
    output = tmp_path / "new" / "out.keras"
    words = ["replace", path, "--activation", "aff(identity,relu,tanh)", "--output", output]
    assert main([*map(str, words), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["replaced"] == ["conv", "relu"]
    assert [site["path"] for site in result["kept"]] == ["out"]
    assert result["parameters"] == {
        "before": model.count_params(),
        "after": model.count_params() + 6,
    }
    new = keras.models.load_model(output)
    hull = new.get_layer("conv_activation")
    assert isinstance(hull, keras_actfn.layers.AffineHullActivation)
    np.testing.assert_array_equal(new.get_layer("conv").kernel, model.get_layer("conv").kernel)
    before = np.array(hull.coefficients)
    # Adam's first step moves all coefficients alike where their gradients have one sign, and the
    # projection takes that back; so there are several.
    images = np.random.default_rng(0).normal(size=(8, 6, 6, 1))
    new.fit(images, np.arange(8) % 2, batch_size=2, epochs=3, verbose=0)
    assert not np.array_equal(before, hull.coefficients)
    assert [file.name for file in output.parent.iterdir()] == ["out.keras"]


def test_relu_by_relu_keeps_every_bit(saved, tmp_path):
    model, path = saved
    output = tmp_path / "same.keras"
    assert main(["replace", str(path), "--activation", "relu", "--output", str(output)]) == 0
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 1)).astype("float32")
    before, after = (m(x, training=False) for m in (model, keras.models.load_model(output)))
    np.testing.assert_array_equal(ops.convert_to_numpy(before), ops.convert_to_numpy(after))


def test_list(saved, capsys):
    assert main(["replace", str(saved[1]), "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["conv", "relu", "fused", "hidden", "yes"],
        ["relu", "relu", "op", "hidden", "yes"],
        ["out", "softmax", "fused", "output", "no"],
    ]


def test_sites_and_match(saved, tmp_path, capsys):
    output = tmp_path / "out.keras"
    words = ["--activation", "tanh", "--output", str(output), "--json"]
    assert main(["replace", str(saved[1]), "--sites", "conv", "out", *words]) == 0
    assert json.loads(capsys.readouterr().out)["replaced"] == ["conv", "out"]
    assert main(["replace", str(saved[1]), "--match", "gelu", *words]) == 1
    assert "No activation is left to replace" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--activation", "relu"], "takes --activation and --output, or --list"),
        (["--activation", "relu", "--output", "out.h5"], "ends in .keras. Received: out.h5"),
        (["--activation", "rellu", "--output", "out.keras"], "Unknown activation 'rellu'"),
    ],
)
def test_errors_are_one_line(saved, words, error, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["replace", str(saved[1]), *words]) == 1
    text = capsys.readouterr().err
    assert error in text and text.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["model.keras"]


def test_no_such_file(capsys):
    words = ["replace", "none.keras", "--activation", "relu", "--output", "out.keras"]
    assert main(words) == 1
    assert "There is no file none.keras" in capsys.readouterr().err
