"""KerasNet: the convolutional network of Keras's old CIFAR-10 example.

Table I of Manessi and Rozza, "Learning Combinations of Activation Functions": two pairs
of 3×3 convolutions (32 and 64 filters; the first of each pair padded), each pair followed
by max pooling and dropout 25 %, then dense 512 with dropout 50 %.
"""

from typing import Any

import keras
from keras import layers

from .common import image_model


@image_model(default=(32, 32, 3), smallest=10)
def KerasNet(
    activation: Any = "relu",
    input_shape: tuple[int, ...] | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    data_format: str | None = None,
    name: str | None = "kerasnet",
) -> keras.Model:
    """KerasNet: 889,834 parameters for 28×28×1 images, 1,250,858 for 32×32×3; 5 sites.

    Args:
        activation: Any specification that `keras_actfn.activation` takes.
        input_shape: Shape of one image, at least 10×10; 32×32×3 if None.
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
    model = KerasNet(activation="conv(identity,relu)", input_shape=(32, 32, 3))
    ```
    """
    axes = {"data_format": data_format}

    inputs = x = keras.Input(input_shape, name="images")
    for block, filters in enumerate((32, 64), start=1):
        for index, padding in enumerate(("same", "valid"), start=2 * block - 1):
            x = layers.Conv2D(filters, 3, padding=padding, name=f"conv_{index}", **axes)(x)
            x = activation()(x)
        x = layers.MaxPooling2D(2, name=f"pool_{block}", **axes)(x)
        x = layers.Dropout(0.25, name=f"dropout_{block}")(x)
    x = layers.Flatten(name="flatten", **axes)(x)
    x = layers.Dense(512, name="dense")(x)
    x = activation()(x)
    x = layers.Dropout(0.5, name="dropout_3")(x)
    outputs = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(inputs, outputs, name=name)
