"""What is read of layers' inputs: masked ones, layers in loops, kinds of data."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_actfn.callbacks import EAFO, ActivationSnapshots, LocalCorrelation
from keras_actfn.layers import PWL
from keras_actfn.models.layer_inputs import Batches, LayerInputs, find_layers
from keras_actfn.surgery import compile_activations, replace_activations

WORDS, CLASSES = 20, 3


class Gated(keras.layers.Layer):
    """A user's layer of two layers, of which one holds the activation."""

    def __init__(self, dense, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.dense, self.gate = dense, keras.layers.Dense(3, "sigmoid")

    def build(self, input_shape):
        self.gate.build(input_shape)
        self.dense.build(input_shape)

    def call(self, x):
        return self.gate(x) * self.dense(x)


def make_dense(activation=None):
    return keras.layers.Dense(3, activation, name="words")


def make_pwl():
    return PWL(knots=5, low=-0.1, high=0.1, name="knots")


def make_model(make_body, length=None):
    """A classifier of sequences of words, padded with zeros at the end."""
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.layers.Input((length,)),
            keras.layers.Embedding(WORDS, 4, mask_zero=True),
            *make_body(),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(CLASSES, "softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


BODIES = {
    "a layer": lambda: [make_dense(), make_pwl()],
    "in a Dense layer": lambda: [make_dense(make_pwl())],
    "in a layer of a layer": lambda: [Gated(make_dense(make_pwl()))],
}


@pytest.mark.parametrize("body", BODIES)
def test_masked_inputs_are_told_from_others(body):
    generator = np.random.default_rng(1)
    x = generator.integers(1, WORDS, (8, 6)).astype("int32")
    x[np.arange(6) >= generator.integers(1, 6, (8, 1))] = 0
    model = make_model(BODIES[body])
    model(x)
    read = LayerInputs(model, find_layers(model), lambda _, *both: both, None, training=False)
    ((seen, valid),) = read(x)
    (dense,) = [layer for layer in model._flatten_layers() if layer.name == "words"]
    kernel, bias = (ops.convert_to_numpy(w) for w in (dense.kernel, dense.bias))
    expected = (ops.convert_to_numpy(model.layers[0](x)) @ kernel + bias)[x != 0]
    np.testing.assert_allclose(seen[valid], expected.ravel(), rtol=1e-5, atol=1e-7)
    assert valid.sum() == 3 * np.count_nonzero(x) and not seen[~valid].any()


def unpadded_and_padded():
    """Sequences of one length, and the same with padding behind."""
    x = np.random.default_rng(0).integers(1, WORDS, (30, 4)).astype("int32")
    return x, np.pad(x, [(0, 0), (0, 3)])


def of_snapshots(model, x, y, folder):
    callback = ActivationSnapshots(folder / f"{x.shape[1]}.npz", x, y, low=-0.1, high=0.1, bins=8)
    callback.set_model(model)
    callback.on_epoch_begin(0)
    return callback.snapshots().histograms["knots"]


def of_correlation(model, x, y, folder):
    callback = LocalCorrelation(x, y)
    callback.set_model(model)
    callback.update()
    return callback.statistics(0).means


def of_eafo(model, x, y, folder):
    callback = EAFO(x, batch_size=30, samples=900)
    callback.set_model(model)
    callback.on_epoch_end(0, {})
    return [(record.entropy_before, record.entropy_change) for record in callback.records]


def of_compile(model, x, y, folder):
    plain = make_model(lambda: [make_dense("tanh")])
    (site,) = compile_activations(plain, x, segments=3).sites
    return [site.rms, site.largest, site.rms_even]


def of_replace(model, x, y, folder):
    new = replace_activations(make_model(lambda: [make_dense("tanh")]), "pwl", data=x)
    (layer,) = find_layers(new)
    return [layer.low, layer.high]


@pytest.mark.parametrize(
    "measure",
    [of_snapshots, of_correlation, of_eafo, of_compile, of_replace],
    ids=lambda measure: measure.__name__,
)
def test_padding_changes_nothing(measure, tmp_path):
    found = []
    for x in unpadded_and_padded():
        model = make_model(BODIES["in a Dense layer"])
        model(x)
        found.append(measure(model, x, np.arange(30) % CLASSES, tmp_path))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-6)
    assert np.abs(found[0]).max() > 0


def test_data_of_padding_alone_is_refused():
    model, x = make_model(lambda: [make_dense("tanh")]), np.zeros((4, 5), "int32")
    with pytest.raises(ValueError, match="only masked inputs"):
        compile_activations(model, x)
    with pytest.raises(ValueError, match="only masked inputs"):
        replace_activations(model, "pwl", data=x)


@pytest.mark.parametrize("wrap", [lambda layer: layer, keras.layers.Bidirectional])
def test_a_layer_in_the_loop_of_a_recurrent_layer_is_refused(wrap, tmp_path):
    x, _ = unpadded_and_padded()
    loop = keras.layers.SimpleRNN(3, make_pwl(), return_sequences=True, name="loop")
    model = make_model(lambda: [wrap(loop)], length=4)
    model(x)
    callback = ActivationSnapshots(tmp_path / "a.npz", x, np.arange(30) % CLASSES)
    with pytest.raises(ValueError, match=r"'knots' in the recurrent layer '.*loop"):
        callback.set_model(model)


@pytest.mark.parametrize("masked", [True, False])
def test_steps_by_themselves_are_read_where_nothing_is_masked(masked):
    keras.utils.set_random_seed(5)
    steps = keras.layers.TimeDistributed(make_dense(make_pwl()), name="steps")
    words = keras.layers.Embedding(WORDS, 4, mask_zero=masked)
    model = keras.Sequential([keras.layers.Input((4,)), words, steps])
    x, _ = unpadded_and_padded()
    y = ops.convert_to_numpy(model(x))
    read = LayerInputs(model, find_layers(model), lambda _, *both: both, None, training=False)
    if masked:
        with pytest.raises(ValueError, match="'steps' of class TimeDistributed with masked"):
            read(x)
        return
    ((seen, valid),) = read(x)
    assert valid.all() and seen.size == y.size
    outputs = steps.layer.activation.evaluate(np.sort(seen, axis=None))
    np.testing.assert_allclose(np.sort(outputs, axis=None), np.sort(y, axis=None), atol=1e-6)


on_compilers = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="Keras's own layers fail in this mode on PyTorch"
)


@pytest.mark.parametrize("mode", ["full", pytest.param("activations", marks=on_compilers)])
def test_rematerialized_layers_are_read(mode):
    x, _ = unpadded_and_padded()
    found = []
    for scope in (keras.RematScope(mode), keras.RematScope(None)):
        with scope:
            model = make_model(BODIES["in a Dense layer"])
        model(x)
        modes = [layer._remat_mode for layer in model._flatten_layers()]
        read = LayerInputs(model, find_layers(model), lambda _, seen, valid: seen, None)
        found.append(read(x)[0])
        assert modes == [layer._remat_mode for layer in model._flatten_layers()]
    np.testing.assert_allclose(*found, rtol=1e-6)


def test_batches_take_what_fit_takes():
    pandas = pytest.importorskip("pandas")
    values = np.arange(24.0, dtype="float32").reshape(8, 3)
    y = np.arange(8) % 2
    kinds = [values, ops.convert_to_tensor(values), pandas.DataFrame(values)]
    labels = [y, ops.convert_to_tensor(y), pandas.Series(y, index=range(10, 18))]
    drawn = [next(Batches(a, b, batch_size=4, seed=3)) for a, b in zip(kinds, labels, strict=True)]
    for x, found in drawn:
        assert type(x) is np.ndarray
        np.testing.assert_array_equal(x, drawn[0][0])
        np.testing.assert_array_equal(found, x[:, 0] / 3 % 2)
