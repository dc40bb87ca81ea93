"""AlexNet as Caffe's `bvlc_alexnet` defines it (Krizhevsky et al., 2012)."""

from typing import Any

import keras
from keras import layers
from keras.initializers import Constant, RandomNormal

from .common import image_model
from .local_response_normalization import LocalResponseNormalization

#: (filters, kernel size, strides, padding, groups, bias, normalised, pooled).
_CONVOLUTIONS = (
    (96, 11, 4, "valid", 1, 0.0, True, True),
    (256, 5, 1, "same", 2, 0.1, True, True),
    (384, 3, 1, "same", 1, 0.0, False, False),
    (384, 3, 1, "same", 2, 0.1, False, False),
    (256, 3, 1, "same", 2, 0.1, False, True),
)


@image_model(default=(227, 227, 3), smallest=67)
def AlexNet(
    activation: Any = "relu",
    input_shape: tuple[int, ...] | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    data_format: str | None = None,
    name: str | None = "alexnet",
    *,
    dropout: float = 0.5,
) -> keras.Model:
    """AlexNet: 60,965,224 parameters for 227×227×3 images and 1,000 classes; 7 sites.

    The network of Manessi and Rozza's ImageNet experiment (section IV), a port of Caffe's:
    conv11 stride 4 96 – act – LRN – maxpool3 stride 2; conv5 256 in two groups – act –
    LRN – maxpool3; conv3 384 – act; conv3 384 in two groups – act; conv3 256 in two groups
    – act – maxpool3; twice dense 4096 – act – dropout; dense `classes`. Kernels start from
    N(0, 0.01²), those of the 4096 layers from N(0, 0.005²); biases from 0.1 in
    convolutions 2, 4 and 5 and the 4096 layers, else from 0.

    Args:
        activation: Any specification that `keras_actfn.activation` takes.
        input_shape: Shape of one image, at least 67×67; 227×227×3 if None.
        classes: Number of classes.
        classifier_activation: Activation of the last layer; None for logits.
        data_format: `"channels_last"`, `"channels_first"` or None for Keras's setting.
        name: Name of the model.
        dropout: Rate of both dropouts.

    Returns:
        An uncompiled functional `keras.Model`.

    Raises:
        ValueError: If an argument is not what it should be.

    Example:
    ```python
    model = AlexNet(activation="aff(identity,relu,tanh)")
    ```
    """
    axes = {"data_format": data_format}
    channels = -1 if data_format == "channels_last" else 1

    inputs = x = keras.Input(input_shape, name="images")
    for index, row in enumerate(_CONVOLUTIONS, start=1):
        filters, size, strides, padding, groups, bias, normalised, pooled = row
        x = layers.Conv2D(
            filters,
            size,
            strides=strides,
            padding=padding,
            groups=groups,
            kernel_initializer=RandomNormal(0, 0.01),
            bias_initializer=Constant(bias),
            name=f"conv_{index}",
            **axes,
        )(x)
        x = activation()(x)
        if normalised:
            x = LocalResponseNormalization(axis=channels, name=f"lrn_{index}")(x)
        if pooled:
            x = layers.MaxPooling2D(3, strides=2, name=f"pool_{index}", **axes)(x)
    x = layers.Flatten(name="flatten", **axes)(x)
    for index in (1, 2):
        x = layers.Dense(
            4096,
            kernel_initializer=RandomNormal(0, 0.005),
            bias_initializer=Constant(0.1),
            name=f"dense_{index}",
        )(x)
        x = activation()(x)
        x = layers.Dropout(dropout, name=f"dropout_{index}")(x)
    outputs = layers.Dense(
        classes,
        activation=classifier_activation,
        kernel_initializer=RandomNormal(0, 0.01),
        name="predictions",
    )(x)
    return keras.Model(inputs, outputs, name=name)
