"""MobileViTV2 (Mehta and Rastegari, Separable Self-attention for Mobile Vision Transformers)."""

from typing import Any

import keras
from keras import layers

from .blocks import ImageLayers, check_counts
from .common import image_model
from .patches import FoldPatches, ResizeToMultiple, UnfoldPatches
from .separable_attention import AttentionContext

#: Inverted residuals: (output channels at width 1, stride, attention channels at width 1).
_BLOCKS = (
    (64, 1, None),
    (128, 2, None),
    (128, 1, None),
    (256, 2, 128),
    (384, 2, 192),
    (512, 2, 256),
)


@image_model(default=(160, 160, 3), smallest=32)
def MobileViTV2(
    activation: Any = "relu",
    input_shape: tuple[int, ...] | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    data_format: str | None = None,
    name: str | None = "mobilevit_v2",
    *,
    width: float = 0.5,
    depths: tuple[int, int, int] = (2, 4, 3),
    attention_sites: bool = False,
) -> keras.Model:
    """MobileViTV2: 1,378,369 parameters (1,370,593 trainable) at width 0.5; 25 sites.

    For 160×160×3 images and 10 classes 1,123,939 (1,116,163). At width 0.5: conv3×3 stride
    2 16 – BN – act; inverted residuals (1×1 to twice the channels – BN – act, depthwise
    3×3 – BN – act, 1×1 – BN, added to the input where shapes agree) to 32, 64, 64, 128,
    192 and 256 channels. Each of the last three is followed by attention over the pixels
    at the same place of all 2×2 patches: depthwise 3×3 – BN – act, 1×1 to a = 64, 96 or
    128 channels, 2, 4 or 3 times [separable self-attention; 1×1 2a – act – 1×1 a], each
    with group normalisation before and its input added, then normalisation, 1×1 back – BN.
    Maps whose size is odd are enlarged bilinearly by a row and a column first. Padding is
    symmetric.

    Args:
        activation: Any specification that `keras_actfn.activation` takes.
        input_shape: Shape of one image, at least 32×32; 160×160×3 if None.
        classes: Number of classes.
        classifier_activation: Activation of the last layer; None for logits.
        data_format: `"channels_last"`, `"channels_first"` or None for Keras's setting.
        name: Name of the model.
        width: Multiplies all channels; 0.5 in the AQuaSurF paper.
        depths: Transformer layers after each of the last three inverted residuals.
        attention_sites: Whether the ReLU of the attention values is a site as well, one
            for each transformer layer; else it stays ReLU.

    Returns:
        An uncompiled functional `keras.Model`.

    Raises:
        ValueError: If an argument is not what it should be.

    Example:
    ```python
    model = MobileViTV2(activation="relu", input_shape=(160, 160, 3), classes=10)
    ```
    """
    if not width > 0:
        raise ValueError(f"MobileViTV2: width is a positive number. Received: width={width!r}.")
    check_counts("MobileViTV2", depths=(depths, 3))
    make = ImageLayers(
        data_format, use_bias=False, initializer="he_normal", momentum=0.9, epsilon=1e-5
    )
    depth = iter(depths)

    inputs = keras.Input(input_shape, name="images")
    x = make.pad(1, "stem_pad")(inputs)
    stem = _channels(min(64, max(16, 32 * width)))
    x = make.conv(stem, 3, "stem_conv", strides=2, padding="valid")(x)
    x = activation()(make.norm("stem_norm")(x))
    for index, (filters, strides, attention) in enumerate(_BLOCKS, start=1):
        x = _inverted_residual(
            make, activation, x, _channels(filters * width), strides, f"mb_{index}"
        )
        if attention:
            a = _channels(attention * width)
            x = _attention_block(
                make, activation, x, a, next(depth), attention_sites, f"vit_{index}"
            )
    x = make.mean()(x)
    outputs = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(inputs, outputs, name=name)


def _channels(n):
    """`n` rounded to a multiple of eight, at least 8 and at least 90 % of `n`."""
    rounded = max(8, int(n + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * n else rounded


def _inverted_residual(make, site, x, filters, strides, prefix):
    channels = x.shape[make.channels]
    y = make.conv(2 * channels, 1, f"{prefix}_expand")(x)
    y = site()(make.norm(f"{prefix}_expand_norm")(y))
    y = make.pad(1, f"{prefix}_pad")(y)
    y = make.depthwise(3, f"{prefix}_depthwise", strides=strides, padding="valid")(y)
    y = site()(make.norm(f"{prefix}_depthwise_norm")(y))
    y = make.conv(filters, 1, f"{prefix}_project")(y)
    y = make.norm(f"{prefix}_project_norm")(y)
    if strides == 1 and channels == filters:
        y = layers.Add(name=f"{prefix}_add")([x, y])
    return y


def _attention_block(make, site, x, a, depth, attention_sites, prefix):
    filters, data_format = x.shape[make.channels], make.data_format
    x = ResizeToMultiple(2, data_format, name=f"{prefix}_resize")(x)
    height, width = x.shape[1:3] if make.channels == -1 else x.shape[2:4]
    x = make.depthwise(3, f"{prefix}_depthwise")(x)
    x = site()(make.norm(f"{prefix}_depthwise_norm")(x))
    x = make.conv(a, 1, f"{prefix}_reduce")(x)
    x = UnfoldPatches(2, data_format, name=f"{prefix}_unfold")(x)
    for index in range(1, depth + 1):
        x = _transformer_layer(site, x, a, attention_sites, f"{prefix}_layer_{index}")
    x = _group_norm(f"{prefix}_norm")(x)
    x = FoldPatches(height, width, 2, data_format, name=f"{prefix}_fold")(x)
    x = make.conv(filters, 1, f"{prefix}_expand")(x)
    return make.norm(f"{prefix}_expand_norm")(x)


def _transformer_layer(site, x, a, attention_sites, prefix):
    y = _group_norm(f"{prefix}_attention_norm")(x)
    y = _pointwise(1 + 2 * a, f"{prefix}_qkv")(y)
    context, value = AttentionContext(name=f"{prefix}_context")(y)
    relu = site() if attention_sites else layers.Activation("relu", name=f"{prefix}_relu")
    y = layers.Multiply(name=f"{prefix}_product")([relu(value), context])
    y = _pointwise(a, f"{prefix}_projection")(y)
    x = layers.Add(name=f"{prefix}_attention_add")([x, y])
    y = _group_norm(f"{prefix}_mlp_norm")(x)
    y = _pointwise(2 * a, f"{prefix}_mlp_1")(y)
    y = _pointwise(a, f"{prefix}_mlp_2")(site()(y))
    return layers.Add(name=f"{prefix}_mlp_add")([x, y])


def _pointwise(filters, name):
    """A 1×1 convolution with bias of patches, whose channels are last in any format."""
    return layers.Conv2D(filters, 1, data_format="channels_last", name=name)


def _group_norm(name):
    return layers.GroupNormalization(groups=1, axis=-1, epsilon=1e-5, name=name)
