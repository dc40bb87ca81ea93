"""kfac-jax gives the native engine's factors where it has Kronecker blocks."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_actfn.fisher import fisher_spectrum

ON_JAX = keras.backend.backend() == "jax"
on_jax = pytest.mark.skipif(not ON_JAX, reason="kfac-jax needs the Keras backend JAX")

LAYERS = {
    "dense": [("Dense", dict(units=5))],
    "dense without bias": [("Dense", dict(units=5, use_bias=False))],
    "conv": [("Conv2D", dict(filters=3, kernel_size=3))],
    "conv same stride": [
        ("Conv2D", dict(filters=3, kernel_size=3, strides=2, padding="same", use_bias=False))
    ],
    "conv norm conv": [
        ("Conv2D", dict(filters=3, kernel_size=3, padding="same")),
        ("BatchNormalization", {}),
        ("Conv2D", dict(filters=2, kernel_size=2)),
    ],
}


def build(parts, head):
    shape = (5,) if parts[0][0] == "Dense" else (5, 5, 2)
    stack = [layers.Input(shape)]
    for kind, arguments in parts:
        stack += [getattr(layers, kind)(**arguments), layers.Activation("tanh")]
    model = keras.Sequential([*stack, layers.Flatten(), layers.Dense(3, activation=head)])
    return model, np.random.default_rng(0).normal(size=(6, *shape)).astype("float32")


def agree(model, x, y=None, **arguments):
    native = fisher_spectrum(model, x, y, **arguments)
    other = fisher_spectrum(model, x, y, engine="kfac_jax", **arguments)
    assert native.layers == other.layers
    for a, b in zip(native.blocks, other.blocks, strict=True):
        for pair, rival in zip(a.pairs, b.pairs, strict=True):
            for u, v in zip(pair, rival, strict=True):
                np.testing.assert_allclose(u, v, rtol=1e-4, atol=2e-6 * u.max())


@on_jax
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    agree(*build(LAYERS[name], "softmax"))


@on_jax
@pytest.mark.parametrize("mode", ["ggn", "sampled", "empirical"])
def test_modes(mode):
    model, x = build(LAYERS["dense"], "softmax")
    agree(model, x, np.arange(6) % 3, mode=mode, seed=1)


@on_jax
@pytest.mark.parametrize("loss, head", [("binary_crossentropy", "sigmoid"), ("mse", None)])
def test_losses(loss, head):
    model, x = build(LAYERS["dense"], head)
    agree(model, x, loss=loss)


WRONG = {
    "dilated": [("Conv2D", dict(filters=2, kernel_size=2, dilation_rate=2))],
    "grouped": [("Conv2D", dict(filters=2, kernel_size=2, groups=2))],
    "DepthwiseConv2D": [("DepthwiseConv2D", dict(kernel_size=2))],
    "Conv2DTranspose": [("Conv2DTranspose", dict(filters=2, kernel_size=2))],
    "sequences": [("Dense", dict(units=3))],
}


@on_jax
@pytest.mark.parametrize("word", WRONG)
def test_what_kfac_jax_gets_wrong_is_refused(word):
    parts = WRONG[word]
    if word == "sequences":
        parts = [("Conv2D", dict(filters=2, kernel_size=2)), *parts]
    model, x = build(parts, "softmax")
    with pytest.raises(ValueError, match=f"{word}.*Use engine='native'"):
        fisher_spectrum(model, x, engine="kfac_jax")


@pytest.mark.skipif(ON_JAX, reason="the error is about the other backends")
def test_other_backends_are_refused():
    model, x = build(LAYERS["dense"], "softmax")
    with pytest.raises(ValueError, match="needs the Keras backend JAX; this is"):
        fisher_spectrum(model, x, engine="kfac_jax")


@on_jax
def test_newer_jax_is_refused(monkeypatch):
    import importlib.metadata

    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "0.9.2" if name == "jax" else real(name)
    )
    model, x = build(LAYERS["dense"], "softmax")
    with pytest.raises(ImportError, match=r"lack get_bind_params.*installed is JAX 0.9.2"):
        fisher_spectrum(model, x, engine="kfac_jax")
