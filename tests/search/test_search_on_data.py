"""A search that trains by itself."""

import html
import warnings

import keras
import numpy as np
import optuna
import pytest
from keras import layers
from small_search import build, points

from keras_actfn import activation, search
from keras_actfn.expressions import SearchSpace
from keras_actfn.training import Task

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE = SearchSpace(
    ["binary(unary(x),unary(x))"],
    unary=["identity", "relu", "tanh", "square", "zero"],
    binary=["add", "max"],
)
OPTIONS = {"embedding": "pca", "from_scratch": True, "baselines": ("relu", "tanh"), "probes": 4}


def task_on_points(**options):
    return Task(build, points(300, 1), 60, points(90, 2), batch_size=30, **options)


def test_training_on_data(tmp_path):
    task = task_on_points(epochs=4)
    found = search.ActivationSearch(task, SPACE, storage=tmp_path / "search.db", **OPTIONS)
    found.run(3)
    rows = found.table()
    assert len(rows) == 3 and all(0 <= row.value <= 1 for row in rows)
    # Three classes at this distance: a linear rule finds nine of ten.
    assert found.best.value > 0.6
    assert found.about["validation_examples"] == 60


@pytest.mark.once
def test_a_verdict_on_data(tmp_path):
    task = task_on_points(epochs=4)
    found = search.ActivationSearch(task, SPACE, storage=tmp_path / "search.db", **OPTIONS)
    found.run(3)
    verdict = found.confirm(candidates=1, looks=(2,))
    rows = found.table()
    others = [row.expression for row in rows if not row.baseline]
    assert verdict.function == others[0] and verdict.usual in ("relu(x)", "tanh(x)")
    assert verdict.screening.seeds[0] == 1  # the search's own was 0
    assert verdict.test.settings["test_examples"] == 90 and len(verdict.test.runs) == 4
    page = found.report(tmp_path / "report.html", verdict).read_text(encoding="utf-8")
    assert html.escape(verdict.text) in page


def test_a_diverged_training_has_no_value():
    for metric in ("accuracy", "loss"):
        task = Task(build, points(60, 1), 12, batch_size=20, metric=metric)
        found = search.TrainingObjective(task)("exp(exp(exp(x)))")
        assert (found.value, found.diverged) == (None, True)


def test_reporting_changes_no_training():
    objective = search.TrainingObjective(task_on_points(epochs=3))
    reported = {}
    alone = objective("tanh(x)")
    measured = objective("tanh(x)", lambda epoch, value: reported.update({epoch: value}))
    assert measured.value == alone.value
    assert measured.details["metrics"] == pytest.approx(alone.details["metrics"], rel=1e-6)
    shorter = search.TrainingObjective(task_on_points(epochs=2))
    assert reported.keys() == {1, 2}
    assert reported[2] == shorter("tanh(x)").value


def regression(spec):
    model = keras.Sequential([keras.Input((10,)), layers.Dense(12), activation(spec)])
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return model


@pytest.mark.once
def test_regression_with_early_stopping(tmp_path):
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    x, y = (x / x.std(0)).astype("float32"), ((y - y.mean()) / y.std()).astype("float32")
    task = Task(
        regression,
        (x[:250], y[:250]),
        (x[250:350], y[250:350]),
        (x[350:], y[350:]),
        epochs=3,
        batch_size=50,
        callbacks=lambda: [keras.callbacks.EarlyStopping(patience=1, restore_best_weights=True)],
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "The model has no Fisher spectrum")
        found = search.ActivationSearch(task, SPACE, storage=tmp_path / "search.db", **OPTIONS)
    best = found.run(4)
    values = [row.value for row in found.table()]
    assert values == sorted(values) and best.value == values[0] == found.study.best_value
    assert found.study.direction == optuna.study.StudyDirection.MINIMIZE
    assert found.store.load().cdfs.shape[1] > 0 and found.about["spectra"] == "exact"
    assert {"loss", "mae"} == set(found.study.best_trial.user_attrs["metrics"])
    verdict = found.confirm(candidates=1, looks=(2,))
    assert verdict.test.criterion.metric == "mae" and verdict.test.part == "test"


class Pairs(keras.utils.PyDataset):
    """Batches of two inputs, a target for each of two outputs, and weights."""

    def __init__(self, seed):
        super().__init__()
        rng = np.random.default_rng(seed)
        self.x = {"a": rng.normal(size=(48, 3)), "b": rng.normal(size=(48, 2))}
        self.y = (self.x["a"][:, :1] > self.x["b"][:, 1:]).astype("float32")
        self.weights = rng.uniform(0.5, 1, size=48)

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(16 * index, 16 * (index + 1))
        y, weights = self.y[rows], self.weights[rows]
        return {name: x[rows] for name, x in self.x.items()}, (y, 2 * y), (weights, weights)


def two_of_each(spec):
    inputs = {"a": keras.Input((3,), name="a"), "b": keras.Input((2,), name="b")}
    x = layers.Concatenate()([layers.Dense(6)(inputs["a"]), inputs["b"]])
    x = activation(spec)(x)
    model = keras.Model(inputs, (layers.Dense(1, "sigmoid", name="p")(x), layers.Dense(1)(x)))
    weighted = [[keras.metrics.AUC()], []]
    model.compile("adam", ["binary_crossentropy", "mae"], weighted_metrics=weighted)
    return model


@pytest.mark.once
def test_a_model_without_a_spectrum_is_searched_by_outputs(tmp_path):
    task = Task(two_of_each, lambda: Pairs(0), lambda: Pairs(1), metric="p_auc")
    with pytest.warns(UserWarning, match="has no Fisher spectrum: .* outputs alone") as said:
        found = search.ActivationSearch(task, SPACE, storage=tmp_path / "search.db", **OPTIONS)
        found.run(3)
    assert len([w for w in said if "no Fisher spectrum" in str(w.message)]) == 1
    rows = found.table()
    assert len(rows) == 3 and all(0 <= row.value <= 1 for row in rows)
    assert found.store.load().cdfs.shape == (6, 0) and found.about["spectra"] == "none"
    assert found.suggest() is not None
    assert "with finite outputs" in found.report(tmp_path / "report.html").read_text("utf-8")
