"""Which layers are covered: all kinds of Keras, users' own, late ones and those in loops."""

import inspect

import keras
import numpy as np
import pytest
from keras import layers
from reference.fisher import kronecker_eigenvalues

from keras_actfn.fisher import (
    ENGINES,
    TREATMENTS,
    LinearBlock,
    NotTreated,
    ParameterTreatment,
    Treatment,
    exact_fisher,
    fisher_spectrum,
    register_treatment,
)
from keras_actfn.layers import PWL

# Layers of Keras with trainable weights that have no block: spectra list them as uncovered.
WITHOUT_BLOCK = {
    "AdditiveAttention",  # one scale vector, inside a sum over keys
    "Attention",  # one scale
    "GRUCell",
    "LSTMCell",
    "ReversibleEmbedding",  # used as a matrix and as its transpose
    "SimpleRNNCell",
}
# Layers whose weights are statistics, states or those of another library.
NOT_TRAINED = {"Normalization", "SpectralNormalization", "STFTSpectrogram"}
FOREIGN = {"FlaxLayer", "JaxLayer", "TFSMLayer"}


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def randomized(model):
    generator = np.random.default_rng(7)
    for weight in model.trainable_variables:
        weight.assign(0.5 * generator.normal(size=weight.shape))
    return model


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5 * expected.max())


def exact_eigenvalues(exact, part):
    paths = [path for path in exact.paths if part in path]
    return np.linalg.eigvalsh(exact.block(*(exact.indices(path) for path in paths)))


def adds_weights(kind):
    for base in kind.__mro__:
        if base in (layers.Layer, object):
            return False
        if "add_weight(" in inspect.getsource(base):
            return True
    return False


@pytest.mark.once
def test_every_layer_of_keras_is_classified():
    public = [kind for kind in vars(layers).values() if inspect.isclass(kind)]
    missing = {
        kind.__name__
        for kind in public
        if issubclass(kind, layers.Layer)
        and not issubclass(kind, layers.RNN)  # its cell has the weights
        and adds_weights(kind)
        and not any(kind.call is base.call for base in kind.__mro__ if base in TREATMENTS)
        and kind is not layers.PReLU  # a learned activation
    }
    unknown = missing - WITHOUT_BLOCK - NOT_TRAINED - FOREIGN
    assert not unknown, "Give them a treatment, or list them here."


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_the_exact_spectrum(engine):
    if engine == "kfac_jax" and keras.backend.backend() != "jax":
        pytest.skip("kfac-jax needs the Keras backend JAX")
    model = randomized(keras.Sequential([layers.Input((4,)), layers.Dense(3, "softmax")]))
    x = draw(1, 4)
    spectrum = fisher_spectrum(model, x, engine=engine)
    expected = np.linalg.eigvalsh(exact_fisher(model, x).matrix)
    close(kronecker_eigenvalues(spectrum[0].pairs), expected)
    assert spectrum.settings["engine"] == engine


class Scale(layers.Layer):
    """A user's layer with a vector of weights."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

    def call(self, values):
        return values * self.scale


class Project(layers.Layer):
    """A user's layer with a matrix and an activation."""

    def __init__(self, units, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.units, self.activation = units, keras.activations.get(activation)

    def build(self, shape):
        self.matrix = self.add_weight(shape=(shape[-1], self.units), name="matrix")

    def call(self, values):
        return self.activation(keras.ops.matmul(values, self.matrix))


class ProjectTreatment(Treatment):
    def make_blocks(self):
        if self.layer.units == 1:
            raise NotTreated("one unit is a user's reason")
        return [LinearBlock(self.name, *self.layer.matrix.shape, bias=False)]

    def run(self, call, recorder, values):
        product = recorder.tap(self.blocks, values, keras.ops.matmul(values, self.layer.matrix))
        return self.layer.activation(product)


@pytest.fixture
def registered():
    before = dict(TREATMENTS)
    yield register_treatment
    TREATMENTS.clear()
    TREATMENTS.update(before)


def test_users_register_treatments_of_their_layers(registered):
    model = randomized(
        keras.Sequential(
            [
                layers.Input((4,)),
                Project(3, "tanh", name="project"),
                Scale(name="scaled"),
                layers.Dense(2, "softmax", name="head"),
            ]
        )
    )
    x = draw(1, 4)
    with pytest.warns(UserWarning, match="leaves out 2 layer"):
        assert fisher_spectrum(model, x).layers == ["head"]
    registered(Scale, ParameterTreatment)
    registered(Project, ProjectTreatment)
    spectrum, exact = fisher_spectrum(model, x), exact_fisher(model, x)
    assert spectrum.layers == ["project", "scaled", "head"] and not spectrum.uncovered
    for name in spectrum.layers:
        close(kronecker_eigenvalues(spectrum[name].pairs), exact_eigenvalues(exact, name))
    small = randomized(keras.Sequential([layers.Input((4,)), Project(1, name="project")]))
    with pytest.warns(UserWarning, match="one unit is a user's reason"):
        fisher_spectrum(small, x, loss="mse")


@pytest.mark.once
def test_bad_registrations_are_refused(registered):
    with pytest.raises(ValueError, match="Received: 'Dense' where a subclass of Layer"):
        registered("Dense", ParameterTreatment)
    with pytest.raises(ValueError, match="where a subclass of Treatment is needed"):
        registered(Scale, Scale)
    with pytest.raises(ValueError, match="for Dense, which has DenseTreatment"):
        registered(layers.Dense, ParameterTreatment)


LATE = {
    "Dense": lambda activation: layers.Dense(3, activation=activation),
    "Conv1D": lambda activation: layers.Conv1D(2, 2, activation=activation),
    "LSTM": lambda activation: layers.LSTM(2, activation=activation),
    "unrolled LSTM": lambda activation: layers.LSTM(2, activation=activation, unroll=True),
}


@pytest.mark.parametrize("kind", LATE)
def test_activations_inside_layers_are_built_and_exact(kind):
    model = keras.Sequential(
        [
            layers.Input((3, 4)),
            LATE[kind](PWL(knots=4, axis=-1, initial="tanh", name="inner")),
            layers.Flatten(),
            layers.Dense(2, "softmax"),
        ]
    )
    x = 3 * draw(4, 3, 4)
    excluded = fisher_spectrum(model, x).excluded
    assert any(name.endswith("inner") for name in excluded)
    spectrum = fisher_spectrum(model, x, include_activations=True)
    (name,) = (name for name in spectrum.layers if name.endswith("inner"))
    expected = exact_eigenvalues(exact_fisher(model, x), "inner")
    assert expected.max() > 1e-4
    close(kronecker_eigenvalues(spectrum[name].pairs), expected)


class Cell(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.state_size, self.dense = 3, layers.Dense(3, "tanh")

    def build(self, shape):
        self.dense.build((shape[0], shape[-1] + 3))

    def call(self, x, states):
        h = self.dense(keras.ops.concatenate([x, states[0]], axis=-1))
        return h, [h]


def test_layers_inside_a_loop_are_those_of_the_unrolled_loop():
    x, traces = draw(4, 5, 6), []
    for unroll in (False, True):
        model = keras.Sequential(
            [layers.Input((5, 6)), layers.RNN(Cell(), unroll=unroll), layers.Dense(2)]
        )
        spectrum = fisher_spectrum(randomized(model), x, loss="mse")
        assert len(spectrum.layers) == 2 and not spectrum.uncovered
        traces.append([block.summary()["trace"] for block in spectrum.blocks])
    np.testing.assert_allclose(*traces, rtol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_rematerialized_layers_are_those_of_the_plain_model(engine):
    if engine == "kfac_jax" and keras.backend.backend() != "jax":
        pytest.skip("kfac-jax needs the Keras backend JAX")
    x, found = draw(4, 6), []
    for mode in (None, "full"):
        with keras.RematScope(mode):
            model = keras.Sequential([layers.Input((6,)), layers.Dense(5, "tanh"), layers.Dense(2)])
        spectrum = fisher_spectrum(randomized(model), x, loss="mse", engine=engine)
        assert not spectrum.uncovered
        found.append([block.summary()["trace"] for block in spectrum.blocks])
    np.testing.assert_allclose(*found, rtol=1e-6)


def test_a_call_replaced_on_the_instance_is_not_covered():
    model = keras.Sequential([layers.Input((4,)), layers.Dense(3, name="odd"), layers.Dense(2)])
    dense = model.layers[0]
    call = dense.call
    object.__setattr__(dense, "call", lambda *args, **kwargs: 2 * call(*args, **kwargs))
    with pytest.warns(UserWarning, match="its `call` is replaced on the instance"):
        assert "odd" in fisher_spectrum(model, draw(3, 4), loss="mse").uncovered


def test_layers_that_are_never_built_are_named():
    class Unused(keras.Model):
        def __init__(self):
            super().__init__()
            self.used, self.spare = layers.Dense(2), layers.Dense(2, name="spare")

        def call(self, x):
            return self.used(x)

    model = Unused()
    model(draw(1, 4))
    with pytest.warns(UserWarning, match="the forward pass does not use it"):
        assert "spare" in fisher_spectrum(model, draw(3, 4), loss="mse").uncovered
