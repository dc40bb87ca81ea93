"""ResNet-56 V2 for 32×32 images (He et al., Identity Mappings in Deep Residual Networks)."""

from typing import Any

import keras
from keras import layers

from .blocks import ImageLayers, check_counts
from .common import image_model


@image_model(default=(32, 32, 3), smallest=8)
def ResNet56V2(
    activation: Any = "relu",
    input_shape: tuple[int, ...] | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    data_format: str | None = None,
    name: str | None = "resnet56v2",
    *,
    blocks: int = 6,
) -> keras.Model:
    """ResNet-56 V2: 1,673,738 parameters (1,663,338 trainable) for 10 classes; 55 sites.

    The pre-activation bottleneck network of the AQuaSurF paper (section 4 and Table 5):
    conv3×3 16 – BN – act, then three stages of inner width 16, 64 and 128 and outer width
    64, 128 and 256. A block is three times BN – act – conv, of size 1 (with the stage's
    stride), 3 and 1; the very first block has no leading BN – act. The first block of a
    stage has a biased 1×1 projection of its raw input as the shortcut. Final BN – act –
    mean – dense. All convolutions have biases and He's normal initialisation, as in the
    Keras example of this network.

    Args:
        activation: Any specification that `keras_actfn.activation` takes.
        input_shape: Shape of one image, at least 8×8; 32×32×3 if None.
        classes: Number of classes.
        classifier_activation: Activation of the last layer; None for logits.
        data_format: `"channels_last"`, `"channels_first"` or None for Keras's setting.
        name: Name of the model.
        blocks: Blocks in a stage; the network has 9 · blocks + 2 layers.

    Returns:
        An uncompiled functional `keras.Model`.

    Raises:
        ValueError: If an argument is not what it should be.

    Example:
    ```python
    model = ResNet56V2(activation="x*erfc(elu(x))", classes=100)
    ```
    """
    check_counts("ResNet56V2", blocks=blocks)
    make = ImageLayers(data_format, use_bias=True)

    inputs = keras.Input(input_shape, name="images")
    x = make.conv(16, 3, "stem_conv")(inputs)
    x = activation()(make.norm("stem_norm")(x))
    for stage, (inner, outer) in enumerate(((16, 64), (64, 128), (128, 256)), start=1):
        for block in range(1, blocks + 1):
            prefix = f"stage_{stage}_block_{block}"
            strides = 2 if stage > 1 and block == 1 else 1
            shortcut = x
            if block == 1:
                shortcut = make.conv(outer, 1, f"{prefix}_shortcut", strides=strides)(x)
            if (stage, block) != (1, 1):
                x = activation()(make.norm(f"{prefix}_norm_1")(x))
            x = make.conv(inner, 1, f"{prefix}_conv_1", strides=strides)(x)
            x = activation()(make.norm(f"{prefix}_norm_2")(x))
            x = make.conv(inner, 3, f"{prefix}_conv_2")(x)
            x = activation()(make.norm(f"{prefix}_norm_3")(x))
            x = make.conv(outer, 1, f"{prefix}_conv_3")(x)
            x = layers.Add(name=f"{prefix}_add")([shortcut, x])
    x = activation()(make.norm("final_norm")(x))
    x = make.mean()(x)
    outputs = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(inputs, outputs, name=name)
