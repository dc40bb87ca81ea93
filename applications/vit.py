"""ViT-Tiny (Dosovitskiy et al., An Image is Worth 16x16 Words, sections 3.1 and 3.2).

The size is the "tiny" one of Touvron et al. (Training Data-Efficient Image Transformers,
Table 1): width 192, depth 12, 3 heads, as in the CRReLU paper's Table 5.
"""

from typing import Any

import keras
from keras import layers

from .common import image_model
from .transformer_common import (
    AddPositions,
    Encoder,
    PrependTokens,
    check_sizes,
    dense,
    largest_side,
    patch_images,
)


@image_model(default=(32, 32, 3), smallest=largest_side)
def ViTTiny(
    activation: Any = "gelu",
    input_shape: tuple[int, ...] | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    data_format: str | None = None,
    name: str | None = "vit_tiny",
    *,
    patch_size: Any = 4,
    width: int = 192,
    depth: int = 12,
    heads: int = 3,
    mlp_ratio: int = 4,
) -> keras.Model:
    """ViT-Tiny: 5,399,818 parameters for 32×32×3, patch 4 and 10 classes; 12 sites.

    5,754,472 for 224×224×3, patch 16 and 1000 classes. A convolution cuts the patches, a
    class token is put in front, learned positions are added; `depth` times x += attention
    (LN x), x += MLP (LN x), the activation between the MLP's two dense layers; the class
    token goes through LN, a dense layer with a fixed tanh, and the head. Layer
    normalisation has epsilon 1e-6. Images whose sides are no multiples of the patch's are
    padded with zeros.

    Args:
        activation: Any specification that `keras_actfn.activation` takes.
        input_shape: Shape of one image, no smaller than a patch; 32×32×3 if None.
        classes: Number of classes.
        classifier_activation: Activation of the last layer; None for logits.
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
    model = ViTTiny(activation="crrelu", input_shape=(224, 224, 3), patch_size=16, classes=1000)
    ```
    """
    inputs, x = encode_patches(
        "ViTTiny",
        activation,
        input_shape,
        data_format,
        tokens=1,
        patch_size=patch_size,
        width=width,
        depth=depth,
        heads=heads,
        mlp_ratio=mlp_ratio,
    )
    x = dense(width, "pre_logits", activation="tanh")(x[:, 0])
    outputs = dense(classes, "predictions", activation=classifier_activation)(x)
    return keras.Model(inputs, outputs, name=name)


def encode_patches(
    model: str,
    activation: Any,
    input_shape: tuple[int, ...] | None,
    data_format: str | None,
    *,
    tokens: Any,
    patch_size: Any,
    width: int,
    depth: int,
    heads: int,
    mlp_ratio: int,
) -> tuple[Any, Any]:
    """The part that ViT and DeiT share: from images to normalised tokens.

    Args:
        model: The model's name, for messages.
        activation: Function that gives the next site's layer.
        input_shape: Shape of one image.
        data_format: Where the channels are.
        tokens: Number of learned tokens in front of the patches.
        patch_size: Side of a patch.
        width: Width of the tokens.
        depth: Number of blocks.
        heads: Number of heads.
        mlp_ratio: Width of the MLP over `width`.

    Returns:
        `(inputs, x)`: the Keras input and `[batch, tokens + patches, width]`.
    """
    inputs, x, patch = patch_images(input_shape, data_format, patch_size)
    check_sizes(model, width=width, depth=depth, heads=heads, mlp_ratio=mlp_ratio)
    encoder = Encoder(width, heads, mlp_ratio * width, epsilon=1e-6, site=activation)
    x = layers.Conv2D(
        width,
        patch,
        strides=patch,
        padding="same",
        data_format="channels_last",
        kernel_initializer="lecun_normal",
        name="patches",
    )(x)
    x = layers.Reshape((-1, width), name="flatten")(x)
    x = PrependTokens(tokens, name="tokens")(x)
    x = AddPositions(name="positions")(x)
    for index in range(1, depth + 1):
        x = encoder.attention(x, f"block_{index}")
        x = encoder.mlp(x, f"block_{index}")
    return inputs, encoder.norm("final_norm")(x)
