"""DeiT-Tiny: counts at 224 pixels, both heads and their mean."""

import keras
import numpy as np
import pytest
from keras_actfn.applications import DeiTTiny
from reference.transformers import deit, softmax, weights_of


@pytest.mark.once
def test_parameters_at_224_pixels():
    with keras.StatelessScope(initialize_variables=False):
        model = DeiTTiny("crrelu", input_shape=(224, 224, 3), patch_size=16, classes=1000)
    assert sum(int(np.prod(w.shape)) for w in model.weights) == 5_910_800 + 12


def test_computes_the_mean_of_its_heads():
    model = DeiTTiny("gelu", (8, 4, 3), classes=4, width=12, depth=2)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0.1, 0.4, w.shape).astype("float32") for w in model.weights])
    images = rng.normal(size=(2, 8, 4, 3)).astype("float32")
    heads = deit(weights_of(model), images, patch=4, depth=2, heads=3)
    assert np.abs(heads[0] - heads[1]).max() > 0.1
    expected = softmax((heads[0] + heads[1]) / 2)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(model(images)), expected, rtol=1e-4, atol=1e-6
    )
