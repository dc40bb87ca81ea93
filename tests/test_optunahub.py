"""The packages for OptunaHub: what they give, with OptunaHub and without."""

import dataclasses
import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest

from keras_actfn import search

pytestmark = pytest.mark.once

optuna.logging.set_verbosity(optuna.logging.WARNING)

PACKAGES = Path(__file__).parents[1] / "integrations" / "optunahub" / "package"
NAMES = ("benchmarks/activation_functions", "samplers/pool")


def load(name):
    """A package as `optunahub.load_local_module` loads it."""
    path = PACKAGES / name / "__init__.py"
    spec = importlib.util.spec_from_file_location(
        f"hub_{path.parent.name}", path, submodule_search_locations=[str(path.parent)]
    )
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def problem():
    return load(NAMES[0]).Problem()


@pytest.mark.parametrize("name", NAMES)
def test_the_front_matter_is_as_the_registry_asks_for(name):
    text = (PACKAGES / name / "README.md").read_text(encoding="utf-8")
    head = dict(line.split(": ", 1) for line in text.split("---\n")[1].splitlines() if ": " in line)
    assert list(head) == ["author", "title", "description", "tags", "optuna_versions", "license"]
    assert name.split("/")[0].rstrip("s") in re.findall(r"[\w ]+", head["tags"])
    for section in ("## Abstract", "## APIs", "## Installation", "## Example"):
        assert f"\n{section}\n" in text


def test_the_problem_looks_the_benchmark_up(problem):
    bench = search.bench("fashion_cnn")
    ((name, distribution),) = problem.search_space.items()
    assert (distribution.low, distribution.high) == (0, len(bench) - 1)
    assert problem.directions == [optuna.study.StudyDirection.MAXIMIZE]
    assert problem.metric_names == ["validation_accuracy"]
    for number in (0, 700, len(bench) - 1):
        assert problem.evaluate({name: number}) == [bench.validation_accuracy[number]]
    relu = problem.number_of("max(x,0)")
    assert problem.functions[relu] == bench.functions[bench.index("relu")]
    assert problem.look_up("relu") == problem.evaluate({name: relu})


def test_a_seed_an_epoch_and_other_measures():
    bench, Problem = search.bench("fashion_cnn"), load(NAMES[0]).Problem
    seed = bench.seeds[1]
    problem = Problem(seed=seed, metric_names=["validation_accuracy", "test_loss"])
    trained = np.isfinite(bench.runs["seconds"][:, 1])
    assert len(problem.functions) == trained.sum() < len(bench)
    assert [d.name for d in problem.directions] == ["MAXIMIZE", "MINIMIZE"]
    row = bench.functions.index(problem.functions[3])
    expected = [bench.runs[name][row, 1] for name in problem.metric_names]
    assert problem.evaluate({"candidate": 3}) == expected


def test_a_value_on_the_way(monkeypatch):
    bench = search.bench("fashion_cnn")
    curves = np.random.default_rng(0).random((len(bench), len(bench.seeds), 3))
    kept = dataclasses.replace(bench, epoch_runs={"metric": curves})
    monkeypatch.setattr(search, "bench", lambda name: kept)
    problem = load(NAMES[0]).Problem(epoch=2)
    assert problem.evaluate({"candidate": 5}) == pytest.approx([np.median(curves[5, :, 1])])


def test_a_study_of_the_problem_with_the_sampler(problem):
    sampler = load(NAMES[1]).PoolSampler(problem.kernel(), seed=0)
    study = optuna.create_study(directions=problem.directions, sampler=sampler)
    ((name, distribution),) = problem.search_space.items()
    study.optimize(
        lambda trial: problem.evaluate({name: trial.suggest_int(name, 0, distribution.high)}), 12
    )
    assert len({trial.params[name] for trial in study.trials}) == 12
    assert study.best_value == max(
        problem.evaluate(trial.params)[0] for trial in study.get_trials(states=[_COMPLETE])
    )


_COMPLETE = optuna.trial.TrialState.COMPLETE


def test_bad_arguments():
    Problem = load(NAMES[0]).Problem
    for arguments, match in (
        ({"seed": 99}, r"seed is one of .* Received: 99"),
        ({"metric_names": ["f1"]}, r"metric_names are some of .*validation_accuracy.*'f1'"),
        ({"metric_names": []}, r"metric_names are some of .* Received: \[\]"),
        ({"epoch": 99}, r"epoch is one of those that .* Received: 99"),
        ({"epoch": 1, "metric_names": ["test_loss"]}, "keeps test_loss of: none. Received: 1"),
    ):
        with pytest.raises(ValueError, match=match):
            Problem(**arguments)
