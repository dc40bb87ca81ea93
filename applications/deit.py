"""DeiT-Tiny with its distillation token (Touvron et al., Training Data-Efficient Image
Transformers & Distillation through Attention, section 4).
"""

from typing import Any

import keras
from keras import layers

from .common import image_model
from .transformer_common import dense, largest_side
from .vit import encode_patches


@image_model(default=(32, 32, 3), smallest=largest_side)
def DeiTTiny(
    activation: Any = "gelu",
    input_shape: tuple[int, ...] | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    data_format: str | None = None,
    name: str | None = "deit_tiny",
    *,
    patch_size: Any = 4,
    width: int = 192,
    depth: int = 12,
    heads: int = 3,
    mlp_ratio: int = 4,
) -> keras.Model:
    """DeiT-Tiny: 5,365,076 parameters for 32×32×3, patch 4 and 10 classes; 12 sites.

    5,910,800 for 224×224×3, patch 16 and 1000 classes. ViT-Tiny with a second learned
    token: the class token has the dense head `"class_head"`, the distillation token
    `"distillation_head"`, no dense layer before them. The output is the mean of the two
    heads' logits (section 4, "Classification with our approach"), then
    `classifier_activation`. `keras_actfn.finetuning.Distillation` trains the
    second head from a teacher.

    Args:
        activation: Any specification that `keras_actfn.activation` takes.
        input_shape: Shape of one image, no smaller than a patch; 32×32×3 if None.
        classes: Number of classes.
        classifier_activation: Activation of the mean logits; None for logits.
        data_format: `"channels_last"`, `"channels_first"` or None for Keras's setting.
        name: Name of the model.
        patch_size: Side of a patch, or `(height, width)`.
        width: Width of the tokens.
        depth: Number of blocks, and of sites.
        heads: Number of heads; divides `width`.
        mlp_ratio: Width of the MLP over `width`.

    Returns:
        An uncompiled functional `keras.Model`.

    Raises:
        ValueError: If an argument is not what it should be.

    Example:
    ```python
    student = DeiTTiny(activation="crrelu", classes=100)
    ```
    """
    inputs, x = encode_patches(
        "DeiTTiny",
        activation,
        input_shape,
        data_format,
        tokens=2,
        patch_size=patch_size,
        width=width,
        depth=depth,
        heads=heads,
        mlp_ratio=mlp_ratio,
    )
    logits = [
        dense(classes, "class_head")(x[:, 0]),
        dense(classes, "distillation_head")(x[:, 1]),
    ]
    x = layers.Average(name="logits")(logits)
    outputs = layers.Activation(classifier_activation, name="predictions")(x)
    return keras.Model(inputs, outputs, name=name)
