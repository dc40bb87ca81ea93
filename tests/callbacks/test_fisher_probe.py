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
