"""The monitor turns running means back into steps; keys change with what they stand for."""

import numpy as np
import pytest

from keras_actfn.training.fingerprints import data_fingerprint, key_of
from keras_actfn.training.fit_monitor import FitMonitor
from keras_actfn.training.monitor import RunMonitor

pytestmark = pytest.mark.once


class Model:
    stop_training = False


def run_monitor(*epochs, **options):
    """A monitor that has seen epochs of (losses, accuracies), as Keras hands them out."""
    monitor = RunMonitor(**options)
    monitor.set_model(Model())
    for epoch, (losses, accuracies) in enumerate(epochs):
        monitor.on_epoch_begin(epoch)
        for step in range(len(losses)):
            logs = {
                "loss": np.mean(losses[: step + 1]),
                "accuracy": np.mean(accuracies[: step + 1]),
            }
            monitor.on_train_batch_end(step, logs)
        monitor.on_epoch_end(epoch, {"loss": 0.5})
    return monitor


def test_curves_are_the_values_of_the_steps():
    rng = np.random.default_rng(0)
    losses, accuracies = rng.random((2, 7)), rng.random((2, 7))
    monitor = run_monitor(*zip(losses, accuracies, strict=True))
    step, loss, accuracy = monitor.curves().values()
    np.testing.assert_array_equal(step, np.arange(1, 15))
    np.testing.assert_allclose(loss, losses.ravel(), rtol=1e-10)
    np.testing.assert_allclose(accuracy, accuracies.ravel(), rtol=1e-10)
    step, loss, _ = monitor.curves(points=7).values()
    np.testing.assert_array_equal(step, np.arange(2, 15, 2))
    np.testing.assert_allclose(loss, losses.reshape(-1, 2).mean(1), rtol=1e-10)


def test_nan_stops_training():
    monitor = run_monitor(([1.0, np.nan], [0.5, 0.5]))
    assert monitor.diverged and monitor.model.stop_training
    assert not run_monitor(([1.0, 2.0], [0.5, 0.5])).diverged


def test_what_follows_the_first_step_that_is_not_finite_is_left_out(monkeypatch):
    """A monitor that does not look at every step sees it late, and reports the same."""
    monkeypatch.setattr("keras_actfn.training.fit_monitor._LOOK_SECONDS", np.inf)
    losses = [1.0, 2.0, 3.0, 4.0, np.inf, 1.0, 1.0]
    counts = []
    monitor = run_monitor((losses, [0.5] * 7), on_step=counts.append)
    assert monitor.diverged and monitor.steps == 5 and counts == [1] * 7
    found = monitor.curves()
    assert found["step"].tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(found["loss"], losses[:5], rtol=1e-12)


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


def fit_monitor(clock, monkeypatch, epochs=2, **options):
    """A `FitMonitor` that has seen epochs of four executions of two steps, a second a step."""
    monkeypatch.setattr("keras_actfn.training.fit_monitor.time.perf_counter", lambda: clock[0])
    monitor = FitMonitor(0, None, **options)
    monitor.set_model(Model())
    for epoch in range(epochs):
        monitor.on_epoch_begin(epoch)
        for batch in (1, 3, 5, 7):
            clock[0] += 2.0 if epoch or batch > 1 else 60.0  # the first one compiles
            monitor.on_train_batch_end(batch, {"loss": 0.5})
        monitor.on_test_begin()
        clock[0] += 30.0  # the validation's
        monitor.on_test_batch_end(0)
        monitor.on_test_end()
        monitor.on_epoch_end(epoch, {"loss": 0.5 - epoch, "val_loss": 0.25, "val_mae": epoch})
    return monitor


def test_steps_are_counted_and_timed_without_compilation_and_validation(monkeypatch):
    counts = []
    monitor = fit_monitor([0.0], monkeypatch, on_step=counts.append)
    assert counts == [2] * 8 and monitor.steps == 16
    assert monitor.step_seconds() == 1.0
    curves = monitor.curves()
    assert list(curves) == ["step", "loss", "validation_epoch", "validation_loss", "validation_mae"]
    assert curves["step"].tolist() == [8, 16] and curves["loss"].tolist() == [0.5, -0.5]
    assert curves["validation_mae"].tolist() == [0, 1]
    assert FitMonitor(0, None).step_seconds() is None


def test_a_report_after_each_epoch_and_none_after_a_divergence(monkeypatch):
    seen = []
    monitor = fit_monitor([0.0], monkeypatch, after_epoch=lambda *found: seen.append(found))
    assert seen == [(1, {"loss": 0.25, "mae": 0.0}), (2, {"loss": 0.25, "mae": 1.0})]
    monitor.on_epoch_begin(2)
    monitor.on_train_batch_end(0, {"loss": 0.5})
    monitor.on_epoch_end(2, {"loss": 0.5, "val_loss": np.inf})
    assert monitor.diverged and monitor.model.stop_training and len(seen) == 2
