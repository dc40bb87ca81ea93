"""Every layer kind against the dense Fisher information, where the Kronecker form is exact."""

import keras
import numpy as np
import pytest
from keras import layers
from reference.fisher import dense_softmax_fisher, kronecker_eigenvalues

from keras_actfn.fisher import TREATMENTS, exact_fisher, fisher_spectrum
from keras_actfn.layers import LearnableActivation

CPU_LACKS_CHANNELS_FIRST = keras.backend.backend() == "tensorflow"

# One linear layer under the squared error is exact for any number of locations.
SINGLE = {
    "dense": ("Dense", dict(units=3), (4,)),
    "dense without bias": ("Dense", dict(units=3, use_bias=False), (4,)),
    "dense on sequences": ("Dense", dict(units=3), (5, 4)),
    "dense on maps": ("Dense", dict(units=2), (2, 3, 4)),
    "einsum": (
        "EinsumDense",
        dict(equation="abc,cd->abd", output_shape=(None, 3), bias_axes="d"),
        (5, 4),
    ),
    "einsum heads": (
        "EinsumDense",
        dict(equation="abc,cde->abde", output_shape=(None, 2, 3), bias_axes="de"),
        (3, 4),
    ),
    "einsum ellipsis": (
        "EinsumDense",
        dict(equation="...x,xy->...y", output_shape=3, bias_axes="y"),
        (2, 4),
    ),
    "einsum groups": (
        "EinsumDense",
        dict(equation="abhc,hcd->abhd", output_shape=(None, 2, 3), bias_axes="hd"),
        (3, 2, 4),
    ),
    "conv1d": ("Conv1D", dict(filters=3, kernel_size=3), (6, 2)),
    "conv1d causal": (
        "Conv1D",
        dict(filters=2, kernel_size=3, padding="causal", dilation_rate=2),
        (6, 2),
    ),
    "conv2d": ("Conv2D", dict(filters=3, kernel_size=3), (5, 4, 2)),
    "conv2d same": ("Conv2D", dict(filters=2, kernel_size=(3, 2), padding="same"), (4, 5, 2)),
    "conv2d stride": (
        "Conv2D",
        dict(filters=3, kernel_size=3, strides=2, padding="same"),
        (6, 5, 2),
    ),
    "conv2d stride valid": ("Conv2D", dict(filters=3, kernel_size=2, strides=(2, 3)), (6, 5, 2)),
    "conv2d dilation": (
        "Conv2D",
        dict(filters=2, kernel_size=3, dilation_rate=2, padding="same"),
        (5, 5, 2),
    ),
    "conv2d groups": ("Conv2D", dict(filters=4, kernel_size=3, groups=2), (4, 4, 4)),
    "conv2d pointwise stride": (
        "Conv2D",
        dict(filters=3, kernel_size=1, strides=2, padding="same"),
        (5, 4, 2),
    ),
    "conv2d channels first": (
        "Conv2D",
        dict(filters=3, kernel_size=3, data_format="channels_first", padding="same"),
        (2, 4, 3),
    ),
    "conv3d": ("Conv3D", dict(filters=2, kernel_size=2, strides=(1, 1, 2)), (3, 3, 4, 2)),
    "conv1d transpose": ("Conv1DTranspose", dict(filters=2, kernel_size=3, strides=2), (4, 2)),
    "conv2d transpose": (
        "Conv2DTranspose",
        dict(filters=2, kernel_size=3, strides=2, padding="same"),
        (3, 2, 2),
    ),
    "conv2d transpose stride 1": (
        "Conv2DTranspose",
        dict(filters=2, kernel_size=(2, 3), padding="same"),
        (3, 3, 2),
    ),
    "conv2d transpose even": (
        "Conv2DTranspose",
        dict(filters=2, kernel_size=4, strides=2, padding="same", use_bias=False),
        (2, 3, 1),
    ),
    "conv3d transpose": (
        "Conv3DTranspose",
        dict(filters=1, kernel_size=2, strides=2),
        (2, 2, 1, 2),
    ),
}


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def sequential(*parts):
    model = keras.Sequential(list(parts))
    randomize(model)
    return model


def randomize(model):
    generator = np.random.default_rng(7)
    for weight in model.trainable_variables:
        weight.assign(0.5 * generator.normal(size=weight.shape))


def eigenvalues(matrix):
    return np.linalg.eigvalsh(matrix)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5 * expected.max())


def assert_blocks_exact(model, x, spectrum, exact):
    """Each block's eigenvalues are those of its layer's part of the dense matrix."""
    start = 0
    for block in spectrum.blocks:
        stop = start + block.parameters
        close(kronecker_eigenvalues(block.pairs), eigenvalues(exact.matrix[start:stop, start:stop]))
        start = stop
    assert start == len(exact.matrix)


@pytest.mark.parametrize("name", SINGLE)
def test_single_layer_is_exact(name):
    kind, arguments, shape = SINGLE[name]
    if "channels_first" in str(arguments) and CPU_LACKS_CHANNELS_FIRST:
        pytest.skip("TensorFlow has no channels-first convolution on a CPU")
    model = sequential(layers.Input(shape), getattr(layers, kind)(**arguments))
    x = draw(3, *shape)
    spectrum = fisher_spectrum(model, x, loss="mse")
    assert not spectrum.uncovered
    assert_blocks_exact(model, x, spectrum, exact_fisher(model, x, loss="mse"))


DEPTHWISE = [("DepthwiseConv1D", (6,)), ("DepthwiseConv2D", (5, 4))]
SEPARABLE = [("SeparableConv1D", (4,)), ("SeparableConv2D", (4, 4))]


@pytest.mark.parametrize("kind, shape", DEPTHWISE)
def test_depthwise_is_exact_for_equal_channels(kind, shape):
    model = sequential(
        layers.Input((*shape, 3)),
        getattr(layers, kind)(3, strides=2, padding="same", depth_multiplier=2),
    )
    x = np.repeat(draw(3, *shape, 1), 3, axis=-1)
    spectrum = fisher_spectrum(model, x, loss="mse")
    assert_blocks_exact(model, x, spectrum, exact_fisher(model, x, loss="mse"))


@pytest.mark.parametrize("kind, shape", SEPARABLE)
def test_separable_is_exact_for_equal_channels_and_one_location(kind, shape):
    model = sequential(layers.Input((*shape, 2)), getattr(layers, kind)(3, 4, activation="tanh"))
    x = np.repeat(draw(1, *shape, 1), 2, axis=-1)
    spectrum = fisher_spectrum(model, x, loss="mse")
    assert [name.rpartition("/")[2] for name in spectrum.layers] == ["depthwise", "pointwise"]
    assert_blocks_exact(model, x, spectrum, exact_fisher(model, x, loss="mse"))


def test_embedding_is_exact_alone():
    model = sequential(layers.Input((4,), dtype="int32"), layers.Embedding(5, 3))
    x = np.array([[0, 1, 1, 4], [2, 2, 2, 0]])
    spectrum = fisher_spectrum(model, x, loss="mse")
    assert_blocks_exact(model, x, spectrum, exact_fisher(model, x, loss="mse"))


def test_bias_shared_over_outputs_has_its_own_exact_block():
    model = sequential(
        layers.Input((3, 4)),
        layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 3), bias_axes="e"),
    )
    x = draw(3, 3, 4)
    spectrum = fisher_spectrum(model, x, loss="mse")
    assert [b.parameters for b in spectrum.blocks] == [24, 3]
    assert_blocks_exact(model, x, spectrum, exact_fisher(model, x, loss="mse"))


def test_deep_linear_network_is_exact():
    model = sequential(
        layers.Input((3, 3, 2)),
        layers.Conv2D(4, 3),
        layers.Flatten(),
        layers.Dense(3),
        layers.Dense(2),
    )
    x = draw(9, 3, 3, 2)
    spectrum = fisher_spectrum(model, x, loss="mse")
    assert_blocks_exact(model, x, spectrum, exact_fisher(model, x, loss="mse"))


def test_deep_linear_network_of_locations_is_exact():
    model = sequential(
        layers.Input((3, 2, 2)), layers.Conv2D(3, 1), layers.Dense(3), layers.Conv2D(2, 1)
    )
    x = draw(5, 3, 2, 2)
    spectrum = fisher_spectrum(model, x, loss="mse")
    assert_blocks_exact(model, x, spectrum, exact_fisher(model, x, loss="mse"))


@pytest.mark.parametrize("mode", ["exact", "sampled", "empirical", "ggn"])
@pytest.mark.parametrize(
    "loss, activation", [("softmax", "softmax"), ("sigmoid", "sigmoid"), ("mse", None)]
)
def test_single_example_is_exact(mode, loss, activation):
    model = sequential(
        layers.Input((4,)),
        layers.Dense(5, activation="tanh"),
        layers.Dense(3, activation=activation),
    )
    names = {"softmax": "softmax_crossentropy", "sigmoid": "binary_crossentropy", "mse": "mse"}
    x, y = draw(1, 4), np.array([[0.0, 1.0, 0.0]])
    arguments = dict(mode=mode, loss=names[loss], seed=3)
    spectrum = fisher_spectrum(model, x, y, **arguments)
    assert_blocks_exact(model, x, spectrum, exact_fisher(model, x, y, **arguments))


def test_dense_fisher_equals_its_closed_form():
    model = sequential(layers.Input((4,)), layers.Dense(3, activation="softmax"))
    x = draw(6, 4)
    exact = exact_fisher(model, x)
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(exact.matrix, dense_softmax_fisher(x, kernel, bias), atol=1e-6)
    path = model.layers[0].kernel.path
    assert exact.indices(path).shape == (4, 3)
    np.testing.assert_array_equal(exact.block(exact.indices(path)), exact.matrix[:12, :12])


def test_layer_used_twice():
    shared = layers.Dense(3, name="shared")
    a, b = layers.Input((4,)), layers.Input((4,))
    model = keras.Model([a, b], layers.Concatenate()([shared(a), shared(b)]))
    randomize(model)
    x = draw(5, 8)
    spectrum = fisher_spectrum(model, [x[:, :4], x[:, 4:]], loss="mse")
    joined = np.stack([x[:, :4], x[:, 4:]], axis=1)
    alone = sequential(layers.Input((2, 4)), layers.Dense(3))
    expected = fisher_spectrum(alone, joined, loss="mse")
    close(kronecker_eigenvalues(spectrum[0].pairs), kronecker_eigenvalues(expected[0].pairs))
    assert spectrum.layers == ["shared"]


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = layers.Dense(5)
        self.rest = [layers.Activation("tanh"), layers.Dense(3), layers.Softmax()]

    def call(self, x):
        x = self.first(x)
        for layer in self.rest:
            x = layer(x)
        return x


def test_forms_of_one_network_agree():
    x = draw(6, 4)
    fused = sequential(
        layers.Input((4,)),
        layers.Dense(5, activation="tanh"),
        layers.Dense(3, activation="softmax"),
    )
    subclassed = Subclassed()
    subclassed(x)
    inner = keras.Sequential([layers.Input((4,)), layers.Dense(5), layers.Activation("tanh")])
    nested = keras.Sequential([layers.Input((4,)), inner, layers.Dense(3), layers.Softmax()])
    logits = keras.Sequential(
        [layers.Input((4,)), layers.Dense(5, activation=layers.Activation("tanh")), layers.Dense(3)]
    )
    unseen = keras.Sequential(
        [
            layers.Input((4,)),
            layers.Dense(5, "tanh"),
            layers.Dense(3),
            layers.Lambda(keras.ops.softmax),
        ]
    )
    logits.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    unseen.compile(loss="sparse_categorical_crossentropy")
    expected = fisher_spectrum(fused, x)
    for model in (subclassed, nested, logits, unseen):
        model.set_weights(fused.get_weights())
        spectrum = fisher_spectrum(model, x)
        assert spectrum.settings["loss"] == "softmax_crossentropy"
        for a, b in zip(spectrum.blocks, expected.blocks, strict=True):
            close(kronecker_eigenvalues(a.pairs), kronecker_eigenvalues(b.pairs))


@pytest.mark.parametrize("kind", ["MultiHeadAttention", "GroupQueryAttention"])
def test_attention_projections(kind):
    x = layers.Input((1, 6))
    arguments = (2, 3) if kind == "MultiHeadAttention" else (3, 2, 1)
    model = keras.Model(x, getattr(layers, kind)(*arguments, name="attention")(x, x))
    randomize(model)
    data = draw(4, 1, 6)
    spectrum = fisher_spectrum(model, data, loss="mse")
    assert not spectrum.uncovered
    names = [name.rpartition("/")[2] for name in spectrum.layers]
    assert sorted(names) == ["attention_output", "key", "query", "value"]
    exact = exact_fisher(model, data, loss="mse")
    for name, block in zip(names, spectrum.blocks, strict=True):
        # With one position, attention passes the value on: query and key get no gradient.
        paths = [p for p in exact.paths if p.split("/")[-2] == name]
        expected = eigenvalues(exact.block(*(exact.indices(p) for p in paths)))
        assert block.parameters == len(expected)
        np.testing.assert_allclose(
            kronecker_eigenvalues(block.pairs), expected, rtol=1e-4, atol=1e-4
        )


class Gain(LearnableActivation):
    """A learnable activation as a user writes one, outside the package."""

    def build(self, input_shape):
        super().build(input_shape)
        self.add_parameter("gain", 1, keras.initializers.RandomUniform(0.5, 1.5, seed=0))

    def activate(self, x, gain):
        return keras.ops.tanh(x * gain[0])


NORMALIZATION, ACTIVATIONS = "include_normalization", "include_activations"
PARAMETERS = {
    "BatchNormalization": (layers.BatchNormalization, NORMALIZATION),
    "LayerNormalization": (layers.LayerNormalization, NORMALIZATION),
    "GroupNormalization": (lambda name: layers.GroupNormalization(1, name=name), NORMALIZATION),
    "RMSNormalization": (layers.RMSNormalization, NORMALIZATION),
    "PReLU": (layers.PReLU, ACTIVATIONS),
    "LearnableActivation": (lambda name: Gain(axis=-1, name=name), ACTIVATIONS),
}


@pytest.mark.parametrize("kind", PARAMETERS)
def test_parameter_blocks_are_exact(kind):
    layer, option = PARAMETERS[kind]
    model = keras.Sequential(
        [
            layers.Input((4,)),
            layers.Dense(3),
            layer(name="extra"),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.trainable_variables[0].assign(draw(4, 3))
    x = draw(5, 4)
    plain = fisher_spectrum(model, x)
    assert plain.layers == [name for name in plain.layers if name != "extra"]
    assert "extra" in plain.excluded and not plain.uncovered
    spectrum = fisher_spectrum(model, x, **{option: True})
    exact = exact_fisher(model, x)
    paths = [path for path in exact.paths if path.startswith(("extra", f"{model.name}/extra"))]
    expected = eigenvalues(exact.block(*(exact.indices(path) for path in paths)))
    close(kronecker_eigenvalues(spectrum["extra"].pairs), expected)


@pytest.mark.once
def test_every_treatment_has_a_case():
    cases = {kind for kind, *_ in [*SINGLE.values(), *DEPTHWISE, *SEPARABLE]}
    cases |= {*PARAMETERS, "Embedding"}
    assert {kind.__name__ for kind in TREATMENTS} == cases - {"PReLU", "LearnableActivation"}
