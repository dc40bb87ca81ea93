"""All-CNN-C (Springenberg et al., Striving for Simplicity, Tables 1 and 2)."""

from typing import Any

import keras
from keras import layers

from .blocks import ImageLayers
from .common import image_model

#: (filters, kernel size, strides, padding) of the convolutions before the last.
_CONVOLUTIONS = (
    (96, 3, 1, "same"),
    (96, 3, 1, "same"),
    (96, 3, 2, "same"),
    (192, 3, 1, "same"),
    (192, 3, 1, "same"),
    (192, 3, 2, "same"),
    (192, 3, 1, "valid"),
    (192, 1, 1, "same"),
)


@image_model(default=(32, 32, 3), smallest=9)
def AllCNNC(
    activation: Any = "relu",
    input_shape: tuple[int, ...] | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    data_format: str | None = None,
    name: str | None = "all_cnn_c",
    *,
    dropout: float = 0.5,
) -> keras.Model:
    """All-CNN-C: 1,369,738 parameters for 32×32×3 images and 10 classes; 9 sites.

    Nine convolutions, each with a bias and followed by the activation: 3×3 with 96, 96 and
    96 filters, 192, 192 and 192, 192, then 1×1 with 192 and `classes`. The third and the
    sixth halve the image and are followed by dropout. The seventh is not padded, so that
    the mean is over 6×6 pixels as in the paper. Mean over the pixels, softmax.

    Args:
        activation: Any specification that `keras_actfn.activation` takes.
        input_shape: Shape of one image, at least 9×9; 32×32×3 if None.
        classes: Number of classes.
        classifier_activation: What the class means go through; None for logits.
        data_format: `"channels_last"`, `"channels_first"` or None for Keras's setting.
        name: Name of the model.
        dropout: Rate of both dropouts.

    Returns:
        An uncompiled functional `keras.Model`.

    Raises:
        ValueError: If an argument is not what it should be.

    Example:
    ```python
    model = AllCNNC(activation="negative(relu(x))")
    keras_actfn.initialization.autoinit(model)
    ```
    """
    make = ImageLayers(data_format, use_bias=True)

    inputs = x = keras.Input(input_shape, name="images")
    convolutions = (*_CONVOLUTIONS, (classes, 1, 1, "same"))
    for index, (filters, size, strides, padding) in enumerate(convolutions, start=1):
        x = make.conv(filters, size, f"conv_{index}", strides=strides, padding=padding)(x)
        x = activation()(x)
        if strides == 2:
            x = layers.Dropout(dropout, name=f"dropout_{index}")(x)
    x = make.mean()(x)
    outputs = layers.Activation(classifier_activation, name="predictions")(x)
    return keras.Model(inputs, outputs, name=name)
