"""The EAFO callback: entropy falls on the layer's own inputs, or nothing changes."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from keras_actfn.callbacks import EAFO
from keras_actfn.callbacks.eafo import steepest_region
from keras_actfn.layers import PWL
from keras_actfn.layers.knots import pwl_slopes, pwl_values


def make_data(samples=512):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(samples, 6)).astype("float32")
    return x, (x[:, 0] > 0).astype("float32")


def make_model(learning_rate=0.0, **pwl):
    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [
            keras.layers.Input((6,)),
            keras.layers.Dense(8),
            keras.layers.BatchNormalization(center=False, scale=False),
            PWL(knots=17, name="first", **pwl),
            keras.layers.Dense(2),
            PWL(knots=9, axis=-1, name="second", initial="tanh", extrapolation="clamp"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.SGD(learning_rate), "mse")
    return model


def knots_of(model, name):
    return ops.convert_to_numpy(model.get_layer(name).values).astype(np.float64)


def first_inputs(model, x):
    kernel, bias = (ops.convert_to_numpy(w) for w in model.layers[0].weights)
    h = x @ kernel + bias
    return ((h - h.mean(0)) / np.sqrt(h.var(0) + model.layers[1].epsilon)).ravel()


@pytest.fixture(scope="module")
def stepped():
    x, y = make_data()
    model = make_model()
    before = {name: knots_of(model, name) for name in ("first", "second")}
    callback = EAFO(x, step=0.4, batch_size=len(x), samples=len(x) * 8)
    history = model.fit(x, y, batch_size=256, verbose=0, callbacks=[callback]).history
    return model, callback, before, history, x


def test_the_recorded_change_is_the_change_on_the_layers_inputs(stepped):
    model, callback, before, history, x = stepped
    (record,) = [r for r in callback.records if r.layer == "first"]
    assert record.accepted and record.entropy_change < 0
    assert 0 < record.step < record.max_step
    # From ReLU the monotone region is the right half, up to infinity.
    assert record.region == (0.0, np.inf)
    inputs = first_inputs(model, x)
    inside = inputs[inputs > 0]
    knots = model.get_layer("first").knot_positions
    after = knots_of(model, "first")
    slopes = [np.diff(y) / np.diff(knots) for y in (before["first"], after)]
    segment = np.clip(np.searchsorted(knots, inside, side="right") - 1, 0, 15)
    change = np.mean(np.log(slopes[1][segment] / slopes[0][segment]))
    assert record.entropy_change == pytest.approx(change, abs=0.02)
    assert history["first_entropy_change"][0] == pytest.approx(record.entropy_change)
    # H(f(X)) = H(X) + E log f′, where ReLU's slope is averaged over a window of one segment.
    slope = np.minimum(inside / (knots[1] - knots[0]) + 0.5, 1)
    entropy = stats.differential_entropy(inside) + np.mean(np.log(slope))
    assert record.entropy_before == pytest.approx(entropy, abs=0.02)
    # Nothing happens where ReLU is flat, and the function stays monotone.
    np.testing.assert_allclose(after[knots <= 0], 0, atol=1e-6)
    assert (slopes[1][8:] > 0).all()
    assert np.abs(after - before["first"]).max() > 0.01


def test_each_channel_takes_its_own_step(stepped):
    model, callback, before, history, _ = stepped
    records = [r for r in callback.records if r.layer == "second"]
    assert [r.unit for r in records] == [0, 1]
    after = knots_of(model, "second")
    for record in records:
        moved = np.abs(after[:, record.unit] - before["second"][:, record.unit]).max()
        assert (moved > 0) == record.accepted
        assert record.accepted == (record.reason == "")
    assert history["second_eafo_kept"][0] == np.mean([r.accepted for r in records])


def test_knots_stay_trainable_by_the_loss_and_the_schedule_is_kept():
    x, y = make_data()
    model = make_model(learning_rate=0.05, initial="tanh")
    callback = EAFO(x, schedule=lambda epoch: 0.2 if epoch == 1 else 0.0, layers=["first"])
    history = model.fit(x, y, epochs=3, verbose=0, callbacks=[callback]).history
    assert [r.epoch for r in callback.records] == [1]
    assert history["first_eafo_kept"] == [1.0]
    assert model.get_layer("first").values.trainable
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.once
def test_a_layer_without_valid_steps_is_switched_off():
    x, y = make_data(256)
    model = make_model(initial="abs")
    callback = EAFO(x, min_share=0.9, patience=2, layers=["first"], samples=1024)
    before = knots_of(model, "first")
    model.fit(x, y, epochs=4, verbose=0, callbacks=[callback])
    assert callback.switched_off == ["first"]
    assert len(callback.records) == 2
    assert "the monotone region holds" in callback.records[0].reason
    np.testing.assert_array_equal(knots_of(model, "first"), before)


@pytest.mark.once
def test_growing_loss_switches_everything_off():
    x, _ = make_data(256)
    callback = EAFO(x, monitor="val_loss", patience=2, samples=512)
    callback.set_model(make_model(initial="tanh"))
    for epoch, loss in enumerate([1.0, 1.1, 1.2, 1.3]):
        callback.on_epoch_end(epoch, {"val_loss": loss})
    assert max(r.epoch for r in callback.records) == 1
    assert callback.switched_off == ["first", "second"]


@pytest.mark.once
def test_normalised_criterion_refuses_pure_rescaling():
    """A step that lowers H but not H − log std is turned down, and says so."""
    x, _ = make_data(256)
    kept = {}
    for criterion in ("entropy", "normalised"):
        callback = EAFO(x, criterion=criterion, samples=2048, layers=["first"])
        callback.set_model(make_model(initial="tanh"))
        callback.on_epoch_end(0, {})
        kept[criterion] = callback.records[0]
    for criterion, record in kept.items():
        change = record.entropy_change if criterion == "entropy" else record.normalised_change
        assert record.accepted == (change < 0)


@pytest.mark.once
def test_steepest_region_and_slopes():
    knots = np.linspace(-2, 2, 5)
    samples = np.linspace(-3, 3, 100)
    region = steepest_region(knots, np.array([0.0, 0.001, 1.0, 2.0]), samples)
    assert region == (0.0, np.inf)
    assert steepest_region(knots, np.array([-1.0, -1.0, 1.0, 0.0]), samples) == (-np.inf, 0.0)
    values = np.array([0.0, 0.0, 1.0, 3.0, 3.5])
    np.testing.assert_allclose(pwl_slopes([-3, 0.5, 9], knots, values, "linear"), [0, 2, 0.5])
    np.testing.assert_allclose(pwl_slopes([-3, 0.5, 9], knots, values, "clamp"), [0, 2, 0])
    np.testing.assert_allclose(pwl_values([-3, 0.5, 4], knots, values, "linear"), [0, 2, 4.5])
    np.testing.assert_allclose(pwl_values([-3, 0.5, 4], knots, values, "clamp"), [0, 2, 3.5])


@pytest.mark.once
@pytest.mark.parametrize(
    "options, message",
    [
        ({"step": 1.0}, "share of the largest monotone step"),
        ({"criterion": "loss"}, "'entropy' or 'normalised'"),
        ({"every": 0}, "at least 1"),
    ],
)
def test_errors_say_the_rule(options, message):
    with pytest.raises(ValueError, match=message):
        EAFO(make_data(8)[0], **options)
