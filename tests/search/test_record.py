"""Names of searches, and how spectra are computed where nobody says."""

import subprocess
import sys

import keras
import numpy as np
import optuna
import pytest
from processes import ANY_BACKEND
from small_search import build, distance_to_softplus, points, task_of

from keras_actfn import applications, datasets, search
from keras_actfn.expressions import SearchSpace, three_node
from keras_actfn.search.record import default_mode, study_name
from keras_actfn.training import Task

pytestmark = pytest.mark.once

optuna.logging.set_verbosity(optuna.logging.WARNING)
SPACE = SearchSpace(["unary(x)"], unary=["relu", "tanh", "square"])


def open_search(task=None, **options):
    task = task_of(distance_to_softplus, points(32, 1)[0]) if task is None else task
    return search.ActivationSearch(
        task, SPACE, embedding="pca", from_scratch=True, baselines=("relu",), probes=2, **options
    )


def test_searches_in_one_folder_do_not_meet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def training(**options):
        return Task(build, points(90, 1), batch_size=16, **options)

    searches = [
        open_search(),
        open_search(seed=1),
        open_search(task_of(distance_to_softplus, points(20, 3)[0])),
        open_search(training()),
        open_search(training(epochs=2)),
        open_search(training(subset=60)),
        open_search(training(epochs=2), pruner="median"),
    ]
    names = [found.study.study_name for found in searches]
    assert len(set(names)) == len({found.output for found in searches}) == len(searches)
    assert all(found.output.parent.as_posix() == "runs/search" for found in searches)
    assert names[0].startswith("sequential-distance_to_softplus-space-")
    assert names[3].startswith("sequential-data-space-")
    searches[0].run(2)
    again = open_search()
    assert again.study.study_name == names[0] and len(again.table()) == 2


def test_the_name_of_a_dataset_a_model_and_a_space(tmp_path):
    task = Task(
        lambda activation: applications.LeNet5(activation=activation),
        datasets.digits(image_size=28),
        subset=200,
    )
    found = search.ActivationSearch(task, three_node(), storage=tmp_path / "all.db")
    name = found.study.study_name
    assert name.startswith("lenet5-digits-three_node-") and len(name) == 31
    assert found.output == tmp_path / f"all-{name}"
    assert found.about["train_examples"] == 200 and found.about["functions"] == 5103


def test_names_hold_nothing_that_a_folder_cannot():
    about = {"model": "my model/2", "data": "<lambda>", "space": "…"}
    assert study_name(about, {}).rpartition("-")[0] == "my_model_2-lambda-unnamed"


def language_model(activation):
    tokens = keras.Input((5,), dtype="int32")
    x = keras.layers.Embedding(7, 12)(tokens)
    x = keras.layers.Dense(16, activation=activation)(x)
    return keras.Model(tokens, keras.layers.Dense(7, activation="softmax")(x))


def test_outputs_with_positions_have_sampled_spectra_by_default(tmp_path):
    assert default_mode(language_model("relu")) == "sampled"
    assert default_mode(build("relu")) == "exact"

    def open_with(name, **options):
        return search.ActivationSearch(
            task_of(distance_to_softplus, np.arange(40).reshape(8, 5) % 7, language_model),
            SPACE,
            storage=tmp_path / f"{name}.db",
            baselines=("relu",),
            from_scratch=True,
            **options,
        )

    assert open_with("a").store.key["mode"] == "sampled"
    assert open_with("b", mode="exact").store.key["mode"] == "exact"


def test_without_optuna_the_extra_is_named(tmp_path):
    program = "import sys; sys.modules['optuna'] = None; import keras_actfn.search"
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=ANY_BACKEND)
    assert "ImportError" in ended.stderr and "keras-actfn[search]" in ended.stderr
