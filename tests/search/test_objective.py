"""What a search maximises, and the images it probes with."""

import numpy as np
import pytest

from keras_actfn.search.objective import (
    FunctionObjective,
    TrainingObjective,
    images_to_probe,
    objective_of,
)

pytestmark = pytest.mark.once


def images(n, seed):
    rng = np.random.default_rng(seed)
    return rng.random((n, 16, 16, 1), "float32") ** 2, np.arange(n) % 4


DATA = images(80, 0), images(20, 1)


def objective(**options):
    return TrainingObjective(lambda spec: None, DATA, validation=20, batch_size=8, **options)


def test_images_are_those_of_the_training_part():
    found = objective(subset=40)
    x, y = images_to_probe(found, None, 12, seed=0)
    assert x.shape == (12, 16, 16, 1) and np.bincount(y).tolist() == [3, 3, 3, 3]
    rows = {row.tobytes() for row in found.images}
    assert len(rows) == 40 and all(row.tobytes() in rows for row in x)
    assert rows < {row.tobytes() for row in DATA[0][0]}


def test_images_are_standardised_as_in_training():
    found = objective(recipe="aquasurf_cifar")
    x, _ = images_to_probe(found, None, 60, seed=0)
    assert x.mean() == pytest.approx(0, abs=1e-4) and x.std() == pytest.approx(1, abs=1e-3)


def test_images_are_cropped_as_in_training():
    found = objective(recipe="hull_alexnet")
    x, _ = images_to_probe(found, None, 60, seed=0)
    side = x.shape[1]
    assert side == round(16 * 227 / 256) < 16
    start = (16 - side) // 2
    expected = 255 * (found.images - found.images.mean())
    crops = expected[:, start : start + side, start : start + side]
    assert any(np.allclose(x[0], crop, atol=1e-2) for crop in crops)


def test_given_images_are_taken_as_they_are():
    x, y = images_to_probe(FunctionObjective(len), DATA[0][0][:5], 2, 0)
    np.testing.assert_array_equal(x, DATA[0][0][:5])
    assert y is None


def test_an_objective_returns_a_number():
    assert FunctionObjective(lambda text: np.float32(0.5))("relu").value == 0.5
    for bad in (np.inf, -np.inf, np.nan):
        failed = FunctionObjective(lambda text, bad=bad: bad)("relu")
        assert (failed.value, failed.diverged) == (None, True)
    with pytest.raises(ValueError, match=r"returns one number.*Received: 'good' for 'relu'"):
        FunctionObjective(lambda text: "good")("relu")


def test_settings_tell_objectives_apart():
    assert objective().settings() == objective().settings()
    for options in ({"subset": 40}, {"epochs": 2}, {"recipe": "hull"}, {"metric": "loss"}):
        assert objective(**options).settings() != objective().settings()
    assert objective_of(None, len, 0, {}).settings()["objective"] == "len"
