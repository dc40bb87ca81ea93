"""CoAtNet's attention over the pixels of a feature map."""

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_actfn")
class RelativeAttention(keras.layers.Layer):
    """Multi-head attention over all pixels with a bias for each relative position.

    With q, k and v the thirds of the input's channels, each split into heads of size d,
    softmax(q·kᵀ/√d + b)·v, where b depends on the head and on how far apart query and key
    are in height and width (Dai et al., CoAtNet, equation 2). The bias starts at zero.

    Args:
        heads: Number of heads.
        data_format: Format of inputs and outputs.
        **kwargs: As in `keras.layers.Layer`.

    Raises:
        ValueError: If the channels do not split into three times `heads`.
    """

    def __init__(self, heads: int, data_format: str = "channels_last", **kwargs: Any):
        super().__init__(**kwargs)
        self.heads = heads
        self.data_format = data_format

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create one bias for each relative position and head."""
        height, width, channels = self._sizes(input_shape)
        if channels % (3 * self.heads):
            raise ValueError(
                "RelativeAttention: the input's channels are queries, keys and values of equal "
                f"size for each head. Received: {channels} channels and heads={self.heads}."
            )
        self.bias = self.add_weight(
            name="relative_bias",
            shape=((2 * height - 1) * (2 * width - 1), self.heads),
            initializer="zeros",
        )
        y, x = (n.ravel() for n in np.mgrid[:height, :width])
        down = y[:, None] - y[None, :] + height - 1
        right = x[:, None] - x[None, :] + width - 1
        self._positions = (down * (2 * width - 1) + right).astype("int32")

    def call(self, inputs: Any) -> Any:
        """The attended values, a third of the input's channels."""
        if self.data_format == "channels_first":
            inputs = ops.transpose(inputs, (0, 2, 3, 1))
        height, width, channels = inputs.shape[1:]
        pixels, size = height * width, channels // (3 * self.heads)
        x = ops.reshape(inputs, (-1, pixels, 3, self.heads, size))
        query, key, value = (ops.transpose(x[:, :, i], (0, 2, 1, 3)) for i in range(3))
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * size**-0.5
        bias = ops.take(ops.convert_to_tensor(self.bias), self._positions.ravel(), axis=0)
        bias = ops.transpose(ops.reshape(bias, (pixels, pixels, self.heads)), (2, 0, 1))
        weights = ops.softmax(scores + ops.cast(bias, scores.dtype), axis=-1)
        y = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        y = ops.reshape(y, (-1, height, width, self.heads * size))
        return y if self.data_format == "channels_last" else ops.transpose(y, (0, 3, 1, 2))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's shape with a third of the channels."""
        height, width, channels = self._sizes(input_shape)
        if self.data_format == "channels_first":
            return (input_shape[0], channels // 3, height, width)
        return (input_shape[0], height, width, channels // 3)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "heads": self.heads, "data_format": self.data_format}

    def _sizes(self, shape):
        """Height, width and channels."""
        _, *sizes = shape
        return sizes if self.data_format == "channels_last" else (*sizes[1:], sizes[0])
