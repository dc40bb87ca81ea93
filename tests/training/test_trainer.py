"""One run: what it measures and when, and what a diverged run looks like."""

import keras
import numpy as np
import pytest

from keras_actfn import activation
from keras_actfn.training import Task
from keras_actfn.training.trainer import Trainer

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 4)).astype("float32"), np.arange(40) % 2


def build(spec):
    layers = [keras.layers.Dense(8), activation(spec), keras.layers.Dense(2, "softmax")]
    return keras.Sequential([keras.Input((4,)), *layers])


def task(**options):
    data = {"train": (X, Y), "validation": 12, "test": (X[:10], Y[:10])}
    return Task(build, **{**data, "batch_size": 8, **options})


def test_early_reports_change_nothing_and_the_validation_part_is_measured_as_asked():
    seen = []
    often = Trainer(task(epochs=2)).train_once("relu", 3, after_epoch=lambda *e: seen.append(e))
    once = Trainer(task(epochs=2)).train_once("relu", 3, validate_every_epoch=False)
    assert [epoch for epoch, _ in seen] == [1, 2]
    assert len(often.arrays["validation_loss"]) == 2 and len(once.arrays["validation_loss"]) == 1
    assert once.arrays["validation_loss"][-1] == pytest.approx(seen[-1][1]["loss"], rel=1e-5)
    assert once.test == pytest.approx(often.test, rel=1e-5)
    assert once.validation["accuracy"] == seen[-1][1]["accuracy"]


@pytest.mark.once
def test_runs_of_a_seed_do_not_depend_on_what_the_trainer_did_before():
    trainer = Trainer(task())
    used = [
        trainer.train_once(*run).test["loss"] for run in (("tanh", 0), ("relu", 1), ("relu", 0))
    ]
    assert used[2] == pytest.approx(Trainer(task()).train_once("relu", 0).test["loss"], rel=1e-6)


@pytest.mark.once
def test_without_a_test_part_nothing_is_tested():
    result = Trainer(task().without_test()).train_once("relu", 0)
    assert result.test is None and not result.diverged
    assert 0 <= result.validation["accuracy"] <= 1


PARTS = ("train", "validation", "test")


@pytest.mark.parametrize("part", [*PARTS, "last step"])
def test_no_finished_run_ranks_behind_a_diverged_one(part):
    """Not even one whose loss is worse than guessing and which is never right."""
    parts = {name: X[i * 12 : (i + 1) * 12].copy() for i, name in enumerate(PARTS)}
    recipe = None
    if part == "last step":  # finite losses, and an update to NaN that the training never sees
        recipe = _exploding()
    else:
        parts[part][:] = np.nan
    data = {name: (x, Y[:12]) for name, x in parts.items()}
    spec = "tanh"  # the ReLU of TensorFlow on processors makes 0 of NaN
    result = Trainer(task(**data, batch_size=12, recipe=recipe)).train_once(spec, 0)
    assert result.diverged
    assert result.test == {"accuracy": 0.0, "loss": np.inf}
    assert result.validation["accuracy"] == 0.0 and result.arrays["validation_loss"][-1] == np.inf


def _exploding():
    from keras_actfn.training import Recipe

    return Recipe("exploding", lambda: keras.optimizers.SGD(float("inf")))
