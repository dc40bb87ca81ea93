"""A Keras Hub backbone with random weights: its sites, other functions in them, a step."""

import keras
import keras_hub
import numpy as np
import pytest
from keras import ops

import keras_actfn
from keras_actfn.surgery import find_activations, replace_activations


def backbone(blocks=2, pre_activation=False):
    """A residual network of basic blocks, every weight and moving average random."""
    model = keras_hub.models.ResNetBackbone(
        [64],
        [3],
        [64] * blocks,
        [1] * blocks,
        [1, 2][:blocks],
        "basic_block",
        use_pre_activation=pre_activation,
        image_shape=(16, 16, 3),
        name="backbone",
    )
    rng = np.random.default_rng(0)
    model.set_weights(
        [
            rng.normal(0, 0.05, w.shape) if "kernel" in w.path else rng.random(w.shape) + 0.5
            for w in model.weights
        ]
    )
    return model


def images(n=2):
    return np.random.default_rng(1).normal(size=(n, 16, 16, 3)).astype("float32")


def out(model, x):
    return ops.convert_to_numpy(model(x, training=False))


# The stem's ReLU and two a block; before the convolutions, each block's first comes earlier and
# the last of all stands behind the blocks.
@pytest.mark.parametrize("pre_activation", [False, True])
def test_relu_by_relu_in_a_backbone_changes_no_output_bit(pre_activation):
    model = backbone(2, pre_activation)
    sites = find_activations(model)
    assert [site.activation for site in sites] == ["relu"] * 5
    assert all(site.replaceable and site.replaced_by_default for site in sites)
    new = replace_activations(model, "relu")
    assert [layer.name for layer in new.layers] == [layer.name for layer in model.layers]
    x = images()
    np.testing.assert_array_equal(out(new, x), out(model, x))
    assert np.ptp(out(model, x)) > 0.1


def test_a_backbone_with_learned_activations_trains():
    model, x = backbone(1), images(4)
    paths = {site.path for site in find_activations(model)}
    assert len(paths) == 3
    learned = replace_activations(model, "pwl")
    pwls = [layer for layer in learned.layers if isinstance(layer, keras_actfn.layers.PWL)]
    assert {layer.name for layer in pwls} == paths
    # A PWL starts as ReLU: its knots include the kink, and outside it goes on in a line.
    np.testing.assert_allclose(out(learned, x), out(model, x), rtol=1e-4, atol=1e-4)
    classifier = keras.Sequential(
        [learned, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]
    )
    classifier.compile(
        keras.optimizers.SGD(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    before = [ops.convert_to_numpy(layer.values) for layer in pwls]
    assert np.isfinite(classifier.train_on_batch(x, np.array([0, 1, 2, 0])))
    for layer, values in zip(pwls, before, strict=True):
        assert np.abs(ops.convert_to_numpy(layer.values) - values).max() > 0


@pytest.mark.once
def test_a_classifier_of_keras_hub_is_replaced_inside():
    head = keras_hub.models.ImageClassifier(
        backbone=backbone(), num_classes=3, activation="softmax"
    )
    sites = {site.path: site for site in find_activations(head)}
    assert sum(site.replaced_by_default for site in sites.values()) == 5
    new = replace_activations(head, "relu")
    np.testing.assert_array_equal(out(new, images()), out(head, images()))
