"""Evaluations that a pruner stops early: they count, are marked, and are never repeated."""

import json

import numpy as np
import optuna
import pytest
from small_search import distance_to_softplus, task_of

from keras_actfn import search
from keras_actfn.cli import main
from keras_actfn.expressions import SearchSpace
from keras_actfn.search.pruning import get_pruner
from keras_actfn.search.sampler import evaluations_of

pytestmark = pytest.mark.once

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE = SearchSpace(
    ["binary(unary(x),unary(x))"],
    unary=["identity", "negative", "relu", "tanh", "square", "sigmoid"],
    binary=["add", "max"],
)
BASELINES = ("relu", "tanh")
EPOCHS = 4


def training(expression, report=None):
    """Rises to the function's quality, one below it in the first epoch."""
    for epoch in range(1, EPOCHS):
        if report is not None:
            report(epoch, distance_to_softplus(expression) - 1 / epoch)
    return distance_to_softplus(expression)


class WorseThan(optuna.pruners.BasePruner):
    """Stops what is worse than a limit after the second epoch."""

    def __init__(self, limit):
        self.limit = limit

    def prune(self, study, trial):
        return trial.last_step == 2 and trial.intermediate_values[2] < self.limit - 1 / 2


def open_search(folder, objective=training, pruner="median", **options):
    return search.ActivationSearch(
        task_of(objective, np.random.default_rng(0).normal(size=(32, 6)).astype("float32")),
        SPACE,
        storage=folder / "search.db",
        study="s",
        embedding="pca",
        from_scratch=True,
        baselines=BASELINES,
        probes=20,
        pruner=pruner,
        **options,
    )


def test_a_stopped_training_counts_with_its_last_value(tmp_path):
    found = open_search(tmp_path, pruner=WorseThan(-1.0))
    found.run(7)
    again = open_search(tmp_path, pruner=WorseThan(-1.0))
    again.run(12)
    rows = again.table()
    assert len(rows) == len({row.candidate for row in rows}) == 12
    stopped = {row.expression for row in rows if row.pruned}
    assert stopped == {
        row.expression for row in rows if distance_to_softplus(row.expression) < -1.0
    }
    assert 0 < len(stopped) < 12
    for row in rows:
        value = distance_to_softplus(row.expression)
        assert row.value == pytest.approx(value - 1 / 2 if row.pruned else value)


def test_stopped_trainings_come_last_and_are_marked(tmp_path):
    def misleading(text, report):
        report(2 if "tanh" in text else 1, 5.0)
        return 1.0

    found = open_search(tmp_path, misleading, WorseThan(9.0))
    found.run(2)
    assert [(row.expression, row.value, row.pruned) for row in found.table()] == [
        ("relu(x)", 1.0, False),
        ("tanh(x)", 5.0, True),
    ]
    assert found.best.expression == "relu(x)"
    assert "stopped early" in found.report(tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_surrogate_learns_from_stopped_trainings(tmp_path):
    found = open_search(tmp_path, pruner=WorseThan(-0.5))
    found.run(6)
    rows = found.table()
    assert any(row.pruned for row in rows)
    known, values, taken = evaluations_of(found.study)
    assert dict(zip(known, values, strict=True)) == {row.candidate: row.value for row in rows}
    assert taken == set(known)


def test_a_training_cut_off_after_a_report_is_done_again(tmp_path):
    found = open_search(tmp_path)

    def interrupted(text, report):
        report(1, 0.0)
        raise KeyboardInterrupt

    found.objective.function = interrupted
    with pytest.raises(KeyboardInterrupt):
        found.run(2)
    again = open_search(tmp_path)
    again.run(2)
    assert [trial.state.name for trial in again.study.trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert {row.expression for row in again.table()} == {"relu(x)", "tanh(x)"}


def test_a_report_that_is_not_finite_is_passed_over(tmp_path):
    def diverging(text, report):
        report(1, float("nan"))
        return float("nan")

    found = open_search(tmp_path, diverging)
    found.run(2)
    assert [(row.value, row.diverged, row.pruned) for row in found.table()] == [
        (None, True, False)
    ] * 2


@pytest.mark.parametrize("name", search.PRUNERS)
def test_a_training_that_failed_stops_no_other(name, tmp_path):
    """What fails leads at first: a pruner that compared with it would stop all that ends."""

    def training(text, report):
        fails = "tanh" in text or "square" in text or "sigmoid" in text
        for epoch in (1, 2, 3):
            report(epoch, 10.0 if fails else 1.0)
        return np.nan if fails else 1.0

    found = open_search(tmp_path, training, name)
    found.run(16)
    rows = found.table()
    assert sum(row.diverged for row in rows) >= 5
    assert [row.expression for row in rows if row.pruned] == []


def test_pruned_without_a_report_is_an_error(tmp_path):
    def impatient(text, report):
        raise optuna.TrialPruned

    found = open_search(tmp_path, impatient)
    with pytest.raises(optuna.TrialPruned):
        found.run(2)
    assert [trial.state.name for trial in found.study.trials] == ["FAIL"]


def test_a_study_goes_on_with_its_pruner(tmp_path):
    open_search(tmp_path, pruner="median")
    for other in (None, "halving", WorseThan(0.0)):
        with pytest.raises(ValueError, match="differs: pruner is"):
            open_search(tmp_path, pruner=other)


@pytest.mark.parametrize("name", search.PRUNERS)
def test_pruners_by_name(name, tmp_path):
    found = open_search(tmp_path, pruner=name)
    found.run(12)
    rows = found.table()
    assert len({row.candidate for row in rows}) == 12
    assert 0 < sum(row.pruned for row in rows) < 12
    assert found.best.value == max(row.value for row in rows if not row.pruned)


def test_bad_pruners():
    assert get_pruner(None, epochs=1) is None
    with pytest.raises(ValueError, match=r"A pruner is one of median, halving.*'medain'"):
        get_pruner("medain")
    with pytest.raises(ValueError, match=r"not the last\. Received: epochs=1"):
        get_pruner("median", epochs=1)


def test_the_command(small_model, capsys):
    words = ["search", "--model", "small_model:build", "--data", "digits", "--image-size", "8"]
    words += ["--space", "max(unary(x),unary(x))", "--probe", "6", "--embedding", "pca"]
    words += ["--subset", "300", "--validation", "200", "--batch-size", "20", "--epochs", "3"]
    words += ["--evaluations", "9", "--seeds", "0", "--pruner", "halving", "--storage", "s.log"]
    assert main([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["evaluations"]
    stopped = sum(row["pruned"] for row in rows)
    assert len(rows) == 9 and 0 < stopped < 9
    assert main(["search", "status", "--storage", "s.log"]) == 0
    assert f"9 of 9, 0 failed, {stopped} stopped early" in capsys.readouterr().out
