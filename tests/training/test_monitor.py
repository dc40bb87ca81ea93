"""The monitor turns running means back into steps; keys change with what they stand for."""

import numpy as np
import pytest

from keras_actfn.training.fingerprints import data_fingerprint, key_of
from keras_actfn.training.monitor import RunMonitor

pytestmark = pytest.mark.once


class Model:
    stop_training = False


def run_monitor(*epochs):
    """A monitor that has seen epochs of (losses, accuracies), as Keras hands them out."""
    monitor = RunMonitor()
    monitor.set_model(Model())
    for epoch, (losses, accuracies) in enumerate(epochs):
        monitor.on_epoch_begin(epoch)
        for step in range(len(losses)):
            logs = {
                "loss": np.mean(losses[: step + 1]),
                "accuracy": np.mean(accuracies[: step + 1]),
            }
            monitor.on_train_batch_end(step, logs)
    return monitor


def test_curves_are_the_values_of_the_steps():
    rng = np.random.default_rng(0)
    losses, accuracies = rng.random((2, 7)), rng.random((2, 7))
    monitor = run_monitor(*zip(losses, accuracies, strict=True))
    step, loss, accuracy = monitor.curves()
    np.testing.assert_array_equal(step, np.arange(1, 15))
    np.testing.assert_allclose(loss, losses.ravel(), rtol=1e-10)
    np.testing.assert_allclose(accuracy, accuracies.ravel(), rtol=1e-10)
    step, loss, _ = monitor.curves(points=7)
    np.testing.assert_array_equal(step, np.arange(2, 15, 2))
    np.testing.assert_allclose(loss, losses.reshape(-1, 2).mean(1), rtol=1e-10)


def test_nan_stops_training():
    monitor = run_monitor(([1.0, np.nan], [0.5, 0.5]))
    assert monitor.diverged and monitor.model.stop_training
    assert not run_monitor(([1.0, 2.0], [0.5, 0.5])).diverged


def test_step_seconds_are_the_median_between_ends_without_the_first_two(monkeypatch):
    ends = iter([0.0, 9.0, 14.0, 15.0, 17.0, 50.0, 53.0])
    monkeypatch.setattr("keras_actfn.training.monitor.time.perf_counter", lambda: next(ends))
    monitor = run_monitor(([1.0] * 5, [1.0] * 5), ([1.0] * 2, [1.0] * 2))
    assert monitor.step_seconds() == 2.0  # of 1, 2 and 3
    assert RunMonitor().step_seconds() is None


def test_keys():
    settings = {"epochs": 1, "recipe": {"name": "adam"}}
    assert key_of(settings) == key_of(dict(reversed(settings.items())))
    assert key_of(settings) != key_of({**settings, "epochs": 2})
    assert key_of(settings) != key_of({**settings, "recipe": {"name": "hull"}})


def test_data_fingerprint_sees_values_shapes_dtypes_and_order():
    x = np.arange(6, dtype="float32")
    changed = [x.reshape(2, 3), x.astype("float64"), x[::-1], x + np.float32(1e-6)]
    prints = {data_fingerprint(array) for array in [x, *changed]}
    assert len(prints) == 5
    assert data_fingerprint(x[::2]) == data_fingerprint(x[::2].copy())
