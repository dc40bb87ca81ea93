"""ResNet-56 for 32×32 images (He, Zhang, Ren and Sun, Deep Residual Learning, section 4.2)."""

from typing import Any

import keras
from keras import layers

from .blocks import ImageLayers, check_counts
from .common import image_model


@image_model(default=(32, 32, 3), smallest=8)
def ResNet56(
    activation: Any = "relu",
    input_shape: tuple[int, ...] | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    data_format: str | None = None,
    name: str | None = "resnet56",
    *,
    blocks: int = 9,
) -> keras.Model:
    """ResNet-56: 861,770 parameters (857,706 trainable) for 32×32×3 and 10 classes; 55 sites.

    conv3×3 16 – BN – act, then three stages of width 16, 32 and 64. A block is
    conv – BN – act – conv – BN, added to its input, act; the first block of the second and
    third stage halves the image, with a biased 1×1 projection without normalisation as its
    shortcut. All convolutions have biases and He's normal initialisation, as in the Keras
    example of this network.

    Args:
        activation: Any specification that `keras_actfn.activation` takes.
        input_shape: Shape of one image, at least 8×8; 32×32×3 if None.
        classes: Number of classes.
        classifier_activation: Activation of the last layer; None for logits.
        data_format: `"channels_last"`, `"channels_first"` or None for Keras's setting.
        name: Name of the model.
        blocks: Blocks in a stage; the network has 6 · blocks + 2 layers.

    Returns:
        An uncompiled functional `keras.Model`.

    Raises:
        ValueError: If an argument is not what it should be.

    Example:
    ```python
    model = ResNet56(activation="aff(identity,relu)", classes=100)
    ```
    """
    check_counts("ResNet56", blocks=blocks)
    make = ImageLayers(data_format, use_bias=True)

    inputs = keras.Input(input_shape, name="images")
    x = make.conv(16, 3, "stem_conv")(inputs)
    x = activation()(make.norm("stem_norm")(x))
    for stage, filters in enumerate((16, 32, 64), start=1):
        for block in range(1, blocks + 1):
            prefix = f"stage_{stage}_block_{block}"
            strides = 2 if stage > 1 and block == 1 else 1
            shortcut = x
            if strides == 2:
                shortcut = make.conv(filters, 1, f"{prefix}_shortcut", strides=2)(x)
            x = make.conv(filters, 3, f"{prefix}_conv_1", strides=strides)(x)
            x = activation()(make.norm(f"{prefix}_norm_1")(x))
            x = make.conv(filters, 3, f"{prefix}_conv_2")(x)
            x = make.norm(f"{prefix}_norm_2")(x)
            x = activation()(layers.Add(name=f"{prefix}_add")([shortcut, x]))
    x = make.mean()(x)
    outputs = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(inputs, outputs, name=name)
