"""Each task left out in turn: what searches learn from the others, and what is told of it."""

import dataclasses
import json

import numpy as np
import pytest
from reference.act_bench import synthetic_bench
from typer.testing import CliRunner

from keras_actfn.cli import build_app
from keras_actfn.plotting.bench import draw_left_out
from keras_actfn.search.atlas.table import Atlas
from keras_actfn.search.benchmarks import packed
from keras_actfn.search.benchmarks.left_out import LeftOut, run_left_out
from keras_actfn.search.benchmarks.results import BenchRun, median_interval

pytestmark = pytest.mark.once

OPTIONS = dict(trials=3, budget=14, embedding="pca", workers=1, progress=False)


@pytest.fixture(scope="module")
def benches():
    """Three tasks on the same functions: the same best one, another, and an order of noise.

    ReLU and tanh have their short texts, by which the atlas knows them.
    """
    first = synthetic_bench(9)
    short = {first.index("relu"): "relu(x)", first.index("tanh"): "tanh(x)"}
    functions = tuple(short.get(i, text) for i, text in enumerate(first.functions))
    found = []
    for name, change in (("one", 0.0), ("two", 0.0), ("three", 0.5)):
        score = first.score + change * np.random.default_rng(0).normal(size=len(first)) / 10
        runs = first.runs | {"validation_accuracy": score[:, None] ** (2 if name == "two" else 1)}
        found.append(dataclasses.replace(first, name=name, functions=functions, runs=runs))
    return found


@pytest.fixture(scope="module")
def left_out(benches, tmp_path_factory):
    folder = tmp_path_factory.mktemp("left_out")
    return run_left_out(benches, folder, rivals=("distance_gp", "random"), **OPTIONS), folder


def test_searches_begin_with_what_the_others_teach(left_out, benches):
    """Tasks one and two have the same order: either teaches the other's best function."""
    found, _ = left_out
    best = benches[0].functions[int(np.nanargmax(benches[0].score))]
    for task in ("one", "two"):
        assert found.portfolios[task][0] == "relu(x)" and best in found.portfolios[task]
        for rows in found.runs[task, "atlas"].trials["distance_gp", "both"]:
            assert benches[0].functions[rows[0]] == "relu(x)"
            assert best in [benches[0].functions[row] for row in rows]
        row = next(r for r in found.table() if (r.task, r.begins) == (task, "atlas"))
        assert row.evaluations <= 8 and row.never == 0 and row.gains[-1] == pytest.approx(1)
    atlas = Atlas.of(benches)
    assert found.portfolios["three"] != found.portfolios["one"] and len(atlas.tasks) == 3


def test_trials_search_among_the_same_functions(left_out):
    found, _ = left_out
    for rows in found.runs["one", "scratch"].trials["random", ""]:
        assert len(set(rows)) == len(rows) <= 14
    first, second, _ = found.runs["three", "scratch"].trials["distance_gp", "both"]
    assert list(first[:8]) != list(second[:8])


def test_what_is_there_is_not_run_again(left_out, benches, monkeypatch):
    found, folder = left_out
    monkeypatch.setattr("keras_actfn.search.benchmarks.run.suggest", None)
    again = run_left_out(benches, folder, rivals=("distance_gp", "random"), **OPTIONS)
    assert again.text() == found.text()
    with pytest.raises(ValueError, match=r"other settings \(.*prior"):
        run_left_out(benches[:2], folder, rivals=("distance_gp", "random"), **OPTIONS)


def by_hand(benches, counts):
    """Three trials that reach the best function after the given evaluations."""
    runs = {}
    bench = benches[0]
    relu, best = bench.index("relu"), int(np.nanargmax(bench.score))
    others = np.full(40, relu)
    for task, kinds in counts.items():
        for begins, regressors in kinds.items():
            trials = {
                (name, "both"): [
                    np.array([relu, *others[: count - 2], best] if count else [relu, *others[:29]])
                    for count in each
                ]
                for name, each in regressors.items()
            }
            target = float(0.01 * bench.score[relu] + 0.99 * bench.score[best])
            runs[task, begins] = BenchRun(bench, 30, relu, relu, target, trials)
    return LeftOut(runs, {task: ["relu(x)"] for task in counts}, 3, 30)


def test_the_verdict_by_hand(benches):
    """Never is 0 here. Intervals of three equal counts are that count."""
    found = by_hand(
        benches,
        {
            "a": {"atlas": {"distance_gp": [9, 9, 9]}, "scratch": {"distance_gp": [20, 20, 20]}},
            "b": {"atlas": {"distance_gp": [12, 12, 12]}, "scratch": {"distance_gp": [9, 12, 0]}},
            "c": {"atlas": {"distance_gp": [0, 0, 9]}, "scratch": {"distance_gp": [0, 0, 0]}},
        },
    )
    assert found.over_tasks("distance_gp", "atlas")[0] == 12
    assert found.over_tasks("distance_gp", "scratch")[0] == 20
    assert found.separated("distance_gp", "distance_gp") == ["a"]
    row = found.table()[-2]
    assert (row.task, row.begins, row.evaluations) == ("c", "atlas", np.inf)
    assert row.never == pytest.approx(2 / 3) and row.gains[-1] == pytest.approx(1 / 3)
    lines = found.verdict()
    assert "12 evaluations in the median over tasks, 20 or fewer: reached" in lines[0]
    assert "intervals apart on 1 of 3 tasks (a)" in lines[-1]
    assert json.loads(json.dumps(found.to_dict()))["rows"][-1]["evaluations"] is None
    slow = by_hand(benches, {"a": {k: {"distance_gp": [25] * 3} for k in ("atlas", "scratch")}})
    assert "20 or fewer: not reached" in slow.verdict()[0]


def test_a_tie_with_the_best_is_within_the_noise(benches):
    """Three seeds of each function, their spread being `noise` by construction."""
    bench, noise = benches[0], 0.006
    score = bench.score
    runs = bench.runs["validation_accuracy"] + noise * np.array([-1.0, 0.0, 1.0])
    seeds = dataclasses.replace(
        bench,
        runs={name: runs for name in bench.runs},
        seeds=(0, 1, 2),
        diverged=None,
    )
    assert seeds.noise == pytest.approx(noise)
    near = np.flatnonzero(score >= score.max() - noise)
    far = np.flatnonzero(score < score.max() - noise)
    relu, best = bench.index("relu"), int(np.argmax(score))
    second = next(row for row in near if row != best)
    rows = np.array([relu, *far[:2], second, *far[2:5], best])
    trials = {("distance_gp", "both"): [rows] * 3}
    every = {("a", k): BenchRun(seeds, 9, relu, relu, 0.9, trials) for k in ("atlas", "scratch")}
    found = LeftOut(every, {"a": ["relu(x)"]}, 3, 9)
    row = found.table()[0]
    assert (row.tied, row.evaluations) == (4, 8)
    assert found.over_tasks("distance_gp", "atlas")[4] == 4
    one_seed = by_hand(benches, {"a": {k: {"distance_gp": [5] * 3} for k in ("atlas", "scratch")}})
    assert np.isnan(one_seed.table()[0].tied) and "?" in one_seed.text()
    assert one_seed.to_dict()["rows"][0]["tied"] is None


def test_the_interval_of_a_median():
    assert median_interval(np.array([4.0, 4.0, np.inf])) == (4.0, np.inf)
    values = np.random.default_rng(0).exponential(size=400)
    low, high = median_interval(values)
    ranks = np.searchsorted(np.sort(values), [low, high])
    # The binomial's 95 % interval of the rank of the median: 200 ± 1.96 √100.
    np.testing.assert_allclose(ranks, [180, 219], atol=3)


def test_one_task_is_not_enough(benches):
    with pytest.raises(ValueError, match=r"two benchmarks or more\. Received: one"):
        run_left_out(benches[:1])


def test_the_command_and_its_picture(left_out, benches, monkeypatch, tmp_path):
    by_name = {bench.name: bench for bench in benches}
    monkeypatch.setattr(packed, "bench", by_name.get)
    monkeypatch.setattr(packed, "bench_names", lambda: tuple(by_name))
    words = ["bench", "run", "--leave-one-out", "--trials", "1", "--budget", "9", "--rivals"]
    words += ["random", "--embedding", "pca", "--workers", "1", "--output", str(tmp_path)]
    result = CliRunner().invoke(build_app(), words)
    assert result.exit_code == 0, result.output
    assert "3 tasks, each left out in turn; 1 trials" in result.output
    assert (tmp_path / "left_out.png").stat().st_size > 1000
    result = CliRunner().invoke(build_app(), [*words, "--features", "both"])
    assert "Received: --features" in str(result.exception)
    found, _ = left_out
    axes = draw_left_out(found).axes
    assert [panel.get_title() for panel in axes[:3]] == ["one", "two", "three"]
    curve = axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(
        curve, found.gain_curve("one", "atlas", "distance_gp", "both").mean(0)
    )
