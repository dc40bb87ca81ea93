"""VGG-11 with batch normalisation for 32×32 images.

Configuration A of Simonyan and Zisserman, Very Deep Convolutional Networks, Table 1, with
one dense layer in place of three, as usual on CIFAR-10.
"""

from typing import Any

import keras
from keras import layers

from .blocks import ImageLayers
from .common import image_model


@image_model(default=(32, 32, 3), smallest=32)
def VGG11(
    activation: Any = "relu",
    input_shape: tuple[int, ...] | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    data_format: str | None = None,
    name: str | None = "vgg11",
) -> keras.Model:
    """VGG-11: 9,233,866 parameters (9,228,362 trainable) for 10 classes; 8 sites.

    3×3 convolutions without biases, each followed by BN – act: 64, pool, 128, pool, 256,
    256, pool, 512, 512, pool, 512, 512, pool; mean over the pixels left (one for 32×32
    images), dense.

    Args:
        activation: Any specification that `keras_actfn.activation` takes.
        input_shape: Shape of one image, at least 32×32; 32×32×3 if None.
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
    model = VGG11(activation="pwl")
    ```
    """
    make = ImageLayers(data_format, use_bias=False)

    inputs = x = keras.Input(input_shape, name="images")
    index = 0
    for stage, widths in enumerate(((64,), (128,), (256, 256), (512, 512), (512, 512)), start=1):
        for filters in widths:
            index += 1
            x = make.conv(filters, 3, f"conv_{index}")(x)
            x = activation()(make.norm(f"norm_{index}")(x))
        x = make.max_pool(2, f"pool_{stage}")(x)
    x = make.mean("mean")(x)
    outputs = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(inputs, outputs, name=name)
