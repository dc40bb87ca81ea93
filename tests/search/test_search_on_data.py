"""A search that trains by itself, on every backend."""

import numpy as np
import optuna
from small_search import build, points

from keras_actfn import search
from keras_actfn.expressions import SearchSpace

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE = SearchSpace(
    ["binary(unary(x),unary(x))"],
    unary=["identity", "relu", "tanh", "square", "zero"],
    binary=["add", "max"],
)


def test_training_on_data(tmp_path):
    found = search.ActivationSearch(
        build,
        (points(300, 1), points(90, 2)),
        SPACE,
        storage=tmp_path / "search.db",
        embedding="pca",
        baselines=("relu", "tanh"),
        probes=4,
        epochs=4,
        batch_size=30,
        validation=60,
    )
    found.run(4)
    rows = found.table()
    assert len(rows) == 4 and all(0 <= row.value <= 1 for row in rows)
    # Three classes at this distance: a linear rule finds nine of ten.
    assert found.best.value > 0.6
    assert found.objective.settings()["validation_images"] == 60
    comparison = found.retrain(seeds=2)
    baseline = next(row for row in rows if row.baseline)
    assert comparison.activations[0] == baseline.expression
    assert len(comparison.activations) == 2  # also where the best function is the baseline
    assert len(comparison.runs) == 4
    assert comparison.settings["test_examples"] == 90


def test_a_diverged_training_has_no_value():
    for metric in ("accuracy", "loss"):
        objective = search.TrainingObjective(
            build, (points(60, 1), points(30, 2)), batch_size=20, validation=12, metric=metric
        )
        found = objective("exp(exp(exp(x)))")
        assert (found.value, found.diverged) == (None, True)
        assert found.details.keys() == {"seconds"}


def test_reporting_changes_no_training():
    objective = search.TrainingObjective(
        build, (points(300, 1), points(90, 2)), epochs=3, batch_size=30, validation=60
    )
    reported = {}
    alone = objective("tanh(x)")
    measured = objective("tanh(x)", lambda epoch, value: reported.update({epoch: value}))
    assert measured.value == alone.value
    np.testing.assert_allclose(measured.details["loss"], alone.details["loss"], rtol=1e-6)
    shorter = search.TrainingObjective(
        build, (points(300, 1), points(90, 2)), epochs=2, batch_size=30, validation=60
    )
    assert reported.keys() == {1, 2}
    assert reported[2] == shorter("tanh(x)").value
