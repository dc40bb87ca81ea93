"""TNT-Small: the computation, any patch, its own arguments."""

import keras
import numpy as np
import pytest
from keras_actfn.applications import TNTSmall
from reference.transformers import tnt, weights_of

SMALL = {"width": 12, "depth": 2, "heads": 3, "pixel_width": 8, "pixel_heads": 2, "classes": 4}


def test_computes_the_reference():
    model = TNTSmall("gelu", (8, 12, 3), pixel_stride=2, classifier_activation=None, **SMALL)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0.1, 0.4, w.shape).astype("float32") for w in model.weights])
    images = rng.normal(size=(2, 8, 12, 3)).astype("float32")
    expected = tnt(weights_of(model), images, 4, 2, depth=2, heads=3, pixel_heads=2)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(model(images)), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.once
@pytest.mark.parametrize(
    ("shape", "patch", "patches", "pixels"),
    [
        ((224, 224, 3), 16, 196, 16),
        ((28, 28, 1), 7, 16, 49),
        ((28, 28, 1), 14, 4, 49),
        ((30, 17, 3), (8, 4), 20, 2),
        ((9, 9, 1), 9, 1, 9),
    ],
)
def test_any_image_and_patch_size(shape, patch, patches, pixels):
    model = TNTSmall(input_shape=shape, patch_size=patch, **SMALL)
    assert model.get_layer("positions").positions.shape == (patches + 1, 12)
    assert model.get_layer("pixel_positions").positions.shape == (pixels, 8)


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (
            {"pixel_stride": 3},
            "pixel_stride divides the sides of a patch. Received: pixel_stride=3",
        ),
        ({"pixel_width": 25}, r"pixels.*: the heads divide the width evenly"),
        ({"heads": 7}, r"heads divide the width evenly. Received: width=384 and heads=7"),
    ],
)
def test_bad_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        TNTSmall(**arguments)
