"""LeNet-5 as Manessi and Rozza trained it.

conv5×5 20 – act – maxpool2 – conv5×5 50 – act – maxpool2 – dense 500 – act – dense
classes, convolutions without padding ("Learning Combinations of Activation Functions",
section IV: 431k parameters on Fashion-MNIST, 657k on CIFAR-10).
"""

from typing import Any

import keras
from keras import layers

from .common import image_model


@image_model(default=(28, 28, 1), smallest=16)
def LeNet5(
    activation: Any = "relu",
    input_shape: tuple[int, ...] | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    data_format: str | None = None,
    name: str | None = "lenet5",
) -> keras.Model:
    """LeNet-5: 431,080 parameters for 28×28×1 images, 657,080 for 32×32×3; 3 sites.

    Args:
        activation: Any specification that `keras_actfn.activation` takes.
        input_shape: Shape of one image, at least 16×16; 28×28×1 if None.
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
    data = keras_actfn.datasets.digits(image_size=28).subset(256)
    model = LeNet5(activation="aff(identity,relu,tanh)")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(data.x_train, data.y_train)
    ```
    """
    axes = {"data_format": data_format}

    inputs = x = keras.Input(input_shape, name="images")
    for index, filters in enumerate((20, 50), start=1):
        x = layers.Conv2D(filters, 5, name=f"conv_{index}", **axes)(x)
        x = activation()(x)
        x = layers.MaxPooling2D(2, name=f"pool_{index}", **axes)(x)
    x = layers.Flatten(name="flatten", **axes)(x)
    x = layers.Dense(500, name="dense")(x)
    x = activation()(x)
    outputs = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(inputs, outputs, name=name)
