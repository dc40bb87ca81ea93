"""One run: what it measures and when, and what a diverged run looks like."""

import keras
import numpy as np
import pytest

from keras_actfn import activation
from keras_actfn.training.setup import Setup
from keras_actfn.training.trainer import Trainer

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 4)).astype("float32"), np.arange(40) % 2


def build(spec):
    layers = [keras.layers.Dense(8), activation(spec), keras.layers.Dense(2, "softmax")]
    return keras.Sequential([keras.Input((4,)), *layers])


def setup(**options):
    return Setup.of(build, ((X, Y), (X[:10], Y[:10])), batch_size=8, validation=12, **options)


def test_early_reports_change_nothing_and_the_validation_part_is_measured_as_asked():
    seen = []
    often = Trainer(setup(epochs=2)).train_once("relu", 3, after_epoch=lambda *e: seen.append(e))
    once = Trainer(setup(epochs=2)).train_once("relu", 3, validate_every_epoch=False)
    assert [epoch for epoch, _ in seen] == [1, 2]
    assert len(often.arrays["validation_loss"]) == 2 and len(once.arrays["validation_loss"]) == 1
    assert once.arrays["validation_loss"][-1] == pytest.approx(seen[-1][1]["loss"], rel=1e-5)
    assert once.test_loss == pytest.approx(often.test_loss, rel=1e-5)
    assert once.validation_accuracy == seen[-1][1]["accuracy"]


@pytest.mark.once
def test_runs_of_a_seed_do_not_depend_on_what_the_trainer_did_before():
    trainer = Trainer(setup())
    used = [trainer.train_once(*run).test_loss for run in (("tanh", 0), ("relu", 1), ("relu", 0))]
    assert used[2] == pytest.approx(Trainer(setup()).train_once("relu", 0).test_loss, rel=1e-6)


@pytest.mark.once
def test_without_a_test_part_nothing_is_tested():
    whole = setup()
    split = whole.split.without_test()
    result = Trainer(Setup(build, split, whole.recipe, 1, 8)).train_once("relu", 0)
    assert result.test_accuracy is None and result.test_loss is None and not result.diverged
    assert 0 <= result.validation_accuracy <= 1 and split.classes == 2


@pytest.mark.parametrize("part", ["training", "validation", "test", "last step"])
def test_no_finished_run_ranks_behind_a_diverged_one(part):
    """Not even one whose loss is worse than guessing and which is never right."""
    x_train, x_test = X.copy(), X[:10].copy()
    found = Setup.of(build, ((x_train, Y), (x_test, Y[:10])), batch_size=28, validation=12)
    spec = "tanh"  # the ReLU of TensorFlow on processors makes 0 of NaN
    if part == "last step":  # finite losses, and an update to NaN that the training never sees
        found = Setup(found.build_model, found.split, _exploding(), 1, 28)
    else:
        name = {"training": "x_train", "validation": "x_validation", "test": "x_test"}[part]
        getattr(found.split, name)[:] = np.nan
    result = Trainer(found).train_once(spec, 0)
    assert result.diverged
    assert (result.test_accuracy, result.test_loss) == (0.0, np.inf)
    assert result.validation_accuracy == 0.0 and result.arrays["validation_loss"][-1] == np.inf


def _exploding():
    from keras_actfn.training import Recipe

    return Recipe("exploding", lambda: keras.optimizers.SGD(float("inf")))
