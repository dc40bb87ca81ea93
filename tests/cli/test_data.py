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

SEARCH = ["--space", "unary(x)", "--probe", "3", "--evaluations", "9", "--embedding", "pca"]
SEARCH += ["--storage", "search.log"]


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
    words = ["compare", "--data", "pictures", "--model", "mlp", "--epochs", "6"]
    words += ["--batch-size", "16", "--activations", "relu", "tanh", "--seeds", "1", "--no-plots"]
    result = run(capsys, *words)
    assert result["settings"]["train_examples"] == 96
    assert result["settings"]["test_examples"] == 24
    # Three digits are easy; a third would be right by chance.
    assert min(row["test"]["accuracy"] for row in result["runs"]) > 0.7


def test_search_a_folder_of_pictures(folder, capsys):
    words = ["search", "--data", "pictures", "--model", "mlp", "--batch-size", "16", *SEARCH]
    result = run(capsys, *words, "--seeds", "0")
    assert len(result["evaluations"]) == 9
    assert result["study"].startswith("mlp-pictures-")
    page = Path(result["report"]).read_text(encoding="utf-8")
    assert "pictures" in page


def test_compare_a_regression_on_a_table(folder, capsys):
    words = ["compare", "--data", "diabetes.csv", "--target", "target", "--batch-size", "32"]
    words += ["--epochs", "5", "--seeds", "1", "--no-plots", "--activations", "relu"]
    result = run(capsys, *words)
    assert (result["metric"], result["mode"], result["part"]) == ("mae", "min", "test")
    # In the unit of the targets, whose mean absolute deviation is 65 and whose noise about 43.
    assert all(38 < row["test"]["mae"] < row["test"]["rmse"] < 65 for row in result["runs"])
    again = run(capsys, *words, "--metric", "rmse")
    assert again["metric"] == "rmse" and again["runs"] == result["runs"]
    assert main([*words, "--metric", "mea"]) == 1
    assert "Did you mean 'mae'" in capsys.readouterr().err
    assert main([*words, "--recipe", "hull"]) == 1
    assert "Received: --recipe hull for diabetes, a regression" in capsys.readouterr().err


def test_search_a_regression_on_a_table(folder, capsys):
    words = ["search", "--data", "diabetes.csv", "--target", "target", "--batch-size", "32"]
    result = run(capsys, *words, *SEARCH, "--metric", "rmse", "--seeds", "2")
    values = [row["value"] for row in result["evaluations"]]
    # In the unit of the targets, whose standard deviation is 77: less is better.
    assert len(values) == 9 and 38 < min(values) == result["best"]["value"] < max(values)
    assert values == sorted(values)
    assert result["study"].startswith("mlp-diabetes-") and result["probe"]["valid"] >= 3
    tested = result["verdict"]["test"]
    assert (tested["metric"], tested["mode"], tested["part"]) == ("rmse", "min", "test")
    assert main(["search", "status", "--storage", "search.log", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best"] == result["best"]

    # A worker reads the same file by what the study stores.
    words = ["search", "worker", "--storage", "search.log", "--evaluations", "10"]
    assert main(words) == 0, capsys.readouterr().err
    assert main(["search", "status", "--storage", "search.log", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["evaluations"] == 10


def test_a_validation_part_of_its_own(folder, capsys):
    arrays = dict(np.load("arrays.npz"))
    np.savez("own.npz", **arrays, x_validation=arrays["x_test"], y_validation=arrays["y_test"])
    words = ["compare", "--data", "own.npz", "--batch-size", "16", "--activations", "relu"]
    words += ["--seeds", "1", "--no-plots"]
    result = run(capsys, *words)
    assert result["settings"]["validation_examples"] == 20
    (row,) = result["runs"]
    assert row["validation"]["accuracy"] == pytest.approx(row["test"]["accuracy"])
    assert main([*words, "--validation", "5"]) == 1
    assert "validation part of its own" in capsys.readouterr().err


def test_a_compiled_model_of_the_users_own(folder, capsys):
    """It sees the standardised target, and what it reports is compared."""
    (folder / "own_regressor.py").write_text(
        "from keras_actfn.applications import MLP\n"
        "def build(activation):\n"
        "    model = MLP(activation, (10,), outputs=1, units=8)\n"
        "    model.compile('adam', 'mae', metrics=['mse'])\n"
        "    return model\n"
        "def plain(activation):\n"
        "    return MLP(activation, (10,), outputs=1, units=8)\n"
    )
    words = ["compare", "--data", "diabetes.csv", "--target", "target", "--batch-size", "16"]
    words += ["--activations", "relu", "--seeds", "1", "--no-plots"]
    result = run(capsys, *words, "--model", "own_regressor:build")
    assert result["metric"] == "mse" and result["runs"][0]["test"]["mse"] < 2
    result = run(capsys, *words, "--model", "own_regressor:plain", "--output", "other")
    assert set(result["runs"][0]["test"]) == {"loss", "mae", "rmse"}


def test_the_default_model_is_for_the_data(folder, capsys):
    """Fewer examples than the default batch are one batch."""
    words = ["compare", "--activations", "relu", "--seeds", "1", "--no-plots"]
    assert run(capsys, *words, "--data", "arrays.npz")["settings"]["batch_size"] == 40
    assert main([*words, "--data", "arrays.npz"]) == 0
    assert capsys.readouterr().out.startswith("mlp on arrays (arrays.npz): 40 training")
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
