"""The networks' own layers against NumPy references and against `keras.applications`."""

import keras
import numpy as np
import pytest
from keras_actfn.applications import MODELS, ResNet50
from keras_actfn.applications.local_response_normalization import LocalResponseNormalization
from keras_actfn.applications.patches import FoldPatches, ResizeToMultiple, UnfoldPatches
from keras_actfn.applications.relative_attention import RelativeAttention
from keras_actfn.applications.separable_attention import AttentionContext
from reference import networks


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize(
    ("size", "alpha", "beta", "k"), [(5, 1e-4, 0.75, 1.0), (3, 0.7, 0.5, 2.0), (9, 1.0, 0.75, 1.0)]
)
def test_local_response_normalization(size, alpha, beta, k):
    x = 3 * normal(2, 3, 2, 7)
    expected = networks.local_response_normalization(x, size, alpha, beta, k)
    last = LocalResponseNormalization(size, alpha, beta, k)
    np.testing.assert_allclose(numbers(last(x)), expected, rtol=1e-5)
    first = LocalResponseNormalization(size, alpha, beta, k, axis=1)
    actual = np.moveaxis(numbers(first(np.moveaxis(x, -1, 1))), 1, -1)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    copy = LocalResponseNormalization.from_config(first.get_config())
    np.testing.assert_array_equal(
        numbers(copy(np.moveaxis(x, -1, 1))), numbers(first(np.moveaxis(x, -1, 1)))
    )


@pytest.mark.once
@pytest.mark.parametrize("size", [4, 0, 2.0])
def test_local_response_normalization_refuses_even_sizes(size):
    with pytest.raises(ValueError, match="positive odd number"):
        LocalResponseNormalization(size)


@pytest.mark.once
def test_alexnet_uses_caffes_normalization():
    model = MODELS["alexnet"](input_shape=(67, 67, 3), classes=2)
    x = np.random.default_rng(0).random((1, 67, 67, 3), "float32")
    names = ("activation_1", "lrn_1", "activation_2", "lrn_2")
    taps = keras.Model(model.input, [model.get_layer(name).output for name in names])
    for layer in taps.layers:  # Caffe's start gives values so small that nothing would change
        if layer.weights:
            layer.set_weights([1e3 * w for w in layer.get_weights()])
    before_1, after_1, before_2, after_2 = (numbers(y) for y in taps(x))
    for before, after in ((before_1, after_1), (before_2, after_2)):
        expected = networks.local_response_normalization(before, 5, 1e-4, 0.75, 1.0)
        assert np.abs(expected / np.where(before, before, 1) - 1).max() > 0.1
        np.testing.assert_allclose(after, expected, rtol=1e-4)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_patches(data_format):
    x = normal(2, 4, 6, 3)
    maps = x if data_format == "channels_last" else np.moveaxis(x, -1, 1)
    unfold = UnfoldPatches(2, data_format)
    patches = unfold(maps)
    np.testing.assert_array_equal(numbers(patches), networks.unfold(x, 2))
    assert unfold.compute_output_shape(maps.shape) == patches.shape
    fold = FoldPatches(4, 6, 2, data_format)
    np.testing.assert_array_equal(numbers(fold(patches)), maps)
    assert fold.compute_output_shape(patches.shape) == maps.shape


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_maps_of_odd_size_are_enlarged_bilinearly(data_format):
    from keras_actfn.datasets import resize_images

    x = normal(2, 5, 5, 3)
    layer = ResizeToMultiple(2, data_format)
    maps = x if data_format == "channels_last" else np.moveaxis(x, -1, 1)
    y = numbers(layer(maps))
    assert layer.compute_output_shape(maps.shape) == y.shape
    y = y if data_format == "channels_last" else np.moveaxis(y, 1, -1)
    np.testing.assert_allclose(y, resize_images(x, 6), atol=1e-5)
    same = normal(1, 4, 4, 4)
    np.testing.assert_array_equal(numbers(layer(same)), same)


def test_separable_attention():
    x = normal(2, 4, 3, 9)
    context, value = AttentionContext()(x)
    expected_context, expected_value = networks.separable_context(x)
    np.testing.assert_allclose(numbers(context), expected_context, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(numbers(value), expected_value)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_relative_attention(data_format):
    x = normal(2, 3, 4, 24)
    bias = normal(5, 7, 2, seed=1)
    maps = x if data_format == "channels_last" else np.moveaxis(x, -1, 1)
    layer = RelativeAttention(2, data_format)
    layer.build(maps.shape)
    assert not numbers(layer.bias).any()
    layer.set_weights([bias.reshape(-1, 2)])
    y = numbers(layer(maps))
    assert layer.compute_output_shape(maps.shape) == y.shape
    y = y if data_format == "channels_last" else np.moveaxis(y, 1, -1)
    np.testing.assert_allclose(y, networks.relative_attention(x, 2, bias), rtol=1e-4, atol=1e-5)


def test_a_step_trains_what_lies_before_each_layer():
    """All of them in one model, which costs less than the networks that have them."""
    inputs = keras.Input((5, 5, 3))
    x = keras.layers.Conv2D(4, 1)(inputs)
    x = UnfoldPatches(2)(ResizeToMultiple(2)(LocalResponseNormalization(3, alpha=1.0)(x)))
    context, value = AttentionContext()(keras.layers.Dense(9)(x))
    x = FoldPatches(6, 6, 2)(keras.layers.Multiply()([context, value]))
    x = RelativeAttention(2)(keras.layers.Conv2D(12, 1)(x))
    x = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(x))
    model = keras.Model(inputs, x)
    before = [numbers(v) for v in model.trainable_variables]
    # Lion follows the gradient's sign, so that every weight with a gradient moves.
    model.compile(keras.optimizers.Lion(1e-3), "sparse_categorical_crossentropy")
    loss = model.fit(normal(3, 5, 5, 3), np.arange(3), verbose=0).history["loss"][0]
    assert np.isfinite(loss)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert (numbers(variable) != old).any(), variable.path


@pytest.mark.once
def test_relative_attention_refuses_channels_that_do_not_split():
    with pytest.raises(ValueError, match="queries, keys and values"):
        RelativeAttention(2)(normal(1, 2, 2, 10))


@pytest.mark.once
def test_the_last_maps_of_mobilevit_v2_have_6_by_6_pixels():
    with keras.StatelessScope(initialize_variables=False):
        model = MODELS["mobilevit_v2"]()
    assert model.get_layer("mb_6_project_norm").output.shape == (None, 5, 5, 256)
    assert model.get_layer("vit_6_expand_norm").output.shape == (None, 6, 6, 256)


@pytest.mark.once
def test_heads_and_relative_positions_of_coatnet():
    with keras.StatelessScope(initialize_variables=False):
        model = MODELS["coatnet"]()
    attention = [layer for layer in model.layers if isinstance(layer, RelativeAttention)]
    assert [layer.heads for layer in attention] == [4, 8, 8, 8, 8, 8, 8, 16, 16]
    positions = [layer.bias.shape[0] for layer in attention]
    assert positions == [19**2] * 6 + [9**2] * 3


@pytest.mark.once
def test_resnet50_is_that_of_keras_applications():
    theirs = keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), classes=5)
    ours = ResNet50(input_shape=(32, 32, 3), classes=5)
    rng = np.random.default_rng(0)
    weights = [w + 0.1 * rng.random(w.shape, "float32") for w in theirs.get_weights()]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    paths = [[w.path.split("/", 1)[-1] for w in model.weights] for model in (ours, theirs)]
    assert paths[0] == paths[1]
    x = rng.random((2, 32, 32, 3), "float32")
    np.testing.assert_allclose(numbers(ours(x)), numbers(theirs(x)), rtol=1e-5)
