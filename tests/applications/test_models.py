"""Every model of the table: parameters, sites, names, data formats, arguments, training."""

import inspect

import keras
import keras_actfn.applications as applications
import numpy as np
import pytest
from keras_actfn.applications import MODELS

#: Trainable and total parameters with a fixed activation, from the papers' tables or a
#: running reference: (model, input shape, classes, trainable, total).
COUNTS = [
    ("lenet5", (28, 28, 1), 10, 431_080, 431_080),
    ("lenet5", (32, 32, 3), 10, 657_080, 657_080),
    ("kerasnet", (28, 28, 1), 10, 889_834, 889_834),
    ("kerasnet", (32, 32, 3), 10, 1_250_858, 1_250_858),
    ("resnet56", (32, 32, 3), 10, 857_706, 861_770),
    ("alexnet", (227, 227, 3), 1000, 60_965_224, 60_965_224),
    # Nine convolutions, from their shapes: Σ (size² · inputs + 1) · filters.
    ("all_cnn_c", (32, 32, 3), 10, 1_369_738, 1_369_738),
    ("resnet56v2", (32, 32, 3), 10, 1_663_338, 1_673_738),
    ("mobilevit_v2", (160, 160, 3), 10, 1_116_163, 1_123_939),
    ("mobilevit_v2", (160, 160, 3), 1000, 1_370_593, 1_378_369),
    ("coatnet", (160, 160, 3), 10, 14_214_302, 14_225_950),
    ("resnet50", (224, 224, 3), 1000, 25_583_592, 25_636_712),
    ("vgg11", (32, 32, 3), 10, 9_228_362, 9_233_866),
    ("resnet10", (32, 32, 3), 10, 4_901_578, 4_905_674),
    ("resnet18", (32, 32, 3), 10, 11_172_298, 11_180_234),
    ("vit_tiny", (32, 32, 3), 10, 5_399_818, 5_399_818),
    ("vit_tiny", (32, 32, 3), 100, 5_417_188, 5_417_188),
    ("deit_tiny", (32, 32, 3), 10, 5_365_076, 5_365_076),
    ("deit_tiny", (32, 32, 3), 100, 5_399_816, 5_399_816),
    ("tnt_small", (32, 32, 3), 10, 21_525_298, 21_525_298),
    ("tnt_small", (32, 32, 3), 100, 21_559_948, 21_559_948),
]
SITES = {
    "lenet5": 3,
    "kerasnet": 5,
    "resnet56": 55,
    "alexnet": 7,
    "all_cnn_c": 9,
    "resnet56v2": 55,
    "mobilevit_v2": 25,
    "coatnet": 31,
    "resnet50": 49,
    "vgg11": 8,
    "resnet10": 10,
    "resnet18": 18,
    "vit_tiny": 12,
    "deit_tiny": 12,
    "tnt_small": 24,
}
#: Length of the AQuaSurF paper's feature vectors (Appendix D), by model and classes.
FISHER_BINS = [
    ("all_cnn_c", 10, 13_692),
    ("resnet56v2", 10, 16_500),
    ("resnet56v2", 100, 16_732),
    ("mobilevit_v2", 10, 11_013),
]
SMALLEST = {name: builder.smallest for name, builder in MODELS.items()}
#: Arguments that leave out repeated blocks.
SHALLOW = {
    "resnet56": {"blocks": 1},
    "resnet56v2": {"blocks": 1},
    "mobilevit_v2": {"depths": (1, 1, 1)},
    "coatnet": {"blocks": (1, 1, 1, 1), "channels": (16, 32, 32, 64)},
    "resnet50": {"blocks": (1, 1, 1, 1)},
    "vit_tiny": {"depth": 1, "width": 24},
    "deit_tiny": {"depth": 1, "width": 24},
    # One pixel would attend to itself only, and its queries and keys have no gradient.
    "tnt_small": {"depth": 1, "width": 24, "pixel_stride": 2},
}


class Slope(keras.layers.Layer):
    """One trainable scalar, the least that an activation can learn.

    Not a factor of the output, which a batch normalisation behind the next convolution would
    take out again: its gradient would be nothing but rounding errors.
    """

    def build(self, input_shape):
        self.slope = self.add_weight(name="slope", shape=(), initializer="ones")

    def call(self, x):
        return x * keras.ops.sigmoid(self.slope * x)


def shapes_of(name, **arguments):
    """The model without values in its weights, which is enough for counting them."""
    with keras.StatelessScope(initialize_variables=False):
        return MODELS[name](**arguments)


def small(name, size=None, **arguments):
    """A shallow model of the smallest images, wide or high by one pixel more."""
    size = size or SMALLEST[name]
    arguments = {"input_shape": (size, size + 1, 3), "classes": 3, **arguments}
    return MODELS[name](**SHALLOW.get(name, {}), **arguments)


def images(name, n=2, seed=0, size=None):
    size = size or SMALLEST[name]
    return np.random.default_rng(seed).random((n, size, size + 1, 3), "float32")


def sites_of(model):
    return [layer for layer in model.layers if layer.name.startswith("activation_")]


def size(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


@pytest.mark.once
def test_tables_are_complete():
    assert set(SITES) == set(MODELS) == {row[0] for row in COUNTS}
    for builder in MODELS.values():
        assert getattr(applications, builder.__name__) is builder


@pytest.mark.once
@pytest.mark.parametrize("name", MODELS)
def test_the_default_image(name):
    model = shapes_of(name, **SHALLOW.get(name, {}))
    assert model.input_shape == (None, *MODELS[name].default)
    parameters = inspect.signature(MODELS[name]).parameters
    assert list(parameters)[:6] == [
        "activation",
        "input_shape",
        "classes",
        "classifier_activation",
        "data_format",
        "name",
    ]


@pytest.mark.once
@pytest.mark.parametrize(("name", "input_shape", "classes", "trainable", "total"), COUNTS)
def test_parameter_counts(name, input_shape, classes, trainable, total):
    model = shapes_of(name, input_shape=input_shape, classes=classes)
    assert (size(model.trainable_weights), size(model.weights)) == (trainable, total)
    assert model.output_shape == (None, classes)


@pytest.mark.once
def test_all_cnn_c_from_the_shapes_of_its_convolutions():
    sizes = (3, 3, 3, 3, 3, 3, 3, 1, 1)
    widths = (3, 96, 96, 96, 192, 192, 192, 192, 192, 10)
    count = sum((k * k * a + 1) * b for k, a, b in zip(sizes, widths[:-1], widths[1:], strict=True))
    assert count == size(shapes_of("all_cnn_c").weights)


@pytest.mark.once
@pytest.mark.parametrize(("name", "classes", "bins"), FISHER_BINS)
def test_fisher_bins(name, classes, bins):
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
    model = shapes_of(name, classes=classes)
    counted = [layer for layer in model.layers if isinstance(layer, kinds)]
    assert sum(size(layer.weights) // 100 for layer in counted) == bins
    if name == "resnet56v2":
        assert len(counted) == 59


@pytest.mark.once
@pytest.mark.parametrize("name", MODELS)
def test_each_site_has_its_own_layer(name):
    input_shape, classes, total = next(row[1:3] + row[4:] for row in COUNTS if row[0] == name)
    model = shapes_of(name, activation=Slope, input_shape=input_shape, classes=classes)
    names = [layer.name for layer in sites_of(model)]
    # Keras lists layers by their distance to the output, which parallel paths interleave.
    assert sorted(names) == sorted(f"activation_{i}" for i in range(1, SITES[name] + 1))
    assert size(model.weights) == total + SITES[name]


@pytest.mark.once
def test_attention_of_mobilevit_v2_as_sites():
    model = shapes_of("mobilevit_v2", activation=Slope, attention_sites=True)
    assert len(sites_of(model)) == 25 + 9
    fixed = shapes_of("mobilevit_v2")
    assert sum(layer.name.endswith("_relu") for layer in fixed.layers) == 9


@pytest.mark.once
@pytest.mark.parametrize("name", MODELS)
def test_names_do_not_depend_on_what_was_built_before(name):
    shallow = SHALLOW.get(name, {})
    paths = [[weight.path for weight in shapes_of(name, **shallow).weights] for _ in range(2)]
    assert paths[0] == paths[1]


@pytest.mark.once  # what differs between backends is in the layers, which have tests of their own
@pytest.mark.parametrize("name", MODELS)
def test_channels_first_computes_the_same(name):
    last = small(name, data_format="channels_last")
    first_shape = (3, SMALLEST[name], SMALLEST[name] + 1)
    first = small(name, input_shape=first_shape, data_format="channels_first")
    first.set_weights(last.get_weights())
    x = images(name)
    expected = keras.ops.convert_to_numpy(last(x))
    actual = keras.ops.convert_to_numpy(first(np.moveaxis(x, -1, 1)))
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.once
@pytest.mark.parametrize("name", MODELS)
def test_logits_are_what_softmax_is_taken_of(name):
    logits = small(name, classifier_activation=None)
    softmax = small(name)
    softmax.set_weights(logits.get_weights())
    x = images(name)
    z = keras.ops.convert_to_numpy(logits(x))
    expected = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(softmax(x)), expected, rtol=1e-4)


#: Models that are trained under every backend: one of nothing but Keras's layers, as most are, and
#: the one with all layers of the transformers. `test_network_layers.py` trains the other layers.
TRAINED_EVERYWHERE = ("lenet5", "tnt_small")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in TRAINED_EVERYWHERE else [pytest.mark.once])
        for name in MODELS
    ],
)
def test_a_step_trains_every_weight(name):
    # The attention of MobileViTV2 over the single patch of 32 pixels has no gradient.
    size = 64 if name == "mobilevit_v2" else None
    model = small(name, size, activation=Slope)
    before = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    # Lion follows the gradient's sign, so that every weight with a gradient moves.
    model.compile(keras.optimizers.Lion(1e-3), "sparse_categorical_crossentropy")
    x = images(name, 4, size=size)
    loss = model.fit(x, np.array([0, 1, 2, 0]), batch_size=4, verbose=0).history["loss"][0]
    assert np.isfinite(loss)
    moved = [
        np.abs(keras.ops.convert_to_numpy(v) - old).max() > 0
        for v, old in zip(model.trainable_variables, before, strict=True)
    ]
    biases_before_norm = [
        "conv" in v.path and v.path.endswith("bias") for v in model.trainable_variables
    ]
    # A bias in front of a batch normalisation has no gradient but rounding errors.
    assert all(m or b for m, b in zip(moved, biases_before_norm, strict=True))


@pytest.mark.once
@pytest.mark.parametrize("name", [n for n in MODELS if n != "alexnet"])  # of 240 MB
def test_files_keep_the_outputs(name, tmp_path):
    model = small(name, activation="crrelu(epsilon=0.2)")
    x = images(name)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(loaded(x)), keras.ops.convert_to_numpy(model(x)), atol=1e-6
    )


#: Arguments that no model takes, and what the error says.
BAD_ARGUMENTS = [
    ({"input_shape": (28, 28)}, r"three positive integers .*\(28, 28\)"),
    ({"input_shape": 28}, "three positive integers"),
    ({"input_shape": (None, 28, 1)}, "three positive integers"),
    ({"input_shape": (1, 28, 28)}, "pixels, or nothing is left .*data_format"),
    ({"classes": 0}, "classes is a positive integer. Received: classes=0"),
    ({"classes": 2.5}, "classes is a positive integer"),
    ({"data_format": "NCHW"}, "'channels_last', 'channels_first' or None"),
    ({"classifier_activation": "sofmax"}, "classifier_activation is 'softmax'"),
    ({"activation": "rellu"}, "rellu"),
]


@pytest.mark.once
@pytest.mark.parametrize("name", MODELS)
def test_bad_arguments(name):
    for arguments, match in BAD_ARGUMENTS:
        with pytest.raises(ValueError, match=match):
            MODELS[name](**arguments)
    size = SMALLEST[name] - 1
    with pytest.raises(ValueError, match=f"at least {SMALLEST[name]}×{SMALLEST[name]} pixels"):
        MODELS[name](input_shape=(size, size, 1))


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "arguments", "match"),
    [
        ("resnet56", {"blocks": 0}, "blocks is a positive integer. Received: blocks=0"),
        ("resnet56v2", {"blocks": 2.0}, "blocks is a positive integer"),
        ("resnet50", {"blocks": (3, 4, 6)}, "blocks is 4 positive integers"),
        ("coatnet", {"blocks": 3}, "blocks is 4 positive integers"),
        ("coatnet", {"channels": (64, 100, 256, 512)}, "multiples of 32"),
        ("mobilevit_v2", {"depths": (2, 4)}, "depths is 3 positive integers"),
        ("mobilevit_v2", {"width": 0}, "width is a positive number"),
    ],
)
def test_bad_own_arguments(name, arguments, match):
    with pytest.raises(ValueError, match=match):
        MODELS[name](**arguments)
