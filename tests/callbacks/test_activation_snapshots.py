"""Snapshots: files, histograms against NumPy, TensorBoard and Weights & Biases reports."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from keras_actfn.callbacks import ActivationSnapshots, Snapshots
from keras_actfn.layers import PWL, ConvexHullActivation
from keras_actfn.theory.gaussianity import gaussianity


def make_data():
    generator = np.random.default_rng(0)
    y = np.arange(120) % 3
    x = (generator.normal(size=(120, 4)) + y[:, None]).astype("float32")
    return x, y


def make_model():
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.layers.Input((4,)),
            keras.layers.Dense(3),
            PWL(knots=5, axis=-1, name="knots"),
            ConvexHullActivation(name="hull"),
            keras.layers.Dense(3),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    return model


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    x, y = make_data()
    model = make_model()
    path = tmp_path_factory.mktemp("snapshots") / "deep" / "run.npz"
    callback = ActivationSnapshots(path, x, y, every=2, points=9, bins=16, batch_size=40)
    model.fit(x, y, epochs=5, verbose=0, callbacks=[callback])
    return model, path, callback


def test_the_file_holds_every_scheduled_epoch_and_layer(recorded):
    _, path, callback = recorded
    data = Snapshots.load(path)
    assert data.epochs.tolist() == [0, 2, 4]
    assert data.layers == ["knots", "hull"]
    assert data.curves["knots"].shape == (3, 9, 3)
    assert data.curves["hull"].shape == (3, 9, 1)
    assert data.histograms["hull"].shape == (3, 3, 16)
    for name in data.layers:
        np.testing.assert_array_equal(data.curves[name], callback.snapshots().curves[name])
    assert not list(path.parent.glob("*.tmp"))
    relu = np.maximum(data.x, 0)
    np.testing.assert_allclose(data.curves["knots"][0, :, 1], relu, atol=0.4)
    assert np.abs(np.diff(data.curves["knots"], axis=0)).max() > 0


def test_histograms_are_those_of_the_inputs_by_class(recorded):
    x, y = make_data()
    kernel, bias = (ops.convert_to_numpy(w) for w in make_model().layers[0].weights)
    data = Snapshots.load(recorded[1])
    inputs = np.clip(x @ kernel + bias, -3.999, 3.999)
    for k in range(3):
        expected = np.histogram(inputs[y == k], data.edges)[0]
        # One datum may fall on the other side of an edge by rounding.
        assert np.abs(data.histograms["knots"][0, k] - expected).sum() <= 2
        assert data.histograms["knots"][-1, k].sum() == 40 * 3
    found = data.gaussianity("knots")
    assert len(found) == 3 and all(0 < f.distance < 0.5 for f in found)


def test_curves_only_without_data_and_runs_are_reported(tmp_path):
    class Run:
        def __init__(self):
            self.rows = []

        def log(self, row, step):
            self.rows.append((step, row))

    x, y = make_data()
    model = make_model()
    callback = ActivationSnapshots(tmp_path / "run.npz", points=5, tensorboard=None)
    model.fit(x, y, verbose=0, callbacks=[callback])
    data = Snapshots.load(tmp_path / "run.npz")
    assert data.histograms == {} and data.curves["hull"].shape == (2, 5, 1)
    with pytest.raises(ValueError, match="Pass x and y to ActivationSnapshots"):
        data.gaussianity("hull")


@pytest.mark.once
def test_tensorboard_files_hold_scalars_and_images(tmp_path):
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    x, y = make_data()
    callback = ActivationSnapshots(tmp_path / "run.npz", x, y, tensorboard=tmp_path / "board")
    callback.set_model(make_model())
    callback.on_train_begin()
    callback.on_epoch_end(0)
    callback.on_train_end()
    events = event_accumulator.EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    tags = events.Tags()
    names = {tag for kind in tags.values() if isinstance(kind, list) for tag in kind}
    assert "activations/knots" in names and "gaussianity/hull/class_2" in names


@pytest.mark.once
def test_gaussianity_of_known_laws():
    edges = np.linspace(-8, 8, 1601)
    normal = gaussianity(np.diff(stats.norm(0.5, 1.2).cdf(edges)) * 1e5, edges)
    assert normal.mean == pytest.approx(0.5, abs=1e-6)
    assert normal.std == pytest.approx(1.2, abs=1e-4)
    assert normal.distance < 1e-4 and abs(normal.skewness) < 1e-4
    assert normal.excess_kurtosis == pytest.approx(0, abs=1e-3)
    uniform = gaussianity(np.diff(stats.uniform(-1, 2).cdf(edges)), edges)
    assert uniform.excess_kurtosis == pytest.approx(-1.2, abs=1e-3)
    z = np.linspace(-1, 1, 201)
    expected = np.abs((z + 1) / 2 - stats.norm.cdf(z * np.sqrt(3))).max()
    assert uniform.distance == pytest.approx(expected, abs=2e-3)
    with pytest.raises(ValueError, match="at least two bins"):
        gaussianity([0, 3, 0], [0, 1, 2, 3])


@pytest.mark.once
def test_errors(tmp_path):
    x, _ = make_data()
    with pytest.raises(ValueError, match="both `x` and `y`"):
        ActivationSnapshots(tmp_path / "a.npz", x)
    with pytest.raises(ValueError, match="`low` must be below"):
        ActivationSnapshots(tmp_path / "a.npz", low=1, high=0)
