"""ResNet-10 and ResNet-18 with pre-activation blocks for 32×32 images.

He et al., Identity Mappings in Deep Residual Networks, Figure 1(b), with the widths of the
ImageNet ResNets and a 3×3 stem without pooling.
"""

from typing import Any

import keras
from keras import layers

from .blocks import ImageLayers
from .common import image_model


@image_model(default=(32, 32, 3), smallest=8)
def ResNet10(
    activation: Any = "relu",
    input_shape: tuple[int, ...] | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    data_format: str | None = None,
    name: str | None = "resnet10",
) -> keras.Model:
    """ResNet-10: 4,905,674 parameters (4,901,578 trainable) for 10 classes; 10 sites.

    One block a stage; see `ResNet18`.

    Args:
        activation: Any specification that `keras_actfn.activation` takes.
        input_shape: Shape of one image, at least 8×8; 32×32×3 if None.
        classes: Number of classes.
        classifier_activation: Activation of the last layer; None for logits.
        data_format: `"channels_last"`, `"channels_first"` or None for Keras's setting.
        name: Name of the model.

    Returns:
        An uncompiled functional `keras.Model`.

    Raises:
        ValueError: If an argument is not what it should be.

    Example:
    ```python
    model = ResNet10(activation="pwl(knots=33,initial=relu)")
    ```
    """
    arguments = (activation, input_shape, classes, classifier_activation, data_format, name)
    return _pre_activation_resnet(1, *arguments)


@image_model(default=(32, 32, 3), smallest=8)
def ResNet18(
    activation: Any = "relu",
    input_shape: tuple[int, ...] | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    data_format: str | None = None,
    name: str | None = "resnet18",
) -> keras.Model:
    """ResNet-18: 11,180,234 parameters (11,172,298 trainable) for 10 classes; 18 sites.

    conv3×3 64 – BN – act, then two blocks in each of the stages of width 64, 128, 256 and
    512, the last three of which halve the image. A block is twice BN – act – conv3×3,
    added to its input; where shapes change, the shortcut is a 1×1 convolution of the
    first BN – act. Final BN – act – mean – dense. No convolution has a bias.

    Args:
        activation: Any specification that `keras_actfn.activation` takes.
        input_shape: Shape of one image, at least 8×8; 32×32×3 if None.
        classes: Number of classes.
        classifier_activation: Activation of the last layer; None for logits.
        data_format: `"channels_last"`, `"channels_first"` or None for Keras's setting.
        name: Name of the model.

    Returns:
        An uncompiled functional `keras.Model`.

    Raises:
        ValueError: If an argument is not what it should be.

    Example:
    ```python
    model = ResNet18(activation="pwl(knots=33,initial=relu)")
    ```
    """
    arguments = (activation, input_shape, classes, classifier_activation, data_format, name)
    return _pre_activation_resnet(2, *arguments)


def _pre_activation_resnet(
    blocks, activation, input_shape, classes, classifier_activation, data_format, name
):
    make = ImageLayers(data_format, use_bias=False)

    inputs = keras.Input(input_shape, name="images")
    x = make.conv(64, 3, "stem_conv")(inputs)
    x = activation()(make.norm("stem_norm")(x))
    for stage, filters in enumerate((64, 128, 256, 512), start=1):
        for block in range(1, blocks + 1):
            prefix = f"stage_{stage}_block_{block}"
            strides = 2 if stage > 1 and block == 1 else 1
            shortcut = x
            x = activation()(make.norm(f"{prefix}_norm_1")(x))
            if strides == 2:
                shortcut = make.conv(filters, 1, f"{prefix}_shortcut", strides=2)(x)
            x = make.conv(filters, 3, f"{prefix}_conv_1", strides=strides)(x)
            x = activation()(make.norm(f"{prefix}_norm_2")(x))
            x = make.conv(filters, 3, f"{prefix}_conv_2")(x)
            x = layers.Add(name=f"{prefix}_add")([shortcut, x])
    x = activation()(make.norm("final_norm")(x))
    x = make.mean()(x)
    outputs = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(inputs, outputs, name=name)
