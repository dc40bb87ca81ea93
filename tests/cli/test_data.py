"""The command line on the user's own files."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_diabetes, load_digits

from keras_actfn.cli import main
from keras_actfn.cli.data import DataChoice

pytestmark = pytest.mark.once

SEARCH = ["--space", "unary(unary(x))", "--probe", "3", "--evaluations", "9", "--embedding", "pca"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with pictures of three digits, a table and arrays."""
    digits = load_digits(n_class=3)
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        if number < 120:
            (tmp_path / "pictures" / str(label)).mkdir(parents=True, exist_ok=True)
            pixels = Image.fromarray((image * 15).astype("uint8"))
            pixels.save(tmp_path / "pictures" / str(label) / f"{number}.png")
    load_diabetes(as_frame=True, scaled=False).frame.to_csv(tmp_path / "diabetes.csv", index=False)
    x = digits.data[:60].astype("float32")
    y = digits.target[:60]
    np.savez(tmp_path / "arrays.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *words):
    """The JSON that a command prints."""
    status = main([*words, "--json"])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    return json.loads(captured.out)


def test_compare_a_folder_of_pictures(folder, capsys):
    words = ["compare", "--data", "pictures", "--model", "mlp", "--epochs", "8"]
    words += ["--batch-size", "16", "--activations", "relu", "tanh", "--seeds", "2", "--no-plots"]
    result = run(capsys, *words)
    assert result["settings"]["train_examples"] == 96
    assert result["settings"]["test_examples"] == 24
    # Three digits are easy; a third would be right by chance.
    assert min(row["test"]["accuracy"] for row in result["runs"]) > 0.7


def test_compare_and_search_a_regression(folder, capsys):
    words = ["--data", "diabetes.csv", "--target", "target", "--batch-size", "100"]
    compared = ["--activations", "relu", "tanh", "--seeds", "2", "--no-plots"]
    result = run(capsys, "compare", *words, *compared)
    assert (result["metric"], result["mode"]) == ("mae", "min")
    assert all(30 < row["test"]["mae"] < 200 for row in result["runs"])  # of 25 to 346
    values = [row["value"] for row in run(capsys, "search", *words, *SEARCH)["evaluations"]]
    assert values == sorted(values)
    assert main(["compare", *words, "--recipe", "hull"]) == 1
    assert "Received: --recipe hull for diabetes, a regression" in capsys.readouterr().err


def test_search_a_folder_of_pictures(folder, capsys):
    words = ["search", "--data", "pictures", "--model", "mlp", "--batch-size", "16", *SEARCH]
    result = run(capsys, *words, "--seeds", "0")
    assert len(result["evaluations"]) == 9
    assert result["study"].startswith("mlp-pictures-")
    page = Path(result["report"]).read_text(encoding="utf-8")
    assert "pictures" in page


def test_the_default_model_is_for_the_data(folder, capsys):
    words = ["compare", "--batch-size", "16", "--activations", "relu", "--seeds", "2", "--no-plots"]
    assert main([*words, "--data", "arrays.npz"]) == 0
    assert capsys.readouterr().out.startswith("mlp on arrays (arrays.npz): 40 training and 20 test")
    assert main([*words, "--data", "pictures", "--image-size", "16", "--output", "other"]) == 0
    assert capsys.readouterr().out.startswith("lenet5 on pictures (pictures, resized to 16×16)")


def test_a_probe_of_arrays(folder, capsys):
    result = run(capsys, "probe", "--data", "arrays.npz", "--batch-size", "20", "--no-plots")
    assert result["relu"]["valid"] and list(result["relu"]["layers"])[-1].startswith("predictions")


#: Words after `compare`, and what the error says.
BAD = [
    (["--data", "picture"], "Did you mean 'pictures'"),
    (["--data", "nowhere/"], "where nothing is"),
    (["--data", "arrays.np"], "Did you mean 'arrays.npz'"),
    (["--data", "diabetes.csv"], "target=… (--target)"),
    (["--data", "diabetes.csv", "--target", "taget"], "Did you mean 'target'"),
    (["--data", "diabetes.csv", "--target", "sex"], "--classification or --regression"),
    (["--data", "diabetes.csv", "--target", "target", "--drop", "ag"], "Did you mean 'age'"),
    (["--data", "diabetes.csv", "--target", "target", "--image-size", "8"], "image_size=8"),
    (["--data", "diabetes.csv", "--target", "target", "--model", "lenet5"], "Use --model mlp"),
    (["--data", "pictures", "--target", "a"], "takes the options image_size, colors, test, seed"),
    (["--data", "pictures", "--colors", "gray"], "Did you mean 'grey'"),
    (["--data", "digits", "--target", "a"], "takes the options image_size"),
    (["--data", "arrays.npz", "--data-path", "pictures"], "Leave it out"),
    (["--data", "arrays.npz", "--model", "lenet5"], "sorts images"),
    (["--data", "arrays.npz", "--image-size", "8"], "An image size is for images"),
]


@pytest.mark.parametrize(("words", "text"), BAD)
def test_errors_are_one_line_and_write_nothing(folder, capsys, words, text):
    before = sorted(folder.rglob("*"))
    for command in ("compare", "search", "probe"):
        status = main([command, *words])
        captured = capsys.readouterr()
        assert (status, captured.out) == (1, "")
        assert captured.err.startswith("keras-actfn: ") and captured.err.count("\n") == 1
        assert text in captured.err and "Received: " in captured.err
    assert sorted(folder.rglob("*")) == before


def test_options_reach_the_function_that_reads(folder):
    pd.DataFrame({"a;b": [1]}).to_csv("x.csv", index=False)
    frame = pd.read_csv("diabetes.csv")
    frame["group"] = np.arange(len(frame)) % 4 + 2
    frame.loc[:9, "bmi"] = np.nan
    frame.to_csv("own.csv", index=False, sep=";")
    choice = DataChoice(
        data="own.csv",
        target="group",
        drop=["age", "target"],
        regression=False,
        missing="impute",
        delimiter=";",
        test_share=0.5,
        split_seed=3,
    )
    data = choice.load()
    assert data.class_names == ("2", "3", "4", "5") and "missingindicator_bmi" in data.feature_names
    assert "age" not in data.feature_names and abs(len(data.y_test) - len(data.y_train)) <= 4
    numbers = dataclasses.replace(choice, regression=True).load()
    assert numbers.problem == "regression"


def test_a_choice_is_stored_and_found_again(folder):
    choice = DataChoice(data="diabetes.csv", target="target", drop=["age"], test_share=0.25)
    stored = json.loads(json.dumps(choice.to_dict()))
    assert stored["data"] == str(folder / "diabetes.csv")
    again = DataChoice.from_dict(stored)
    np.testing.assert_array_equal(again.load().x_train, choice.load().x_train)
    (folder / "moved.csv").write_bytes((folder / "diabetes.csv").read_bytes())
    moved = DataChoice.from_dict({**stored, "data": "/elsewhere/diabetes.csv"}, Path("moved.csv"))
    np.testing.assert_array_equal(moved.load().x_train, choice.load().x_train)
    named = DataChoice.from_dict(DataChoice("digits").to_dict(), Path("there"))
    assert (named.data, named.data_path) == ("digits", Path("there"))


@pytest.mark.parametrize(
    "change", [{"drop": "age"}, {"drop": [1]}, {"image_size": "8"}, {"test_share": True}, {"x": 1}]
)
def test_what_is_stored_is_checked(change):
    stored = DataChoice("digits").to_dict()
    with pytest.raises(ValueError, match="The options of data are data, image_size, colors"):
        DataChoice.from_dict(stored | change)
    with pytest.raises(ValueError, match="Received: None"):
        DataChoice.from_dict(None)
