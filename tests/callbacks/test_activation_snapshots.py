"""Snapshots: files, histograms against NumPy, TensorBoard and Weights & Biases reports."""

import sys
import types

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from keras_actfn._files import read_npz, write_npz
from keras_actfn.callbacks import EAFO, ActivationSnapshots, LocalCorrelation, Snapshots
from keras_actfn.callbacks.activation_snapshots import curve_image
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
    assert len(data.plot("gaussianity").axes) == len(data.plot().axes) == 2
    with pytest.raises(ValueError, match="one of evolution, gaussianity"):
        data.plot("curves")


def test_every_layer_has_a_label_of_its_own(tmp_path):
    """Also where the number for a name that occurs twice makes it a third layer's name."""
    x, y = make_data()
    kinds = ("relu", "abs", "identity")
    first, second, third = (
        PWL(knots=5, initial=initial, name=name)
        for initial, name in zip(kinds, ("pwl", "pwl", "pwl_1"), strict=True)
    )
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), first], name="inner")
    rest = [keras.layers.Dense(4), second, keras.layers.Dense(4), third, keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((4,)), inner, *rest])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    snapshots = ActivationSnapshots(tmp_path / "run.npz", x, y, points=9)
    further = [EAFO(x, batch_size=40, samples=40), LocalCorrelation(x, y, batch_size=40)]
    history = model.fit(x, y, verbose=0, callbacks=[snapshots, *further]).history
    data = Snapshots.load(tmp_path / "run.npz")
    assert data.layers == ["pwl_0", "pwl_1_1", "pwl_1"] and list(data.histograms) == data.layers
    for label, initial in zip(data.layers, kinds, strict=True):
        expected = PWL(knots=5, initial=initial).evaluate(data.x)
        np.testing.assert_allclose(data.curves[label][0, :, 0], expected, atol=1e-6)
    for end in ("entropy_change", "correlation"):
        assert {f"{label}_{end}" for label in data.layers} <= set(history)


@pytest.mark.once
def test_curves_only_without_data(tmp_path):
    callback = ActivationSnapshots(tmp_path / "run.npz", points=5)
    callback.set_model(make_model())
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    callback.on_epoch_end(0)
    data = Snapshots.load(tmp_path / "run.npz")
    assert data.histograms == {} and data.curves["hull"].shape == (2, 5, 1)
    with pytest.raises(ValueError, match="Pass x and y to ActivationSnapshots"):
        data.gaussianity("hull")


def first_snapshot(callback):
    data = callback.snapshots()
    curves = {name: values[:1] for name, values in data.curves.items()}
    return Snapshots(data.epochs[:1], data.x, data.edges, curves, {})


@pytest.mark.once
def test_tensorboard_files_hold_scalars_and_images(tmp_path):
    import tensorflow as tf
    from tensorflow.core.util import event_pb2

    x, y = make_data()
    callback = ActivationSnapshots(tmp_path / "run.npz", x, y, tensorboard=tmp_path / "board")
    callback.set_model(make_model())
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    callback.on_epoch_end(0)
    callback.on_train_end()
    (path,) = (tmp_path / "board").glob("events.*")
    found = {}
    for raw in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        event = event_pb2.Event.FromString(raw)
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.tensor))
    assert [step for step, _ in found["activations/knots"]] == [0, 1]
    width, height, png = tf.make_ndarray(found["activations/hull"][0][1])
    assert (width, height) == (b"160", b"160")
    np.testing.assert_array_equal(
        tf.io.decode_png(png).numpy(), curve_image(first_snapshot(callback), "hull")
    )
    distance = tf.make_ndarray(found["gaussianity/hull/class_2"][-1][1])
    expected = callback.snapshots().gaussianity("hull")[2].distance
    assert distance == pytest.approx(expected, rel=1e-6)


@pytest.mark.once
def test_runs_with_a_log_method_get_scalars_and_images(tmp_path, monkeypatch):
    """Against a stand-in for the wandb module, which the environment need not have."""
    module = types.ModuleType("wandb")
    module.Image = lambda picture: ("image", picture.shape)
    monkeypatch.setitem(sys.modules, "wandb", module)
    run = WandbRun()
    for _ in range(40):  # a logger of batches is at step 40 before the first epoch ends
        run.log({"batch/loss": 1.0})
    x, y = make_data()
    callback = ActivationSnapshots(tmp_path / "run.npz", x, y, wandb=run)
    callback.set_model(make_model())
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    callback.on_epoch_end(0)
    rows = [row for _, row in run.rows if "activations/hull" in row]
    assert [row["snapshot/epoch"] for row in rows] == [0, 1]
    assert rows[1]["activations/hull"] == ("image", (160, 160, 3))
    expected = callback.snapshots().gaussianity("knots")[1].distance
    assert rows[1]["gaussianity/knots/class_1"] == expected
    assert run.axes["activations/*"] == run.axes["gaussianity/*"] == "snapshot/epoch"


class WandbRun:
    """What a run of Weights & Biases does with steps: a row of an earlier step is dropped."""

    def __init__(self):
        self.rows, self.axes, self._step = [], {}, 0

    def define_metric(self, name, step_metric=None):
        self.axes[name] = step_metric

    def log(self, row, step=None):
        if step is not None and step < self._step:
            return
        self._step = self._step if step is None else step
        self.rows.append((self._step, row))
        self._step += step is None


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    def __init__(self, at):
        super().__init__()
        self.at = at

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.at:
            raise Killed


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Weights, and the snapshots of training from them without an interruption."""
    x, y = make_data()
    callback = ActivationSnapshots(tmp_path_factory.mktemp("whole") / "run.npz", x, y, every=2)
    model = make_model()
    start = model.get_weights()
    model.fit(x, y, epochs=4, shuffle=False, verbose=0, callbacks=[callback])
    return start, Snapshots.load(callback.path)


@pytest.mark.once
@pytest.mark.parametrize("order", [1, -1])
def test_an_interrupted_training_goes_on_in_its_file(order, whole, tmp_path):
    """In either order of the callbacks: `BackupAndRestore` sets the epoch when training begins."""
    x, y = make_data()
    start, expected = whole

    def run(*further):
        model = make_model()
        model.set_weights(start)
        callback = ActivationSnapshots(tmp_path / "run.npz", x, y, every=2)
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        callbacks = [*[backup, callback][::order], *further]
        model.fit(x, y, epochs=4, shuffle=False, verbose=0, callbacks=callbacks)

    with pytest.raises(Killed):
        run(Kill(at=3))
    before = Snapshots.load(tmp_path / "run.npz")
    assert before.epochs.tolist() == [0, 2]
    run()
    found = Snapshots.load(tmp_path / "run.npz")
    assert found.epochs.tolist() == expected.epochs.tolist() == [0, 2, 4]
    for name in expected.layers:
        np.testing.assert_allclose(found.curves[name], expected.curves[name], atol=1e-5)
        np.testing.assert_array_equal(found.curves[name][:2], before.curves[name])
        np.testing.assert_array_equal(found.histograms[name][:2], before.histograms[name])


@pytest.mark.once
def test_epochs_count_from_the_first_training(tmp_path):
    x, y = make_data()
    model, path = make_model(), tmp_path / "run.npz"

    def fit(callback, **options):
        model.fit(x, y, verbose=0, callbacks=[callback], **options)
        return Snapshots.load(path).epochs.tolist()

    first = ActivationSnapshots(path)
    assert fit(first, epochs=2) == [0, 1, 2]
    assert fit(first, epochs=2) == [0, 1, 2, 3, 4]
    assert fit(first, initial_epoch=4, epochs=5) == [0, 1, 2, 3, 4, 5]
    # By another callback: epochs 4 and 5 are trained again.
    assert fit(ActivationSnapshots(path), initial_epoch=3, epochs=5) == [0, 1, 2, 3, 4, 5]
    assert fit(ActivationSnapshots(path), epochs=1) == [0, 1]
    path.unlink()
    assert fit(ActivationSnapshots(path), initial_epoch=3, epochs=4) == [3, 4]
    with pytest.raises(ValueError, match=r"same layers, positions and bins.*another path"):
        fit(ActivationSnapshots(path, points=11), initial_epoch=3, epochs=4)


@pytest.mark.once
def test_the_curve_image_draws_the_curve():
    data = Snapshots(
        np.array([0]),
        np.linspace(-1, 1, 11),
        np.linspace(-1, 1, 3),
        {"f": np.linspace(0, 1, 11)[None, :, None]},
        {},
    )
    drawn = (curve_image(data, "f", size=40) != 255).any(axis=-1)
    # The rising line runs along the falling diagonal of the picture.
    rows, columns = np.nonzero(drawn)
    assert np.abs(rows + columns - 39).max() <= 1 and set(columns) == set(range(39))


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


def small_snapshots():
    rng = np.random.default_rng(0)
    grids = np.arange(3), np.linspace(-1, 1, 20), np.linspace(-1, 1, 11)
    return Snapshots(*grids, {"a": rng.random((3, 20, 2))}, {"a": rng.random((3, 4, 10))})


@pytest.mark.once
@pytest.mark.parametrize(
    "changes",
    [
        {"curve_0": np.zeros((2, 20, 2))},
        {"curve_0": np.zeros((3, 20))},
        {"curve_0": None},
        {"histogram_0": np.zeros((3, 4, 9))},
        {"x": np.zeros((20, 1))},
        {"layers": np.array("3")},
        {"layers": np.array("[" * 100_000)},
        {"layers": np.array("[]")},
        {"layers": np.array('[["a"]]')},
        {"epochs": None},
    ],
)
def test_files_that_are_no_snapshots(tmp_path, changes):
    small_snapshots().save(tmp_path / "run.npz")
    arrays = read_npz(tmp_path / "run.npz", "") | changes
    arrays = {name: array for name, array in arrays.items() if array is not None}
    write_npz(tmp_path / "run.npz", **arrays)
    with pytest.raises(ValueError, match=r"run\.npz cannot be read: it holds no snapshots"):
        Snapshots.load(tmp_path / "run.npz")


@pytest.mark.once
@pytest.mark.parametrize("damage", [lambda c: c[:-40], lambda c: c[:60] + c[61:], lambda c: b""])
def test_damaged_snapshots_are_named(tmp_path, damage):
    path = tmp_path / "run.npz"
    small_snapshots().save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"run\.npz cannot be read: .*Pass a file written by"):
        Snapshots.load(path)
