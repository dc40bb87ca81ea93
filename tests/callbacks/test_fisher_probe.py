"""FisherProbe: figures in the logs, files, and training left undisturbed."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_actfn.callbacks import FisherProbe
from keras_actfn.fisher import FisherSpectrum, fisher_spectrum

BACKEND = keras.backend.backend()


def data(n=24):
    generator = np.random.default_rng(0)
    return generator.normal(size=(n, 6)).astype("float32"), generator.integers(0, 3, n)


def build(**compile_arguments):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(5, activation="tanh"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **compile_arguments
    )
    return model


def test_training_is_the_same_with_and_without(tmp_path):
    x, y = data()
    results = []
    for probe in (None, FisherProbe(x[:8], every=2, unit="batch")):
        model = build()
        callbacks = [probe] if probe else []
        history = model.fit(x, y, 8, epochs=2, verbose=0, callbacks=callbacks).history
        results.append((model.get_weights(), history))
    (weights, plain), (probed_weights, probed) = results
    for a, b in zip(weights, probed_weights, strict=True):
        np.testing.assert_array_equal(a, b)
    for name, values in plain.items():
        assert probed[name] == values
    assert probe.steps == [0, 2, 4, 6]
    assert len(probed["fisher_trace"]) == 2


def test_logs_files_and_figures(tmp_path):
    x, y = data()
    model = build(jit_compile=BACKEND != "torch")
    probe = FisherProbe(x[:8], every=2, directory=tmp_path / "spectra", per_layer=True)
    before = fisher_spectrum(model, x[:8])
    log = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    history = model.fit(x, y, 8, epochs=3, verbose=0, callbacks=[probe, log]).history
    after = fisher_spectrum(model, x[:8])
    assert probe.steps == [0, 6]
    files = sorted(path.name for path in (tmp_path / "spectra").iterdir())
    assert files == ["fisher-00000000.npz", "fisher-00000006.npz"]
    assert probe.spectra[0].distance(before) < 1e-9
    first = FisherSpectrum.load(tmp_path / "spectra" / files[1])
    assert first.distance(after) > 0
    trace = history["fisher_trace"]
    assert np.isnan(trace[0]) and np.isnan(trace[2])
    np.testing.assert_allclose(trace[1], first.summary()["trace"])
    np.testing.assert_allclose(probe.figures("trace")[1], trace[1])
    layer = first.layers[0]
    np.testing.assert_allclose(history[f"fisher_max/{layer}"][1], first.summary(layer)["max"])
    assert "fisher_trace" in (tmp_path / "log.csv").read_text().splitlines()[0]
    figure = probe.plot()
    assert len(figure.axes[0].lines) == 2


class Interrupt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 3:
            raise KeyboardInterrupt


def fit(model, x, y, *callbacks, epochs=5, **arguments):
    options = {"batch_size": 8, "shuffle": False, "verbose": 0} | arguments
    return model.fit(x, y, epochs=epochs, callbacks=list(callbacks), **options)


def files_of(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


@pytest.mark.once
@pytest.mark.parametrize("probe_first", [True, False])
def test_a_restored_training_goes_on_and_earlier_files_stay(tmp_path, probe_first):
    x, y = data()

    def run(model, *more):
        probe = FisherProbe(x[:8], directory=tmp_path / "spectra")
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        callbacks = [probe, backup] if probe_first else [backup, probe]
        return probe, lambda: fit(model, x, y, *callbacks, *more)

    _, start = run(build(), Interrupt())
    with pytest.raises(KeyboardInterrupt):
        start()
    earlier = files_of(tmp_path / "spectra")
    assert sorted(earlier) == [f"fisher-{n:08d}.npz" for n in (0, 3, 6, 9)]
    probe, start = run(build())
    history = start().history
    assert probe.steps == [0, 3, 6, 9, 12, 15]
    found = files_of(tmp_path / "spectra")
    assert {name: found[name] for name in earlier} == earlier and len(found) == 6
    np.testing.assert_allclose(history["fisher_trace"], probe.figures("trace")[-2:])
    # The same spectra as of one training that was not interrupted.
    whole = FisherProbe(x[:8])
    fit(build(), x, y, whole)
    np.testing.assert_allclose(probe.figures("trace")[3], whole.figures("trace")[3], rtol=1e-4)


@pytest.mark.once
def test_initial_epoch_goes_on_with_a_new_optimiser(tmp_path):
    x, y = data()
    model = build()
    fit(model, x, y, FisherProbe(x[:8], directory=tmp_path), epochs=3)
    earlier = files_of(tmp_path)
    model.save_weights(tmp_path / "a.weights.h5")
    again = build()
    again.set_weights(model.get_weights())
    probe = FisherProbe(x[:8], every=2, unit="batch", directory=tmp_path)
    fit(again, x, y, probe, initial_epoch=3)
    assert probe.steps == [0, 3, 6, 9, 10, 12, 14]
    found = files_of(tmp_path)
    assert {name: found[name] for name in earlier} == earlier


@pytest.mark.once
def test_a_second_fit_goes_on(tmp_path):
    x, y = data()
    model, probe = build(), FisherProbe(x[:8])
    fit(model, x, y, probe, epochs=1)
    fit(model, x, y, probe, epochs=1)
    assert probe.steps == [0, 3, 6] and len(probe.spectra) == 3
    fit(build(), x, y, probe, epochs=1)
    assert probe.steps == [0, 3]


@pytest.mark.once
def test_a_new_training_in_a_used_folder_warns(tmp_path):
    x, y = data()
    (tmp_path / "fisher-notes.npz").write_text("not a spectrum")
    fit(build(), x, y, FisherProbe(x[:8], directory=tmp_path), epochs=2)
    with pytest.warns(UserWarning, match="earlier training, up to batch 6.*starts at batch 0"):
        fit(build(), x, y, probe := FisherProbe(x[:8], directory=tmp_path), epochs=1)
    assert probe.steps == [0, 3]


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch runs one batch at a time")
def test_batches_are_counted_where_several_run_at_once():
    x, y = data(40)
    model = build(steps_per_execution=2)
    probe = FisherProbe(x[:8], every=3, unit="batch")
    fit(model, x, y, probe, epochs=2)  # after the batches 2, 4, 5, 7, 9 and 10
    assert probe.steps == [0, 4, 7, 9]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.distribute belongs to TensorFlow")
def test_under_a_tensorflow_strategy():
    import tensorflow as tf

    x, y = data()
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = build()
    probe = FisherProbe(x[:8])
    history = model.fit(x, y, 8, epochs=1, verbose=0, callbacks=[probe]).history
    np.testing.assert_allclose(
        history["fisher_trace"][-1], fisher_spectrum(model, x[:8]).summary()["trace"], rtol=1e-5
    )


@pytest.mark.skipif(BACKEND != "jax", reason="keras.distribution runs on JAX")
def test_under_a_keras_distribution():
    x, y = data()
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    try:
        model = build()
        probe = FisherProbe(x[:8])
        history = model.fit(x, y, 8, epochs=1, verbose=0, callbacks=[probe]).history
        expected = fisher_spectrum(model, x[:8]).summary()["trace"]
    finally:
        keras.distribution.set_distribution(before)
    np.testing.assert_allclose(history["fisher_trace"][-1], expected, rtol=1e-5)


@pytest.mark.once
@pytest.mark.parametrize(
    "arguments, text",
    [
        (dict(every=0), "every must be a positive whole number; received 0"),
        (dict(unit="step"), "unit must be 'epoch' or 'batch'; received 'step'"),
    ],
)
def test_bad_arguments(arguments, text):
    with pytest.raises(ValueError, match=text):
        FisherProbe(np.ones((2, 6)), **arguments)
