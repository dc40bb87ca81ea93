"""The search as a whole, on small problems whose answers are known."""

import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import keras
import numpy as np
import optuna
import pytest
from small_search import build, distance_to_softplus, points

from keras_actfn import search
from keras_actfn.expressions import SearchSpace
from keras_actfn.search.sampler import evaluations_of

pytestmark = pytest.mark.once

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE = SearchSpace(
    ["binary(unary(x),unary(x))"],
    unary=["identity", "negative", "relu", "tanh", "square", "exp", "sigmoid", "zero"],
    binary=["add", "mul", "max"],
)
BASELINES = ("relu", "tanh", "swish")


DATA = points(300, 1), points(90, 2)


def open_search(folder, objective=distance_to_softplus, **options):
    options = {"embedding": "pca", "baselines": BASELINES, "probes": 25, "study": "s", **options}
    if callable(objective):
        options = {"probe_data": DATA[0][0][:32], **options}
    return search.ActivationSearch(build, objective, SPACE, storage=folder / "search.db", **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A search of twelve evaluations, and its folder."""
    folder = tmp_path_factory.mktemp("search")
    found = open_search(folder)
    found.run(12)
    return found, folder


def test_baselines_first_and_no_function_twice(finished):
    rows = sorted(finished[0].table(), key=lambda row: row.number)
    assert len(rows) == 12
    assert [row.baseline for row in rows] == [True] * 3 + [False] * 9
    assert [row.expression for row in rows[:3]] == [
        str(finished[0].pool.expression(i)) for i in finished[0].baseline_ids
    ]
    assert len({row.candidate for row in rows}) == 12


def test_values_are_the_objectives(finished):
    for row in finished[0].table():
        assert row.value == pytest.approx(distance_to_softplus(row.expression))
    values = [row.value for row in finished[0].table()]
    assert values == sorted(values, reverse=True)
    assert finished[0].best.value == values[0]


def test_best_gives_a_layer_that_computes_the_function(finished):
    from keras_actfn.expressions import parse

    x = np.linspace(-2, 2, 9, dtype="float32")
    best = finished[0].best
    found = keras.ops.convert_to_numpy(best.layer()(keras.ops.convert_to_tensor(x)))
    np.testing.assert_allclose(found, parse(best.expression)(x), rtol=1e-5, atol=1e-6)


def test_it_is_an_optuna_study(finished):
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{finished[1] / 'search.db'}")
    assert len(study.trials) == 12
    assert study.best_value == finished[0].best.value
    assert study.best_trial.user_attrs["expression"] == finished[0].best.expression
    assert isinstance(study.best_trial.params["candidate"], int)


def test_going_on_adds_only_what_is_missing(finished):
    found, folder = finished
    again = open_search(folder)
    before = [row.number for row in again.table()]
    again.run(12)
    assert [row.number for row in again.table()] == before
    assert again.suggest() == found.suggest()


def test_a_study_of_another_model_is_refused(finished):
    other = points(300, 3), DATA[1]
    with pytest.raises(ValueError, match=r"The study 's' differs: .*data is"):
        open_search(finished[1], other, output=finished[1] / "other")
    with pytest.raises(ValueError, match=r"differs: .*seed is 0 there and 1 here"):
        open_search(finished[1], seed=1, output=finished[1] / "another")


def test_pictures_and_report(finished):
    found, folder = finished
    figures = found.plot(folder / "pictures")
    assert sorted(figures) == ["functions", "map", "progress"]
    assert sorted(p.stem for p in (folder / "pictures").glob("*.png")) == sorted(figures)
    page = found.report(folder / "report.html").read_text(encoding="utf-8")
    assert found.best.expression in page and "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/png;base64,") == 3


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e12])
def test_a_failure_never_wins_whatever_the_scale(scale, tmp_path):
    """Nothing but losses to be minimised, negated: zero would be better than all of them."""

    def negated_loss(text):
        if "tanh" in text or "square" in text:
            return float("nan")
        return scale * (distance_to_softplus(text) - 5)

    found = open_search(tmp_path, negated_loss)
    found.run(14)
    rows = found.table()
    failed = [row for row in rows if row.diverged]
    assert 1 < len(failed) < 13 and rows[-len(failed) :] == failed
    assert all(row.value is None for row in failed)
    assert {row.expression for row in failed} == {
        row.expression for row in rows if "tanh" in row.expression or "square" in row.expression
    }
    assert found.best.value == max(row.value for row in rows if not row.diverged)
    assert found.study.best_value == found.best.value
    known, values, taken = evaluations_of(found.study)
    assert len(known) == len(taken) == 14
    assert {n for n, v in zip(known, values, strict=True) if np.isnan(v)} == {
        row.candidate for row in failed
    }
    page = found.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("failed") >= len(failed)
    # They are evaluations: going on makes none of them again.
    again = open_search(tmp_path, negated_loss)
    again.run(14)
    assert again.table() == rows


def test_nothing_but_failures(tmp_path):
    found = open_search(tmp_path, lambda text: float("inf"), probes=6)
    assert found.run(5) is None and found.best is None
    assert [row.diverged for row in found.table()] == [True] * 5
    found.report(tmp_path / "report.html")


def test_an_error_in_the_objective_returns_the_function(tmp_path):
    def broken(text):
        raise RuntimeError("no memory")

    found = open_search(tmp_path, broken, probes=3)
    with pytest.raises(RuntimeError, match="no memory"):
        found.run(3)
    assert [t.state.name for t in found.study.trials] == ["FAIL"]
    assert found.study.trials[0].user_attrs["ended"] == "RuntimeError: no memory"
    again = open_search(tmp_path, broken, probes=3)
    again.objective.function = distance_to_softplus
    again.run(3)
    assert len(again.table()) == 3


def test_a_builder_that_ignores_its_argument(tmp_path):
    found = search.ActivationSearch(
        lambda spec: build("relu"),
        distance_to_softplus,
        SPACE,
        storage=tmp_path / "search.db",
        probe_data=DATA[0][0][:32],
    )
    with pytest.raises(ValueError, match="build_model"):
        found.probe(3)


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match=r"A metric is one of accuracy, loss\. Received: 'f1'"):
        open_search(tmp_path, DATA, metric="f1")
    with pytest.raises(TypeError, match="unexpected argument 'epoch'"):
        open_search(tmp_path, DATA, epoch=1)
    with pytest.raises(ValueError, match="epochs set how data is trained on"):
        open_search(tmp_path, epochs=1)
    with pytest.raises(ValueError, match="Pass probe_data"):
        open_search(tmp_path, probe_data=None)
    with pytest.raises(ValueError, match="build_model is a function of an activation"):
        search.ActivationSearch("lenet5", DATA, SPACE)


def test_a_space_without_finite_functions(tmp_path):
    space = SearchSpace(["unary(unary(x))"], unary=["zero", "reciprocal"])
    space = SearchSpace(["reciprocal(unary(x))"], unary=["zero"])
    found = search.ActivationSearch(
        build,
        distance_to_softplus,
        space,
        storage=tmp_path / "search.db",
        probe_data=DATA[0][0][:32],
    )
    with pytest.raises(ValueError, match="A search needs functions with finite outputs"):
        found.run(9)


def test_nothing_left(tmp_path):
    found = open_search(tmp_path, probes=2)
    with pytest.raises(ValueError, match=r"All of them are evaluated: \d of 50 .* Probe more"):
        found.run(50)


PROGRAM = textwrap.dedent(
    """
    import pathlib, sys, time
    sys.path[:0] = {folders!r}
    import test_loop

    def slowly(text):
        time.sleep(0.15)
        return test_loop.distance_to_softplus(text)

    slowly.__qualname__ = "distance_to_softplus"
    test_loop.open_search(pathlib.Path({folder!r}), slowly).run(12)
    """
)


def test_killed_at_any_point_it_ends_with_the_same_functions(finished, tmp_path):
    here = Path(__file__).parent
    program = PROGRAM.format(folders=[str(here), str(here.parent)], folder=str(tmp_path))
    for enough in (0, 5):
        process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
        evaluated = lambda: count(tmp_path / "search.db")  # noqa: E731
        while process.poll() is None and evaluated() <= enough:
            time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, process.stderr.read()
        process.stderr.close()
    found = open_search(tmp_path)
    found.run(12)

    def evaluations(rows):
        rows = sorted(rows, key=lambda row: row.number)
        return [row.expression for row in rows]

    assert evaluations(found.table()) == evaluations(finished[0].table())
    json.dumps(found.study.user_attrs)


def count(path):
    """Trials begun in a database that may not be there yet."""
    if not path.exists():
        return -1
    try:
        study = optuna.load_study(study_name="s", storage=f"sqlite:///{path}")
        return len(study.trials)
    except Exception:
        return -1
