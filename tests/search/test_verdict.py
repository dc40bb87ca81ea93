"""The end of a search: fresh seeds, a choice on validation data, a pair on test data."""

import keras
import numpy as np
import pytest
from scipy import stats

import keras_actfn
from keras_actfn.search.verdict import SCREENING_SEEDS, confirm
from keras_actfn.training import Task

pytestmark = pytest.mark.once

DATA = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
#: A regression on |x₁|, in which one hidden layer of |x| beats one of x.
TARGET = np.abs(DATA[:, :1])


def build(activation):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8),
            keras_actfn.activation(activation),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.05), "mse", metrics=["mae"])
    return model


def task(**options):
    parts = {
        "train": (DATA[:20], TARGET[:20]),
        "validation": (DATA[20:40], TARGET[20:40]),
        "test": (DATA[40:], TARGET[40:]),
    }
    return Task(build, **{**parts, "epochs": 20, "batch_size": 20, **options})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("confirmed")


@pytest.fixture(scope="module")
def verdict(folder):
    return confirm(
        task(),
        ["tanh(x)", "abs(x)"],
        ["linear", "zero(x)"],
        first_seed=5,
        output=folder,
        looks=(3, 6),
    )


def test_the_best_of_each_side_by_validation_data_meet_on_test_data(verdict):
    means = {label: np.mean(verdict.screening.values_of(label)) for label in ("tanh(x)", "abs(x)")}
    assert verdict.function == min(means, key=means.get) == "abs(x)"
    assert verdict.screening.part == "validation" and verdict.test.part == "test"
    assert verdict.test.activations == (verdict.usual, verdict.function)
    assert verdict.test.criterion.metric == "mae"


def test_no_seed_is_used_twice(verdict):
    assert verdict.screening.seeds == (5, 6, 7)
    assert verdict.test.seeds[0] == 5 + SCREENING_SEEDS


def test_the_answer_is_scipys_paired_interval_at_half_the_error(verdict):
    pair = [verdict.test.values_of(label) for label in (verdict.usual, verdict.function)]
    gains = np.subtract(*pair)  # less is better
    interval = stats.ttest_1samp(gains, 0).confidence_interval(1 - 0.05 / 2)
    last = verdict.looks[-1]
    np.testing.assert_allclose((last.low, last.high), interval, rtol=1e-9)
    assert verdict.outcome == "better" and last.low > 0
    assert f"abs(x) is better than {verdict.usual}: test mae lower by" in verdict.text
    assert f"[{last.low:.4g}, {last.high:.4g}]" in verdict.text
    assert "95 % over 2 looks" in verdict.text and verdict.text in str(verdict)
    assert verdict.to_dict()["outcome"] == "better"


def test_it_goes_on_from_finished_runs(verdict, folder):
    again = confirm(
        task(),
        ["tanh(x)", "abs(x)"],
        ["linear", "zero(x)"],
        first_seed=5,
        output=folder,
        looks=(3, 6),
    )
    assert again.screening.reused == len(again.screening.runs)
    assert again.test.reused == len(again.test.runs)
    assert again.text == verdict.text


def test_worse_and_no_evidence_are_said(folder):
    worse = confirm(
        task(), ["zero(x)"], ["abs(x)"], first_seed=5, output=folder / "worse", looks=(3, 6)
    )
    assert worse.outcome == "worse"
    assert "zero(x) is worse than abs(x): test mae higher by" in worse.text
    same = confirm(
        task(), ["mul(x,one(x))"], ["identity(x)"], first_seed=0, output=folder / "same", looks=(2,)
    )
    assert same.outcome == "no evidence"
    assert "difference +0 [+0, +0] in the test mae, + is better (2 seeds" in same.text


def test_a_function_that_fails_wins_nothing(folder):
    failed = confirm(
        task(), ["div(x,zero(x))"], ["abs(x)"], first_seed=0, output=folder / "failed", looks=(2,)
    )
    assert failed.outcome == "failed"
    assert failed.text.startswith("No verdict: a training failed on the way (div(x,zero(x)) with")


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"a task without test\. Pass test="):
        confirm(task(test=None), ["abs(x)"], ["relu"], first_seed=0, output=tmp_path)
    with pytest.raises(ValueError, match="1 found, 0 usual that did not fail"):
        confirm(task(), ["abs(x)"], [], first_seed=0, output=tmp_path)
    with pytest.raises(ValueError, match="increasing list"):
        confirm(task(), ["abs(x)"], ["relu"], first_seed=0, output=tmp_path, looks=(1,))
    assert not list(tmp_path.iterdir())
