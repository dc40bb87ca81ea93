"""A Keras Hub backbone with random weights: its sites, other functions in them, a step."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_actfn
from keras_actfn.surgery import find_activations, replace_activations


def hub():
    """Keras Hub's models; it imports TensorFlow, which takes seconds under another backend."""
    import keras_hub

    return keras_hub.models


def backbone(blocks=2, pre_activation=False):
    """A residual network of basic blocks, every weight and moving average random."""
    model = hub().ResNetBackbone(
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
@pytest.mark.once
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
    head = hub().ImageClassifier(backbone=backbone(), num_classes=3, activation="softmax")
    sites = {site.path: site for site in find_activations(head)}
    assert sum(site.replaced_by_default for site in sites.values()) == 5
    new = replace_activations(head, "relu")
    np.testing.assert_array_equal(out(new, images()), out(head, images()))


SIZES = {"vocabulary_size": 20, "num_layers": 2, "hidden_dim": 8, "intermediate_dim": 12}
GROUPED = {"num_query_heads": 2, "num_key_value_heads": 1, **SIZES}
SHORT = {"num_heads": 2, "max_sequence_length": 16, **SIZES}
#: Backbones whose blocks take their activation as an argument, and what it is.
TRANSFORMERS = {
    "LlamaBackbone": (GROUPED, "silu"),
    "MistralBackbone": (GROUPED, "silu"),
    "QwenBackbone": (GROUPED, "silu"),
    "GPT2Backbone": (SHORT, "gelu_approximate"),
    "BertBackbone": (SHORT, "gelu_approximate"),
}


def transformer(name):
    arguments, _ = TRANSFORMERS[name]
    model = getattr(hub(), name)(**arguments)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.5, w.shape) for w in model.weights])
    return model


def words(model, n=3):
    made = {"token_ids": np.random.default_rng(1).integers(1, 20, (n, 5))}
    made["padding_mask"] = np.ones((n, 5), "int32")
    made["segment_ids"] = np.zeros((n, 5), "int32")
    return {key: value for key, value in made.items() if key in model.input}


def hidden(model, x):
    outputs = model(x, training=False)
    outputs = outputs["sequence_output"] if isinstance(outputs, dict) else outputs
    return ops.convert_to_numpy(outputs)


@pytest.mark.once
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_blocks_of_a_transformer_get_the_same_function(name, tmp_path):
    model = transformer(name)
    sites = [site for site in find_activations(model) if site.replaced_by_default]
    assert [(site.path, site.kind, site.activation) for site in sites] == [
        (f"transformer_layer_{block}.activation", "argument", TRANSFORMERS[name][1])
        for block in range(2)
    ]
    same = {"silu": keras.activations.silu}.get(
        TRANSFORMERS[name][1], lambda x: keras.activations.gelu(x, approximate=True)
    )
    x = words(model)
    new = replace_activations(model, same)
    np.testing.assert_array_equal(hidden(new, x), hidden(model, x))
    assert [w.path.split("/", 1)[-1] for w in new.weights] == [
        w.path.split("/", 1)[-1] for w in model.weights
    ]
    zero = replace_activations(model, "negative(x)")
    assert not np.allclose(hidden(zero, x), hidden(model, x), rtol=0.01)


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("MistralBackbone", "pwl(axis=-1)"),
        ("GPT2Backbone", "crrelu"),
        pytest.param("MistralBackbone", "crrelu", marks=pytest.mark.once),
        pytest.param("GPT2Backbone", "pwl(axis=-1)", marks=pytest.mark.once),
    ],
)
def test_learned_activations_of_a_transformer_train_and_are_saved(name, spec, tmp_path):
    model = transformer(name)
    new = replace_activations(model, spec)
    kind = type(keras_actfn.activation(spec))
    learned = [layer for layer in new._flatten_layers() if isinstance(layer, kind)]
    assert [layer.built for layer in learned] == [True, True]
    assert learned[0] is new.get_layer("transformer_layer_0").activation
    assert len(new.trainable_variables) == len(model.trainable_variables) + 2
    before = [ops.convert_to_numpy(layer.trainable_variables[0]) for layer in learned]
    new.compile("sgd", "mse")
    x = words(new)
    new.train_on_batch(x, np.ones((3, 5, 8), "float32"))
    for layer, values in zip(learned, before, strict=True):
        assert np.abs(ops.convert_to_numpy(layer.trainable_variables[0]) - values).max() > 0
    new.save(tmp_path / "new.keras")
    loaded = keras.models.load_model(tmp_path / "new.keras")
    np.testing.assert_allclose(hidden(loaded, x), hidden(new, x), rtol=1e-5, atol=1e-6)


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "arguments", "reasons"),
    [
        (
            "GemmaBackbone",
            {"head_dim": 4, **GROUPED},
            [r"'decoder_block_0.call' \(gelu\): .*its code names gelu"],
        ),
        (
            "ViTBackbone",
            {
                "image_shape": (8, 8, 3),
                "patch_size": 4,
                "num_layers": 2,
                "num_heads": 2,
                "hidden_dim": 8,
                "mlp_dim": 12,
            },
            [r"'vit_encoder/transformer_block_1/mlp/dense_1' \(gelu\): .*not take it as an argum"],
        ),
    ],
)
def test_blocks_that_fix_their_function_are_listed_by_name_with_the_reason(
    name, arguments, reasons
):
    model = getattr(hub(), name)(**arguments)
    for reason in reasons:
        with pytest.raises(ValueError, match=reason):
            replace_activations(model, "relu")


@pytest.mark.once
def test_a_task_keeps_its_class_its_preprocessing_and_its_backbone():
    def preprocess(x, y=None, sample_weight=None):
        return keras.utils.pack_x_y_sample_weight(x / 255.0, y, sample_weight)

    task = hub().ImageClassifier(backbone=backbone(), num_classes=3)
    task.preprocessor = preprocess
    new = replace_activations(task, "relu")
    assert type(new) is type(task) and new.preprocessor is preprocess
    assert new.backbone is new.get_layer("backbone") and type(new.backbone) is type(task.backbone)
    x = 255 * images()
    np.testing.assert_allclose(new.predict(x, verbose=0), out(task, x / 255), rtol=1e-4, atol=1e-5)
    assert [layer.name for layer in new.layers] == [layer.name for layer in task.layers]
