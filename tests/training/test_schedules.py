"""Learning rates against their closed forms, and the recipes' against the papers' numbers."""

import keras
import numpy as np
import pytest

from keras_actfn.training import RECIPES
from keras_actfn.training.schedules import FrozenUntil, LinearWarmUpAndDecay

pytestmark = pytest.mark.once


def rates(schedule, steps):
    return [float(keras.ops.convert_to_numpy(schedule(step))) for step in steps]


def copy(schedule):
    return keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))


def test_linear_warm_up_and_decay():
    for schedule in (s := LinearWarmUpAndDecay(0.1, 4, 14), copy(s)):
        expected = [0.025, 0.05, 0.075, 0.1, 0.1, 0.09, 0.05, 0.01, 0.0, 0.0]
        steps = [0, 1, 2, 3, 4, 5, 9, 13, 14, 99]
        np.testing.assert_allclose(rates(schedule, steps), expected, atol=1e-7)


@pytest.mark.parametrize(("warmup", "total"), [(5, 5), (-1, 5), (6, 5)])
def test_linear_warm_up_and_decay_refuses(warmup, total):
    with pytest.raises(ValueError, match="fewer than all"):
        LinearWarmUpAndDecay(0.1, warmup, total)


@pytest.mark.parametrize("rate", [0.3, LinearWarmUpAndDecay(0.3, 0, 10)])
def test_frozen_until(rate):
    for schedule in (s := FrozenUntil(rate, 3), copy(s)):
        later = [0.3, 0.3] if isinstance(rate, float) else [0.21, 0.12]
        np.testing.assert_allclose(rates(schedule, [0, 2, 3, 6]), [0, 0, *later], atol=1e-7)


@pytest.mark.parametrize(
    ("name", "epochs", "start", "peak_epoch", "peak", "end"),
    [
        ("crrelu_vision", 100, 1e-6, 20, 2.5e-4, 1e-5),
        ("aquasurf_cifar", 25, 0.1 / 500, 5, 0.1, 0.0),
        ("aquasurf_cifar_resnet", 50, 0.1 / 500, 5, 0.1, 0.0),
        ("aquasurf_160", 105, 1e-4, 5, 4e-3, 1e-6),
        ("aquasurf_160_resnet50", 105, 1e-4, 5, 2e-3, 1e-6),
        ("aquasurf_160_coatnet", 105, 1e-4, 5, 4e-4, 1.6e-7),
    ],
)
def test_recipes_learning_rates(name, epochs, start, peak_epoch, peak, end):
    steps = 100
    for optimizer in RECIPES[name].optimizers(steps, epochs)[:2]:
        schedule = keras.optimizers.schedules.deserialize(optimizer.get_config()["learning_rate"])
        found = rates(schedule, [0, peak_epoch * steps, epochs * steps])
        np.testing.assert_allclose(found, [start, peak, end], rtol=1e-3, atol=1e-9)
        assert max(rates(schedule, range(0, epochs * steps, 500))) <= peak * (1 + 1e-6)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("epochs", [1, 3])
def test_short_trainings_have_a_short_warm_up(name, epochs):
    optimizer, *_ = RECIPES[name].optimizers(7, epochs)
    values = rates(lambda step: _rate(optimizer, step), range(7 * epochs))
    assert all(np.isfinite(values)) and max(values) > 0


def _rate(optimizer, step):
    rate = optimizer.get_config()["learning_rate"]
    if isinstance(rate, dict):
        return keras.optimizers.schedules.deserialize(rate)(step)
    return keras.ops.convert_to_tensor(rate)


def test_optimizers_of_the_papers():
    crrelu, activations, _ = RECIPES["crrelu_vision"].optimizers(10, 100)
    assert isinstance(crrelu, keras.optimizers.AdamW)
    assert (crrelu.weight_decay, crrelu.global_clipnorm) == (0.05, 1.0)
    assert activations.weight_decay == 0
    sgd, activations, _ = RECIPES["aquasurf_cifar"].optimizers(10, 50)
    assert isinstance(sgd, keras.optimizers.SGD)
    assert (sgd.momentum, sgd.weight_decay, activations.weight_decay) == (0.9, 1e-4, 0)
    adamw, activations, _ = RECIPES["aquasurf_160"].optimizers(10, 105)
    assert isinstance(adamw, keras.optimizers.AdamW)
    assert (adamw.weight_decay, activations.weight_decay) == (0.02, 0)
    adam, activations, biases = RECIPES["correlation"].optimizers(10, 20)
    found = [float(keras.ops.convert_to_numpy(o.learning_rate)) for o in (adam, activations)]
    assert found == pytest.approx([1e-3, 1e-2])
    assert biases is None
