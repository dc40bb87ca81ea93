"""The CoAtNet variant of the AQuaSurF paper (Dai et al., CoAtNet; AQuaSurF, Appendix E)."""

from typing import Any

import keras
from keras import layers

from .blocks import ImageLayers, check_counts
from .common import image_model
from .relative_attention import RelativeAttention

#: Channels of one attention head.
_HEAD = 32


@image_model(default=(160, 160, 3), smallest=32)
def CoAtNet(
    activation: Any = "relu",
    input_shape: tuple[int, ...] | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    data_format: str | None = None,
    name: str | None = "coatnet",
    *,
    blocks: tuple[int, ...] = (3, 4, 6, 3),
    channels: tuple[int, int, int, int] = (64, 128, 256, 512),
) -> keras.Model:
    """CoAtNet: 14,225,950 parameters (14,214,302 trainable) for 160×160×3; 31 sites.

    conv3×3 stride 2 64 – BN – act – conv3×3 64, then two stages of MBConv blocks and two of
    transformer blocks, deeper and thinner than CoAtNet-0. MBConv: BN, 1×1 to four times
    the channels – BN – act, depthwise 3×3 – BN – act, squeeze and excitation through a
    quarter of the block's input channels (act, then sigmoid), 1×1. Transformer: LN,
    attention with relative positions and heads of 32 channels, as many as the input's
    channels fill; LN, 1×1 to four times the channels – act – 1×1. The first block of a
    stage halves the image; its shortcut is max pooling and a 1×1 convolution. Nothing but
    the squeeze and excitation and the last layer has a bias.

    Args:
        activation: Any specification that `keras_actfn.activation` takes.
        input_shape: Shape of one image, at least 32×32; 160×160×3 if None.
        classes: Number of classes.
        classifier_activation: Activation of the last layer; None for logits.
        data_format: `"channels_last"`, `"channels_first"` or None for Keras's setting.
        name: Name of the model.
        blocks: Blocks in each of the four stages.
        channels: Channels of each of the four stages; multiples of 32 from the second on.

    Returns:
        An uncompiled functional `keras.Model`.

    Raises:
        ValueError: If an argument is not what it should be.

    Example:
    ```python
    model = CoAtNet(activation="square(erfc(softplus(x)))")
    ```
    """
    check_counts("CoAtNet", blocks=(blocks, 4), channels=(channels, 4))
    if any(n % _HEAD for n in channels[1:]):
        raise ValueError(
            f"CoAtNet: channels of the second stage on are multiples of {_HEAD}, the size of an "
            f"attention head. Received: channels={channels!r}."
        )
    make = ImageLayers(
        data_format, use_bias=False, initializer="glorot_uniform", momentum=0.9, epsilon=1e-5
    )

    inputs = keras.Input(input_shape, name="images")
    x = make.conv(64, 3, "stem_conv_1", strides=2)(inputs)
    x = activation()(make.norm("stem_norm")(x))
    x = make.conv(64, 3, "stem_conv_2")(x)
    for stage, (count, filters) in enumerate(zip(blocks, channels, strict=True), start=1):
        for block in range(1, count + 1):
            prefix = f"stage_{stage}_block_{block}"
            kind = _mbconv if stage <= 2 else _transformer
            x = kind(make, activation, x, filters, block == 1, prefix)
    x = make.mean()(x)
    outputs = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(inputs, outputs, name=name)


def _shortcut(make, x, filters, first, prefix):
    if not first:
        return x
    x = make.max_pool(2, f"{prefix}_shortcut_pool", padding="same")(x)
    return make.conv(filters, 1, f"{prefix}_shortcut")(x)


def _mbconv(make, site, x, filters, first, prefix):
    channels = x.shape[make.channels]
    shortcut = _shortcut(make, x, filters, first, prefix)
    x = make.norm(f"{prefix}_norm")(x)
    x = make.conv(4 * channels, 1, f"{prefix}_expand")(x)
    x = site()(make.norm(f"{prefix}_expand_norm")(x))
    x = make.depthwise(3, f"{prefix}_depthwise", strides=2 if first else 1)(x)
    x = site()(make.norm(f"{prefix}_depthwise_norm")(x))
    gate = make.mean(f"{prefix}_squeeze", keepdims=True)(x)
    gate = site()(make.conv(channels // 4, 1, f"{prefix}_excite_1", use_bias=True)(gate))
    gate = make.conv(4 * channels, 1, f"{prefix}_excite_2", use_bias=True)(gate)
    gate = layers.Activation("sigmoid", name=f"{prefix}_gate")(gate)
    x = layers.Multiply(name=f"{prefix}_gated")([x, gate])
    x = make.conv(filters, 1, f"{prefix}_project")(x)
    return layers.Add(name=f"{prefix}_add")([shortcut, x])


def _transformer(make, site, x, filters, first, prefix):
    shortcut = _shortcut(make, x, filters, first, prefix)
    heads = x.shape[make.channels] // _HEAD
    x = _layer_norm(make, x, f"{prefix}_attention_norm")
    if first:
        x = make.max_pool(2, f"{prefix}_pool", padding="same")(x)
    x = make.conv(3 * heads * _HEAD, 1, f"{prefix}_qkv")(x)
    x = RelativeAttention(heads, make.data_format, name=f"{prefix}_attention")(x)
    x = make.conv(filters, 1, f"{prefix}_output")(x)
    x = layers.Add(name=f"{prefix}_attention_add")([shortcut, x])
    y = _layer_norm(make, x, f"{prefix}_mlp_norm")
    y = make.conv(4 * filters, 1, f"{prefix}_mlp_1")(y)
    y = make.conv(filters, 1, f"{prefix}_mlp_2")(site()(y))
    return layers.Add(name=f"{prefix}_mlp_add")([x, y])


def _layer_norm(make, x, name):
    """Normalise each pixel over its channels, as the last axis, which every backend can."""
    norm = layers.LayerNormalization(epsilon=1e-5, name=name)
    if make.data_format == "channels_last":
        return norm(x)
    x = norm(layers.Permute((2, 3, 1), name=f"{name}_channels_last")(x))
    return layers.Permute((3, 1, 2), name=f"{name}_channels_first")(x)
