"""What a search looks for, and the inputs it probes with."""

import numpy as np
import pytest
from small_search import MODEL

from keras_actfn.search.objective import FunctionObjective, TrainingObjective, objective_of
from keras_actfn.training import Task

pytestmark = pytest.mark.once

WITHIN: dict = {}
exec(MODEL, WITHIN)


def images(n, seed):
    rng = np.random.default_rng(seed)
    return rng.random((n, 8, 8, 1), "float32") ** 2, np.arange(n) % 4


def objective(build=WITHIN["build"], **options):
    task = Task(build, images(80, 0), 20, images(20, 1), batch_size=8, **options)
    return TrainingObjective(task)


def test_inputs_are_those_of_the_training_part():
    found = objective(subset=40)
    examples = found.inputs(12, seed=0)
    assert examples.x.shape == (12, 8, 8, 1) and np.bincount(examples.y).tolist() == [3, 3, 3, 3]
    rows = {row.tobytes() for row in found.task.data.train.x}
    assert len(rows) == 40 and all(row.tobytes() in rows for row in examples.x)
    assert rows < {row.tobytes() for row in images(80, 0)[0]}


def test_inputs_are_standardised_as_in_training():
    x = objective(recipe="aquasurf_cifar").inputs(60, seed=0).x
    assert x.mean() == pytest.approx(0, abs=1e-4) and x.std() == pytest.approx(1, abs=1e-3)


def test_inputs_are_cropped_as_in_training():
    import keras

    def build(spec):
        layers = [keras.layers.Flatten(), keras.layers.Dense(4, "softmax")]
        return keras.Sequential([keras.Input((7, 7, 1)), *layers])

    found = objective(build, recipe="hull_alexnet")
    x = found.inputs(60, seed=0).x
    side = x.shape[1]
    assert side == round(8 * 227 / 256) < 8
    start = (8 - side) // 2
    train = found.task.data.train.x
    expected = 255 * (train - train.mean())
    crops = expected[:, start : start + side, start : start + side]
    assert any(np.allclose(x[0], crop, atol=1e-2) for crop in crops)


def test_inputs_of_an_objective_come_from_its_data():
    x = images(5, 0)[0]
    task = Task(len, x, objective=len, mode="max")
    found = FunctionObjective(task).inputs(9, 0)
    assert {row.tobytes() for row in found.x} == {row.tobytes() for row in x} and found.y is None

    def batches():
        for start in range(0, 80, 3):
            yield {"a": x[:3] + start}, np.arange(3)

    found = FunctionObjective(Task(len, batches, objective=len, mode="max")).inputs(7, 0)
    expected = np.concatenate([x[:3], x[:3] + 3, x[:1] + 6])
    np.testing.assert_array_equal(found.x["a"], expected)
    assert found.y.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_an_objective_returns_a_number():
    def of(function):
        return FunctionObjective(Task(len, objective=function, mode="min"))("relu")

    assert of(lambda text: np.float32(0.5)).value == 0.5
    for bad in (np.inf, -np.inf, np.nan):
        failed = of(lambda text, bad=bad: bad)
        assert (failed.value, failed.diverged) == (None, True)
    with pytest.raises(ValueError, match=r"returns one number.*Received: 'good' for 'relu'"):
        of(lambda text: "good")


def test_settings_tell_objectives_apart():
    model = WITHIN["build"]("relu")
    changes = [{}, {"subset": 40}, {"epochs": 2}, {"recipe": "hull"}, {"metric": "loss"}]
    found = [str(objective(**change).settings(model)) for change in changes]
    assert len(set(found)) == len(found) and found[0] == str(objective().settings(model))
    settings = objective_of(Task(len, objective=len, mode="max"), 0).settings(model)
    assert (settings["objective"], settings["mode"]) == ("len", "max")
