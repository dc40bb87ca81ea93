"""The table of a comparison against closed forms, and its files."""

import csv
import json
import math

import numpy as np
import pytest
import scipy.stats

from keras_actfn._files import read_json, write_file, write_json
from keras_actfn.training import Comparison, RunResult, paired_difference
from keras_actfn.training.run_store import RunStore

pytestmark = pytest.mark.once

ACCURACY = {"relu": [0.90, 0.92, 0.88], "pwl": [0.93, 0.92, 0.90]}


def run_result(activation="relu", seed=0, accuracy=0.5, **changes):
    values = {
        "activation": activation,
        "seed": seed,
        "key": f"{activation}-{seed}",
        "validation": None,
        "test": {"accuracy": accuracy, "loss": 0.3},
        "parameters": 1234,
        "steps": 4,
        "step_seconds": 0.01 if activation == "relu" else 0.012,
        "seconds": 1.0,
        "diverged": False,
        "arrays": {"step": np.arange(1, 5), "loss": np.ones(4), "accuracy": np.ones(4) / 2},
    }
    return RunResult(**{**values, **changes})


def comparison(accuracies=ACCURACY, **changes):
    runs = tuple(
        run_result(label, seed, accuracy, **changes)
        for label, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    )
    seeds = tuple(range(len(next(iter(accuracies.values())))))
    return Comparison(tuple(accuracies), seeds, runs, {"epochs": 1})


@pytest.mark.parametrize("n", [2, 3, 10])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_interval_is_that_of_the_paired_t_test(n, level):
    rng = np.random.default_rng(n)
    values, base = rng.normal(0.9, 0.01, n), rng.normal(0.89, 0.02, n)
    mean, low, high = paired_difference(values, base, level)
    expected = scipy.stats.ttest_rel(values, base).confidence_interval(level)
    np.testing.assert_allclose([low, high], expected, rtol=1e-10)
    np.testing.assert_allclose(mean, np.mean(values) - np.mean(base), rtol=1e-10)


def test_interval_by_hand_for_two_seeds():
    # t(0.975, 1 degree of freedom) = tan(π·0.475); differences 0.01 and 0.03.
    mean, low, high = paired_difference([0.91, 0.93], [0.90, 0.90])
    half = math.tan(math.pi * 0.475) * 0.01
    np.testing.assert_allclose([mean, low, high], [0.02, 0.02 - half, 0.02 + half], rtol=1e-9)


def test_one_seed_has_no_interval():
    assert paired_difference([0.5], [0.25]) == (0.25, None, None)


@pytest.mark.parametrize(("values", "base"), [([1, 2], [1]), ([], [])])
def test_unpaired_values(values, base):
    with pytest.raises(ValueError, match="as many values as base values"):
        paired_difference(values, base)


def test_rows():
    relu, pwl = comparison().rows()
    assert relu.difference is None and relu.step_ratio == 1.0
    np.testing.assert_allclose(relu.value, 0.90)
    np.testing.assert_allclose(relu.std, 0.02)
    np.testing.assert_allclose(pwl.difference, (0.03 + 0.00 + 0.02) / 3)
    np.testing.assert_allclose(pwl.step_ratio, 1.2)
    assert pwl.difference_low < pwl.difference < pwl.difference_high


def test_markdown():
    lines = comparison().markdown().splitlines()
    assert len({len(line) for line in lines}) == 1
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[0][:2] == ["activation", "test accuracy (%)"]
    assert cells[2] == ["relu", "90.00 ± 2.00", "—", "1,234", "1.00×"]
    assert cells[3] == ["pwl", "91.67 ± 1.53", "+1.67 [-2.13, +5.46]", "1,234", "1.20×"]


def test_a_diverged_run_counts_and_is_named():
    lost = {"accuracy": 0.1, "loss": math.nan}
    result = comparison({"relu": [0.9], "pwl": [0.1]}, diverged=True, test=lost)
    assert "10.00 (1 of 1 diverged)" in result.markdown()
    assert result.rows()[1].value == 0.1
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert json.loads(text)["runs"][0]["test"]["loss"] is None


def test_files(tmp_path):
    result = comparison()
    result.save(tmp_path)
    stored = json.loads((tmp_path / "results.json").read_text())
    assert stored["table"][1]["activation"] == "pwl"
    assert [run["test"]["accuracy"] for run in stored["runs"]] == [
        *ACCURACY["relu"],
        *ACCURACY["pwl"],
    ]
    with open(tmp_path / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose(float(rows[1]["difference"]), 0.05 / 3)
    with open(tmp_path / "runs.csv", newline="") as file:
        assert [row["seed"] for row in csv.DictReader(file)] == ["0", "1", "2"] * 2
    with np.load(tmp_path / "curves.npz") as file:
        np.testing.assert_array_equal(file["activations"], ["relu", "pwl"])
        np.testing.assert_array_equal(file["activation1_seed2_accuracy"], np.ones(4) / 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "curves.npz",
        "results.csv",
        "results.json",
        "runs.csv",
    ]


@pytest.mark.parametrize("loss", [0.25, math.inf])
def test_store_round_trip(tmp_path, loss):
    store = RunStore(tmp_path)
    stored = run_result(test={"loss": loss, "accuracy": 0.5})
    store.save(stored, {"epochs": 1})
    loaded = store.load(stored.key, "another label")
    assert loaded.activation == "another label"
    np.testing.assert_equal(loaded.test, stored.test)
    assert loaded.summary() == {**stored.summary(), "activation": "another label"}
    for name, array in stored.arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], array)
    assert store.load("no such key", "relu") is None


def test_a_run_without_its_json_is_not_finished(tmp_path):
    store = RunStore(tmp_path)
    store.save(run_result(), {})
    (tmp_path / "runs" / "relu-0.json").unlink()
    assert store.load("relu-0", "relu") is None


@pytest.mark.parametrize("content", ["", "[]", '{"result": {}}'])
def test_a_foreign_file_is_named_and_kept(tmp_path, content):
    store = RunStore(tmp_path)
    store.save(run_result(), {})
    path = tmp_path / "runs" / "relu-0.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"relu-0.json cannot be read: .* files away to train"):
        store.load("relu-0", "relu")
    assert path.read_text() == content


@pytest.mark.parametrize(
    "changes",
    [
        {"test": {"accuracy": "high"}},
        {"test": 0.5},
        {"test": {"loss": 10**400}},
        {"validation": ...},
        {"parameters": [1]},
        {"key": "another"},
        {"diverged": ...},
    ],
)
def test_a_hostile_run_is_refused(tmp_path, changes):
    """With a checksum that fits, as only a person writes it."""
    store = RunStore(tmp_path)
    store.save(run_result(), {})
    path = tmp_path / "runs" / "relu-0.json"
    values = read_json(path, "")["result"] | changes
    result = {name: value for name, value in values.items() if value is not ...}
    write_json(path, {"result": result, "settings": {}}, checked=True)
    with pytest.raises(ValueError, match=r"relu-0\.json cannot be read: it is .* away to train it"):
        store.load("relu-0", "relu")


@pytest.mark.parametrize("name", ["relu-0.json", "relu-0.npz"])
@pytest.mark.parametrize("damage", [lambda c: c[:-9], lambda c: c.replace(b"r", b"\0"), None])
def test_a_damaged_run_is_named(tmp_path, name, damage):
    store = RunStore(tmp_path)
    store.save(run_result(), {})
    path = tmp_path / "runs" / name
    if damage is not None:
        path.write_bytes(damage(path.read_bytes()))
    elif name.endswith("json"):
        return  # a run without its JSON is not finished
    else:
        path.unlink()
    with pytest.raises(ValueError, match=rf"{name} cannot be read: .* away to train it again"):
        store.load("relu-0", "relu")


def test_nothing_is_left_of_a_write_that_fails(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("before")
    with pytest.raises(TypeError):
        write_file(path, 5)
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]
    assert path.read_text() == "before"
