"""A small convolutional network against values of an independent implementation."""

import contextlib

import keras
import numpy as np
import pytest
from keras import layers

from keras_actfn.fisher import fisher_spectrum

# layer: size, positive, max, smallest positive, trace, log-determinant of the positive ones
EXACT = [
    (76, 76, 0.326726, 2.84681e-4, 2.89772, -349.341),
    (180, 180, 0.480190, 8.03019e-6, 3.34714, -1172.02),
    (276, 48, 0.533499, 2.72616e-6, 2.03108, -293.191),
    (21, 14, 0.385280, 4.63202e-4, 1.33930, -51.3281),
]
EMPIRICAL = [(0.303617, 2.63219), (0.453920, 3.05605), (0.482857, 1.86546), (0.437391, 1.26062)]


def wave(shape, scale, phase):
    return (scale * np.sin(np.arange(np.prod(shape)) ** 1.5 + phase)).reshape(shape)


@pytest.fixture(scope="module")
def golden():
    with contextlib.ExitStack() as stack:
        if keras.backend.backend() == "jax":
            import jax

            stack.enter_context(jax.enable_x64(True))
        double = {"dtype": "float64"}
        model = keras.Sequential(
            [
                layers.Input((6, 6, 2), dtype="float64"),
                layers.Conv2D(4, 3, padding="same", activation="tanh", **double),
                layers.Conv2D(5, 3, strides=2, padding="same", use_bias=False, **double),
                layers.Activation("tanh", **double),
                layers.Flatten(**double),
                layers.Dense(6, activation="tanh", **double),
                layers.Dense(3, **double),
            ]
        )
        model.set_weights(
            [
                wave((3, 3, 2, 4), 0.3, 0),
                wave((4,), 0.1, 1),
                wave((3, 3, 4, 5), 0.3, 0.5),
                wave((45, 6), 0.3, 0.25),
                wave((6,), 0.1, 2),
                wave((6, 3), 0.5, 0.75),
                wave((3,), 0.1, 3),
            ]
        )
        x = np.sin(0.9 * np.arange(8 * 6 * 6 * 2) ** 1.1).reshape(8, 6, 6, 2)
        yield model, x, np.arange(8) % 3


def test_logits(golden):
    model, x, _ = golden
    logits = keras.ops.convert_to_numpy(model(x[:1]))[0]
    np.testing.assert_allclose(logits, [0.705009, 0.673781, -0.436720], atol=1e-6)


@pytest.mark.parametrize("mode", ["exact", "ggn"])
def test_exact_mode(golden, mode):
    model, x, _ = golden
    spectrum = fisher_spectrum(model, x, mode=mode, loss="softmax_crossentropy")
    assert spectrum.valid and not spectrum.uncovered
    for block, (size, positive, largest, smallest, trace, logdet) in zip(
        spectrum.blocks, EXACT, strict=True
    ):
        ((omega, gamma),) = block.pairs
        omega, gamma = omega[omega > 1e-11 * omega[-1]], gamma[gamma > 1e-11 * gamma[-1]]
        assert (block.parameters, len(omega) * len(gamma)) == (size, positive)
        np.testing.assert_allclose(omega[0] * gamma[0], smallest, rtol=1e-4)
        summary = block.summary()
        np.testing.assert_allclose(summary["max"], largest, rtol=1e-5)
        np.testing.assert_allclose(summary["trace"], trace, rtol=1e-5)
        found = np.log(np.outer(omega, gamma)).sum()
        np.testing.assert_allclose(found, logdet, rtol=1e-5)


def test_batches_add_up(golden):
    model, x, _ = golden
    whole = fisher_spectrum(model, x, loss="softmax_crossentropy")
    parts = fisher_spectrum(model, x, loss="softmax_crossentropy", batch_size=3)
    for a, b in zip(whole.blocks, parts.blocks, strict=True):
        for pair_a, pair_b in zip(a.pairs, b.pairs, strict=True):
            for u, v in zip(pair_a, pair_b, strict=True):
                # The error of an eigenvalue is bounded by the norm, not by the eigenvalue.
                np.testing.assert_allclose(u, v, rtol=1e-6, atol=1e-8 * np.abs(v).max())


def test_empirical_mode(golden):
    model, x, y = golden
    for labels in (y, y[:, None], np.eye(3)[y]):
        spectrum = fisher_spectrum(model, x, labels, mode="empirical", loss="softmax_crossentropy")
        for block, (largest, trace) in zip(spectrum.blocks, EMPIRICAL, strict=True):
            summary = block.summary()
            np.testing.assert_allclose(summary["max"], largest, rtol=1e-5)
            np.testing.assert_allclose(summary["trace"], trace, rtol=1e-5)
