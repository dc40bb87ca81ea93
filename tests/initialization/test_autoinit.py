"""AutoInit: outputs of unit variance, measured on random inputs, for any activation."""

import keras
import numpy as np
import pytest
from keras import layers
from keras_actfn.applications import AllCNNC, ResNet56V2

from keras_actfn import activation
from keras_actfn._keras_activations import KERAS_ACTIVATIONS
from keras_actfn.initialization import autoinit
from keras_actfn.initialization.kernels import kernels, windows
from keras_actfn.initialization.signal_moments import Signal

pytestmark = pytest.mark.once

WEIGHTED = (layers.Dense, layers.Conv1D, layers.Conv2D, layers.DepthwiseConv2D)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def measured(model, x, kinds=WEIGHTED):
    """Variance of each weighted layer's outputs in training, by the layer's name."""
    found = [layer for layer in model.layers if isinstance(layer, kinds)]
    taps = keras.Model(model.inputs, [layer.output for layer in found])
    outputs = taps(x, training=True)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    values = (keras.ops.convert_to_numpy(y) for y in outputs)
    return {layer.name: float(y.var()) for layer, y in zip(found, values, strict=True)}


@pytest.mark.parametrize(
    "spec", ["relu", "tanh", "swish", "negative(relu(x))", "square(erfc(softplus(x)))"]
)
def test_all_cnn_c_has_unit_variance_everywhere(spec):
    keras.utils.set_random_seed(2)
    model = AllCNNC(activation=spec)
    # The start as it was is further off: the test would see a function that does nothing.
    before = measured(model, noise(8, 32, 32, 3))
    assert max(abs(np.log(v)) for v in before.values()) > np.log(1.2)
    report = autoinit(model)
    assert not report.unknown
    assert [row.layer for row in report.layers] == [f"conv_{i}" for i in range(1, 10)]
    for name, variance in measured(model, noise(24, 32, 32, 3)).items():
        assert variance == pytest.approx(1, abs=0.1), name


@pytest.mark.parametrize(
    "spec", ["relu", "pwl(knots=9,initial=tanh,axis=-1)", "crrelu", "aff(identity,relu,tanh)"]
)
def test_a_graph_with_everything(spec):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 4))
    x = layers.Conv2D(48, 3, padding="same", name="first")(inputs)
    x = activation(spec)(x)
    left = layers.MaxPooling2D(2)(x)
    right = layers.AveragePooling2D(2)(x)
    x = layers.Concatenate()([left, right])
    x = layers.Conv2D(64, 3, padding="same", name="second")(x)
    x = layers.BatchNormalization()(x)
    x = activation(spec)(x)
    y = layers.Conv2D(64, 1, name="third")(x)
    x = layers.Add()([x, activation(spec)(y)])
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Dropout(0.3)(layers.LayerNormalization()(activation(spec)(x)))
    x = layers.Flatten()(layers.ZeroPadding2D(1)(x))
    x = layers.Dense(200, name="dense")(x)
    outputs = layers.Dense(10, activation="softmax", name="last")(activation(spec)(x))
    model = keras.Model(inputs, outputs)
    report = autoinit(model)
    assert not report.unknown
    found = measured(keras.Model(inputs, x), noise(64, 16, 16, 4))
    assert set(found) == {"first", "second", "third", "depthwise", "dense"}
    for name, variance in found.items():
        assert variance == pytest.approx(1, abs=0.2), name
    assert all(
        np.abs(layer.get_weights()[1]).max() == 0 for layer in model.layers if layer.name == "dense"
    )


def test_input_statistics_count():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((100,)), layers.Dense(300, name="dense")])
    report = autoinit(model, input_mean=3.0, input_variance=4.0)
    x = 3 + 2 * noise(500, 100)
    assert measured(model, x)["dense"] == pytest.approx(1, rel=0.03)
    y = keras.ops.convert_to_numpy(model(x))
    assert np.abs(y.mean(0)).max() < 0.2  # centred: a mean of 3 in 100 inputs does not pass
    assert report.layers[0].input_mean == pytest.approx(3.0)
    assert report.layers[0].centred


def test_nested_and_shared_layers_are_scaled_once():
    keras.utils.set_random_seed(0)
    shared = layers.Dense(64, activation="relu", name="shared")
    inner = keras.Sequential([keras.Input((64,)), layers.Dense(64, name="inner")], name="nest")
    inputs = keras.Input((64,))
    outputs = shared(inner(shared(inputs)))
    model = keras.Model(inputs, outputs)
    report = autoinit(model)
    assert [row.layer.split("/")[-1] for row in report.layers] == ["shared", "inner"]
    assert not report.unknown


@pytest.mark.parametrize("change", ["int8", "lora"])
def test_quantized_and_adapted_layers_are_listed_and_left_alone(change):
    model = keras.Sequential(
        [
            keras.Input((8, 3)),
            layers.Conv1D(4, 2, activation="relu", name="conv"),
            layers.Dense(8, activation="relu", name="dense"),
            layers.Dense(2, name="out"),
        ]
    )
    changed = ["dense"] if change == "int8" else ["conv", "dense"]
    for name in changed:
        layer = model.get_layer(name)
        layer.quantize("int8") if change == "int8" else layer.enable_lora(2)
    before = {
        name: [keras.ops.convert_to_numpy(v) for v in model.get_layer(name).variables]
        for name in changed
    }
    report = autoinit(model)
    reason = "its weights are quantized (int8)" if change == "int8" else "adapters (LoRA)"
    assert [path.split("/")[-1] for path, _ in report.unknown] == changed
    assert all(reason in text for _, text in report.unknown)
    for name, values in before.items():
        for old, now in zip(values, model.get_layer(name).variables, strict=True):
            np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(now))
    assert "out" in [row.layer.split("/")[-1] for row in report.layers]


def test_unknown_layers_are_listed_and_left_alone():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 8))
    x = layers.MultiHeadAttention(2, 4, name="attention")(inputs, inputs)
    x = layers.Activation("softmax", name="softmax")(x)
    outputs = layers.Dense(3, name="dense")(x)
    model = keras.Model(inputs, outputs)
    before = model.get_layer("attention").get_weights()
    report = autoinit(model)
    assert [path for path, _ in report.unknown] == ["attention", "softmax"]
    assert "weights of a MultiHeadAttention" in report.unknown[0][1]
    assert "softmax is not a function of one value" in str(report)
    for a, b in zip(before, model.get_layer("attention").get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [row.layer for row in report.layers] == ["dense"]


def test_activations_without_variance_or_moments_are_listed():
    constant = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(8, name="a"),
            activation("zero", name="flat"),
            layers.Dense(4, name="b"),
        ]
    )
    report = autoinit(constant)
    assert [path for path, _ in report.unknown] == ["sequential/b"]
    assert "variance 0" in report.unknown[0][1]
    steep = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Activation(lambda x: keras.ops.exp(x * x * x), name="steep"),
            layers.Dense(4, name="b"),
            layers.Dense(4),
        ]
    )
    assert autoinit(steep).unknown[0] == ("steep", "its values have no finite mean and variance")


def test_behind_a_constant_function_sizes_may_change():
    stages = [
        part
        for name in "abc"
        for part in (
            layers.ZeroPadding2D(1),
            layers.Conv2D(2, 3, strides=2, name=name),
            activation("add(zero(x),zero(x))"),
        )
    ]
    report = autoinit(keras.Sequential([keras.Input((28, 28, 1)), *stages]))
    assert [row.layer.split("/")[-1] for row in report.layers] == ["a"]
    assert [path.split("/")[-1] for path, _ in report.unknown] == ["b", "c"]


def test_residual_networks_are_covered():
    model = ResNet56V2(blocks=1)
    report = autoinit(model)
    assert not report.unknown
    assert len(report.layers) == sum(isinstance(layer, WEIGHTED) for layer in model.layers)


def test_refusals():
    with pytest.raises(ValueError, match="a Sequential that is not built"):
        autoinit(keras.Sequential([layers.Dense(3)]))
    with pytest.raises(ValueError, match=r"positive variance\. Received: .*input_variance=0"):
        autoinit(AllCNNC(), input_variance=0)


@pytest.mark.parametrize(
    ("padding", "strides", "dilation"),
    [("same", 1, 1), ("same", 2, 1), ("valid", 2, 1), ("same", 1, 2)],
)
@pytest.mark.parametrize("n", [7, 8])
def test_windows_are_what_the_convolution_sums(padding, strides, dilation, n):
    layer = layers.Conv2D(
        1, 3, strides=strides, padding=padding, dilation_rate=dilation, kernel_initializer="ones"
    )
    x = noise(1, n, n, 1)
    y = keras.ops.convert_to_numpy(layer(x))[0, ..., 0]
    (rows, _), (columns, _) = windows(layer, x.shape)
    np.testing.assert_allclose(y, rows @ x[0, ..., 0] @ columns.T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mean", [0.0, 0.7])
def test_kernels_predict_the_moments_of_many_draws(mean):
    layer = layers.Conv2D(
        400,
        3,
        padding="same",
        kernel_initializer=keras.initializers.RandomNormal(0.02, 0.1, seed=0),
    )
    layer.build((None, 5, 5, 2))
    (kernel,) = kernels(layer, (None, 5, 5, 2))
    predicted = kernel.outputs(Signal.gaussian(mean, 2.0))
    y = keras.ops.convert_to_numpy(layer(mean + np.sqrt(2).astype("float32") * noise(400, 5, 5, 2)))
    np.testing.assert_allclose(predicted.means, y.mean((0, 3)), atol=0.03)
    np.testing.assert_allclose(predicted.variances, y.var((0, 3)), rtol=0.12)
    assert predicted.variance == pytest.approx(y.var(), rel=0.05)


def init_behind(function):
    inputs = keras.Input((8,))
    kernel = keras.initializers.RandomNormal(seed=1)
    outputs = layers.Dense(4, kernel_initializer=kernel)(function(inputs))
    return autoinit(keras.Model(inputs, outputs), input_mean=0.5)


# keras.ops.gelu is approximate, keras.activations.gelu is not.
@pytest.mark.parametrize(
    "name", [name for name in KERAS_ACTIVATIONS if hasattr(keras.ops, name) and name != "gelu"]
)
def test_operations_count_as_the_layers_of_the_same_function(name):
    row = KERAS_ACTIVATIONS[name]
    arguments = (0.5, -1.0) if row.needs_arguments else ()
    report = init_behind(lambda x: getattr(keras.ops, name)(x, *arguments))
    if not row.elementwise:
        assert len(report.unknown) == 1 and "is not a function of one value" in str(report)
        return
    expected = init_behind(layers.Activation(lambda x: row.function(x, *arguments)))
    assert not report.unknown
    assert report.layers[0].scale == pytest.approx(expected.layers[0].scale, rel=1e-6)


@pytest.mark.parametrize("layer", [layers.Softmax, lambda: layers.Activation("sparsemax")])
def test_functions_that_mix_entries_are_unknown(layer):
    inputs = keras.Input((8,))
    report = autoinit(keras.Model(inputs, layers.Dense(4)(layer()(inputs))))
    assert "is not a function of one value" in report.unknown[0][1]
