"""ResNet-50 as `keras.applications` has it (He et al., Deep Residual Learning, Table 1)."""

from typing import Any

import keras
from keras import layers

from .blocks import ImageLayers, check_counts
from .common import image_model


@image_model(default=(224, 224, 3), smallest=32)
def ResNet50(
    activation: Any = "relu",
    input_shape: tuple[int, ...] | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    data_format: str | None = None,
    name: str | None = "resnet50",
    *,
    blocks: tuple[int, ...] = (3, 4, 6, 3),
) -> keras.Model:
    """ResNet-50: 25,636,712 parameters (25,583,592 trainable) for 1,000 classes; 49 sites.

    The layers, their names (sites apart) and the order of the weights are those of
    `keras.applications.ResNet50`, so that its weights fit:
    `model.set_weights(keras.applications.ResNet50().get_weights())` for an activation
    without weights. The stride is in a block's first 1×1 convolution.

    Args:
        activation: Any specification that `keras_actfn.activation` takes.
        input_shape: Shape of one image, at least 32×32; 224×224×3 if None.
        classes: Number of classes.
        classifier_activation: Activation of the last layer; None for logits.
        data_format: `"channels_last"`, `"channels_first"` or None for Keras's setting.
        name: Name of the model.
        blocks: Blocks in each of the four stages.

    Returns:
        An uncompiled functional `keras.Model`.

    Raises:
        ValueError: If an argument is not what it should be.

    Example:
    ```python
    model = ResNet50(activation="swish", input_shape=(160, 160, 3))
    ```
    """
    check_counts("ResNet50", blocks=(blocks, 4))
    make = ImageLayers(data_format, use_bias=True, initializer="glorot_uniform", epsilon=1.001e-5)

    inputs = keras.Input(input_shape, name="images")
    x = make.pad(3, "conv1_pad")(inputs)
    x = make.conv(64, 7, "conv1_conv", strides=2, padding="valid")(x)
    x = activation()(make.norm("conv1_bn")(x))
    x = make.pad(1, "pool1_pad")(x)
    x = make.max_pool(3, "pool1_pool", strides=2)(x)
    for stage, count in enumerate(blocks, start=2):
        filters = 64 * 2 ** (stage - 2)
        for block in range(1, count + 1):
            prefix = f"conv{stage}_block{block}"
            strides = 2 if stage > 2 and block == 1 else 1
            shortcut = x
            if block == 1:
                shortcut = make.conv(4 * filters, 1, f"{prefix}_0_conv", strides=strides)(x)
                shortcut = make.norm(f"{prefix}_0_bn")(shortcut)
            x = make.conv(filters, 1, f"{prefix}_1_conv", strides=strides)(x)
            x = activation()(make.norm(f"{prefix}_1_bn")(x))
            x = make.conv(filters, 3, f"{prefix}_2_conv")(x)
            x = activation()(make.norm(f"{prefix}_2_bn")(x))
            x = make.conv(4 * filters, 1, f"{prefix}_3_conv")(x)
            x = make.norm(f"{prefix}_3_bn")(x)
            x = activation()(layers.Add(name=f"{prefix}_add")([shortcut, x]))
    x = make.mean("avg_pool")(x)
    outputs = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(inputs, outputs, name=name)
