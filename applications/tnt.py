"""TNT-Small (Han et al., Transformer in Transformer, section 2 and Table 1)."""

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
def TNTSmall(
    activation: Any = "gelu",
    input_shape: tuple[int, ...] | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    data_format: str | None = None,
    name: str | None = "tnt_small",
    *,
    patch_size: Any = 4,
    pixel_stride: int | None = None,
    width: int = 384,
    pixel_width: int = 24,
    depth: int = 12,
    heads: int = 6,
    pixel_heads: int = 4,
    mlp_ratio: int = 4,
) -> keras.Model:
    """TNT-Small: 21,525,298 parameters for 32×32×3, patch 4 and 10 classes; 24 sites.

    A 7×7 convolution makes the "pixels" of every patch, of width 24, which get learned
    positions; LN – dense – LN of a patch's pixels makes its token, of width 384, which gets
    a class token in front and learned positions. Each block is an inner transformer block
    over the pixels of a patch, a link (token += dense(LN pixels), all but the class token)
    and an outer block over the tokens. Queries, keys and values have no biases; layer
    normalisation has epsilon 1e-5; weights, tokens and positions start from truncated
    normal numbers (0.02). The inner block's site comes before the outer's.

    Images whose sides are no multiples of the patch's are padded with zeros.

    Args:
        activation: Any specification that `keras_actfn.activation` takes.
        input_shape: Shape of one image, no smaller than a patch; 32×32×3 if None.
        classes: Number of classes.
        classifier_activation: Activation of the last layer; None for logits.
        data_format: `"channels_last"`, `"channels_first"` or None for Keras's setting.
        name: Name of the model.
        patch_size: Side of a patch, or `(height, width)`.
        pixel_stride: Image pixels between two "pixels", a divisor of the patch's sides; the
            paper's 4 if that is one, else the largest smaller one, if None.
        width: Width of the tokens.
        pixel_width: Width of the pixels.
        depth: Number of blocks, with two sites each.
        heads: Number of heads over tokens; divides `width`.
        pixel_heads: Number of heads over pixels; divides `pixel_width`.
        mlp_ratio: Width of the MLPs over `width` and `pixel_width`.

    Returns:
        An uncompiled functional `keras.Model`.

    Raises:
        ValueError: If an argument is not what it should be.

    Example:
    ```python
    model = TNTSmall(activation="crrelu", input_shape=(28, 28, 1))
    ```
    """
    inputs, x, patch = patch_images(input_shape, data_format, patch_size)
    check_sizes("TNTSmall", width=width, heads=heads, depth=depth, mlp_ratio=mlp_ratio)
    check_sizes("TNTSmall (pixels)", width=pixel_width, heads=pixel_heads)
    stride = _pixel_stride(pixel_stride, patch)
    options: dict[str, Any] = {"epsilon": 1e-5, "site": activation, "joint_qkv": False}
    inner = Encoder(pixel_width, pixel_heads, mlp_ratio * pixel_width, **options)
    outer = Encoder(width, heads, mlp_ratio * width, **options)

    pixels = _pixels(x, patch, stride, pixel_width)
    pixels = AddPositions(name="pixel_positions")(pixels)
    x = layers.Reshape((pixels.shape[1], -1), name="flatten")(pixels)
    x = dense(width, "to_tokens")(inner.norm("to_tokens_norm_1")(x))
    x = inner.norm("to_tokens_norm_2")(x)
    x = PrependTokens(name="tokens")(x)
    x = AddPositions(name="positions")(x)
    for index in range(1, depth + 1):
        prefix = f"block_{index}"
        pixels = inner.mlp(inner.attention(pixels, f"{prefix}_inner"), f"{prefix}_inner")
        x = _link(x, pixels, dense(width, f"{prefix}_link"), inner.norm(f"{prefix}_link_norm"))
        x = outer.mlp(outer.attention(x, f"{prefix}_outer"), f"{prefix}_outer")
    x = outer.norm("final_norm")(x)
    outputs = dense(classes, "predictions", activation=classifier_activation)(x[:, 0])
    return keras.Model(inputs, outputs, name=name)


def _pixels(images, patch, stride, width):
    """`[batch, rows, columns, channels]` to `[batch, patches, pixels of a patch, width]`."""
    axes = {"data_format": "channels_last"}
    rows, columns = (-(-size // side) for size, side in zip(images.shape[1:3], patch, strict=True))
    missing = (rows * patch[0] - images.shape[1], columns * patch[1] - images.shape[2])
    padding = tuple((3, 3 + size) for size in missing)
    x = layers.ZeroPadding2D(padding, name="padding", **axes)(images)
    x = layers.Conv2D(
        width, 7, strides=stride, kernel_initializer="lecun_normal", name="pixels", **axes
    )(x)
    inside = (patch[0] // stride, patch[1] // stride)
    x = layers.Reshape((rows, inside[0], columns, inside[1], width), name="cut")(x)
    x = layers.Permute((1, 3, 2, 4, 5), name="by_patch")(x)
    return layers.Reshape((rows * columns, inside[0] * inside[1], width), name="patches")(x)


def _link(x, pixels, project, norm):
    """Tokens plus the projected pixels of their patch; the class token stays as it is."""
    flat = layers.Reshape((pixels.shape[1], -1), name=f"{project.name}_flatten")(norm(pixels))
    linked = layers.Add(name=f"{project.name}_add")([x[:, 1:], project(flat)])
    return layers.Concatenate(axis=1, name=f"{project.name}_join")([x[:, :1], linked])


def _pixel_stride(stride, patch):
    if stride is None:
        return next(n for n in (4, 3, 2, 1) if not any(side % n for side in patch))
    if not isinstance(stride, int) or stride < 1 or any(side % stride for side in patch):
        raise ValueError(
            f"TNTSmall: pixel_stride divides the sides of a patch. Received: pixel_stride="
            f"{stride!r} for patches of {patch[0]}×{patch[1]}. Leave it None to have it chosen."
        )
    return stride
