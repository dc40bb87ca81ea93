"""Every family of keras.applications: sites counted, functions exchanged, outputs equal."""

import collections

import keras
import numpy as np
import pytest
from keras import applications, ops

from keras_actfn.surgery import find_activations, replace_activations

#: Constructor, smallest size, other arguments, and the activations that are replaced by
#: default. The counts follow from the families' tables of blocks: EfficientNetB0, say, has a
#: stem, a top, one block of two (its squeeze included) and fifteen of three.
FAMILIES = [
    ("MobileNet", 32, {"alpha": 0.25}, {"relu6": 27}),
    ("MobileNetV2", 32, {"alpha": 0.35}, {"relu6": 35}),
    ("MobileNetV3Small", 32, {}, {"hard_silu": 19, "relu": 14}),
    ("ResNet50", 32, {}, {"relu": 49}),
    ("ResNet50V2", 32, {}, {"relu": 49}),
    ("DenseNet121", 32, {}, {"relu": 121}),
    ("EfficientNetB0", 32, {}, {"silu": 49}),
    ("EfficientNetV2B0", 32, {}, {"silu": 55}),
    ("InceptionV3", 75, {}, {"relu": 94}),
    ("InceptionResNetV2", 75, {}, {"relu": 243}),
    ("VGG16", 32, {"include_top": False}, {"relu": 13}),
    ("Xception", 71, {}, {"relu": 35}),
    ("ConvNeXtTiny", 32, {}, {"gelu": 18}),
]
ROWS = [pytest.param(*row, marks=pytest.mark.once) for row in FAMILIES]
if keras.backend.backend() == "tensorflow":  # Keras has no NASNet on PyTorch
    ROWS.append(("NASNetMobile", 32, {}, {"relu": 192}))


def quick_normal(self, shape, dtype=None):
    """Weights that keep the variance through relu, without a compilation for each shape."""
    depthwise = len(shape) == 4 and shape[-1] == 1
    fan_in = max(1, int(np.prod(shape[:2] if depthwise else shape[:-1])))
    values = np.random.default_rng(fan_in).standard_normal(shape, "float32")
    return ops.convert_to_tensor(values * np.float32((2 / fan_in) ** 0.5))


@pytest.mark.parametrize(("name", "size", "arguments", "counts"), ROWS, ids=lambda v: str(v)[:20])
def test_family(name, size, arguments, counts, monkeypatch):
    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", quick_normal)
    arguments = {"weights": None, "input_shape": (size, size, 3), **arguments}
    if arguments.get("include_top", True):
        arguments |= {"classes": 3, "classifier_activation": None}
    model = getattr(applications, name)(**arguments)
    sites = find_activations(model)
    assert all(site.replaceable for site in sites)
    assert collections.Counter(s.activation for s in sites if s.replaced_by_default) == counts
    new = model
    for activation in counts:
        new = replace_activations(new, activation, match=activation)
    assert new.count_params() == model.count_params()
    names = [layer.name for layer in new.layers]
    assert [n for n in names if n in {layer.name for layer in model.layers}] == [
        layer.name for layer in model.layers
    ]
    x = np.random.default_rng(0).random((1, size, size, 3), "float32") * 255
    before, after = (ops.convert_to_numpy(each(x, training=False)) for each in (model, new))
    assert np.isfinite(before).all() and np.ptp(before) > 0.1 * np.abs(before).max()
    np.testing.assert_array_equal(before, after)
