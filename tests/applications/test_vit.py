"""ViT-Tiny: counts at 224 pixels, the computation, any patch, its own arguments."""

import keras
import numpy as np
import pytest
from keras_actfn.applications import ViTTiny
from reference.transformers import vit, weights_of

SMALL = {"width": 12, "depth": 2, "heads": 3, "classes": 4}


def spread(model, seed=0):
    """Give every weight values that matter: none is zero or one."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(0.1, 0.4, w.shape).astype("float32") for w in model.weights])
    return model


@pytest.mark.once
def test_parameters_at_224_pixels():
    with keras.StatelessScope(initialize_variables=False):
        model = ViTTiny("crrelu", input_shape=(224, 224, 3), patch_size=16, classes=1000)
    assert sum(int(np.prod(w.shape)) for w in model.weights) == 5_754_472 + 12


def test_computes_the_reference():
    model = spread(ViTTiny("gelu", (8, 12, 3), classifier_activation=None, **SMALL))
    images = np.random.default_rng(1).normal(size=(2, 8, 12, 3)).astype("float32")
    expected = vit(weights_of(model), images, patch=4, depth=2, heads=3)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(model(images)), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.once
@pytest.mark.parametrize(
    ("shape", "patch", "tokens"),
    [
        ((28, 28, 1), 7, 16),
        ((28, 28, 1), (14, 4), 14),
        ((30, 17, 3), 8, 12),
        ((5, 5, 2), 5, 1),
        ((4, 4, 1), 1, 16),
    ],
)
def test_any_image_and_patch_size(shape, patch, tokens):
    model = ViTTiny(input_shape=shape, patch_size=patch, **SMALL)
    assert model.get_layer("positions").positions.shape == (tokens + 1, 12)
    assert model.compute_output_shape((None, *shape)) == (None, 4)


@pytest.mark.once
def test_padding_is_zeros_beyond_the_last_patch():
    # A 7×7 image in patches of 4 is an 8×8 image whose last row and column are zeros.
    small = spread(ViTTiny(input_shape=(7, 7, 1), **SMALL))
    full = ViTTiny(input_shape=(8, 8, 1), **SMALL)
    full.set_weights(small.get_weights())
    images = np.random.default_rng(0).random((2, 8, 8, 1), "float32")
    images[:, 7], images[:, :, 7] = 0, 0
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(small(images[:, :7, :7])),
        keras.ops.convert_to_numpy(full(images)),
        rtol=1e-5,
    )


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"patch_size": 0}, r"patch_size is a positive integer or a pair"),
        ({"patch_size": (4, 4, 4)}, r"Received: patch_size=\(4, 4, 4\)"),
        ({"heads": 5}, r"heads divide the width evenly. Received: width=192 and heads=5"),
        ({"depth": 0}, r"depth is a positive integer. Received: depth=0"),
        ({"width": 1.5}, "width is a positive integer"),
        ({"input_shape": (8, 8, 3), "patch_size": 16}, "at least 16×16 pixels"),
    ],
)
def test_bad_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        ViTTiny(**arguments)
