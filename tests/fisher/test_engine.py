"""The engine's promises: bad input, what is not covered, and a model left as it was."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers
from reference.fisher import kronecker_eigenvalues, softmax

from keras_actfn.fisher import distributions, exact_fisher, fisher_spectrum


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def small(activation="softmax"):
    return keras.Sequential([layers.Input((4,)), layers.Dense(3, activation=activation)])


@pytest.mark.parametrize("family", distributions.DISTRIBUTIONS)
def test_columns_are_a_root_of_the_hessian(family):
    z = draw(5, 4).astype("float64") * 3
    columns = distributions.DISTRIBUTIONS[family]().cotangents(z, "exact")
    found = np.einsum("kni,knj->nij", columns, columns)
    p, s = softmax(z), 1 / (1 + np.exp(-z))
    expected = {
        distributions.SOFTMAX: p[:, :, None] * np.eye(4) - p[:, :, None] * p[:, None],
        distributions.SIGMOID: (s * (1 - s))[:, :, None] * np.eye(4),
        distributions.SQUARED: np.broadcast_to(np.eye(4), (5, 4, 4)),
    }[family]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert len(columns) == (3 if family == distributions.SOFTMAX else 4)


def test_columns_of_sequences_keep_positions_apart():
    z = draw(2, 3, 4)
    columns = distributions.Categorical().cotangents(z, "exact")
    assert columns.shape == (9, 2, 3, 4)
    found = np.einsum("kntc,knud->ntcud", columns, columns)
    p = softmax(z.astype("float64"))
    for t in range(3):
        expected = p[:, t, :, None] * np.eye(4) - p[:, t, :, None] * p[:, t, None]
        np.testing.assert_allclose(found[:, t, :, t], expected, atol=1e-12)
    assert np.all(found[:, 0, :, 1] == 0)


def test_sampled_labels_follow_the_distribution():
    z = np.tile(draw(1, 3), (20000, 1))
    gradient = distributions.Categorical().cotangents(z, "sampled", seed=0)[0]
    np.testing.assert_allclose(gradient.mean(axis=0), 0, atol=0.02)
    second = np.einsum("ni,nj->ij", gradient, gradient) / len(z)
    p = softmax(z[0].astype("float64"))
    np.testing.assert_allclose(second, np.diag(p) - np.outer(p, p), atol=0.02)


def test_seed_fixes_the_sample():
    x, model = draw(6, 4), small()
    first, again, other = (
        kronecker_eigenvalues(fisher_spectrum(model, x, mode="sampled", seed=s)[0].pairs)
        for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-6


def test_relu_and_its_negative_coincide():
    # The paper's Fig. 5, with weights that make the networks mirror images.
    spectra = []
    for sign in (1, -1):
        model = keras.Sequential(
            [
                layers.Input((4,)),
                layers.Dense(6, activation=lambda x, s=sign: s * keras.ops.relu(x)),
                layers.Dense(3, activation="softmax", use_bias=False),
            ]
        )
        kernel = draw(6, 3, seed=1)
        model.set_weights([draw(4, 6), draw(6, seed=2), sign * kernel])
        spectra.append(fisher_spectrum(model, draw(8, 4, seed=3)))
    np.testing.assert_allclose(spectra[0].distance(spectra[1]), 0, atol=1e-6)


def test_model_is_left_as_it_was():
    model = keras.Sequential(
        [
            layers.Input((6, 6, 2)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.layers[-1].trainable = False
    before = [np.array(w) for w in model.variables]
    x = draw(4, 6, 6, 2)
    expected = keras.ops.convert_to_numpy(model(x))
    for training in (False, True):
        spectrum = fisher_spectrum(model, x, training=training)
        assert spectrum.valid
    for weight, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(np.array(weight), value)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(x)), expected)
    for layer in model.layers:
        assert "call" not in vars(layer)
    assert model.layers[0].activation is keras.activations.relu
    assert [layer.trainable for layer in model.layers] == [True] * 4 + [False]
    assert "not trainable" in spectrum.excluded[model.layers[-1].name]


def test_model_is_restored_after_an_error():
    model = small()
    with pytest.raises(ValueError, match="incompatible"):
        fisher_spectrum(model, draw(4, 7))
    assert "call" not in vars(model.layers[0])


class Scale(layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(1,), initializer="ones", name="scale")

    def call(self, x):
        return x * self.scale


class OddDense(layers.Dense):
    def call(self, x):
        return super().call(2 * x)


def test_what_is_not_covered_is_said_once():
    model = keras.Sequential(
        [
            layers.Input((5, 4)),
            layers.LSTM(3, name="lstm"),
            Scale(name="scale"),
            OddDense(3, name="odd"),
            layers.Dense(3, activation="softmax", name="head"),
        ]
    )
    with pytest.warns(UserWarning, match="leaves out 3 layer") as caught:
        spectrum = fisher_spectrum(model, draw(3, 5, 4))
    assert len([w for w in caught if "leaves out" in str(w.message)]) == 1
    assert spectrum.layers == ["head"]
    reasons = {name.rpartition("/")[2]: why for name, why in spectrum.uncovered.items()}
    assert "Scale" in reasons["scale"] and "OddDense" in reasons["odd"]
    assert any("LSTMCell" in why for why in reasons.values())


def test_unused_layer_is_not_covered():
    class Unused(keras.Model):
        def __init__(self):
            super().__init__()
            self.used = layers.Dense(2)
            self.unused = layers.Dense(2, name="unused")
            self.unused.build((None, 4))

        def call(self, x):
            return self.used(x)

    model = Unused()
    model(draw(1, 4))
    with pytest.warns(UserWarning, match="the forward pass does not use it"):
        assert "unused" in fisher_spectrum(model, draw(3, 4), loss="mse").uncovered


def test_spectra_of_explosions_are_invalid_and_do_not_raise():
    model = keras.Sequential(
        [
            layers.Input((4,)),
            layers.Dense(5, activation=lambda x: keras.ops.exp(1000 * keras.ops.abs(x))),
            layers.Dense(3, activation="softmax"),
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        spectrum = fisher_spectrum(model, draw(6, 4))
    assert not spectrum.valid and spectrum.problems
    dead = keras.Sequential(
        [
            layers.Input((4,)),
            layers.Dense(5, activation=lambda x: 0 * x),
            layers.Dense(3, activation="softmax"),
        ]
    )
    assert not fisher_spectrum(dead, draw(6, 4)).valid


def test_bad_input():
    x, model = draw(4, 4), small()
    cases = [
        (dict(x=x[:0]), "at least one example; received an empty batch"),
        (dict(x=x, y=np.zeros(3)), "same number of examples"),
        (dict(x=x, mode="empirical"), "needs the labels: pass y"),
        (dict(x=x, y=np.array([0, 1, 2, 3]), mode="empirical"), "from 0 to 2.*3"),
        (dict(x=x, mode="bad"), "mode must be one of exact, sampled, empirical, ggn"),
        (dict(x=x, engine="bad"), "engine must be one of native, kfac_jax"),
        (dict(x=x, loss="hinge"), "No Fisher information is defined for the loss 'hinge'"),
        (dict(x=x, loss=["mse", "mse"]), "one output and one loss"),
        (dict(x=x, batch_size=0), "batch_size must be a positive number"),
    ]
    for arguments, text in cases:
        with pytest.raises(ValueError, match=text):
            fisher_spectrum(model, **arguments)
    with pytest.raises(ValueError, match=r"has no weights yet\. Build it first"):
        fisher_spectrum(keras.Sequential([layers.Dense(3)]), x)
    with pytest.raises(ValueError, match=r"model must be a keras\.Model; received Dense"):
        fisher_spectrum(layers.Dense(3), x)
    with pytest.raises(ValueError, match="predictive distribution is unknown"):
        fisher_spectrum(small(None), x)
    with pytest.raises(ValueError, match="loss takes probabilities"):
        fisher_spectrum(small(None), 10 * x, loss="categorical_crossentropy")
    inputs = layers.Input((4,))
    two = keras.Model(inputs, [layers.Dense(2)(inputs), layers.Dense(2)(inputs)])
    with pytest.raises(ValueError, match="one output"):
        fisher_spectrum(two, x, loss="mse")


def test_too_many_columns_are_refused():
    with pytest.raises(ValueError, match="Use mode='sampled'"):
        distributions.Categorical().cotangents(np.zeros((1, 3000, 3), "float32"), "exact")


def test_mixed_precision():
    model = keras.Sequential(
        [
            layers.Input((4,)),
            layers.Dense(5, activation="tanh", dtype="mixed_bfloat16"),
            layers.Dense(3, activation="softmax", dtype="float32"),
        ]
    )
    x = draw(6, 4)
    spectrum = fisher_spectrum(model, x)
    assert spectrum.valid
    single = keras.Sequential(
        [layers.Input((4,)), layers.Dense(5, activation="tanh"), layers.Dense(3, "softmax")]
    )
    single.set_weights(model.get_weights())
    np.testing.assert_allclose(
        spectrum.summary()["trace"], fisher_spectrum(single, x).summary()["trace"], rtol=0.05
    )


def test_inputs_by_name():
    a, b = layers.Input((4,), name="a"), layers.Input((3,), name="b")
    model = keras.Model({"a": a, "b": b}, layers.Dense(2)(layers.Concatenate()([a, b])))
    spectrum = fisher_spectrum(model, {"a": draw(5, 4), "b": draw(5, 3)}, loss="mse", batch_size=2)
    assert spectrum.settings["examples"] == 5 and spectrum.parameters == 16


@pytest.mark.once
@pytest.mark.parametrize("name, count", [("AllCNNC", 13692), ("ResNet56V2", 16500)])
def test_features_of_the_papers_networks(name, count):
    from keras_actfn import applications

    model = getattr(applications, name)(input_shape=(32, 32, 3), classes=10)
    spectrum = fisher_spectrum(model, draw(1, 32, 32, 3), mode="sampled", seed=0)
    assert not spectrum.uncovered
    assert len(spectrum.features()) == count


def test_exact_fisher_is_symmetric_and_positive():
    model = small()
    matrix = exact_fisher(model, draw(5, 4)).matrix
    np.testing.assert_allclose(matrix, matrix.T)
    assert np.linalg.eigvalsh(matrix).min() > -1e-7
