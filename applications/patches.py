"""Moving between feature maps and the patches that MobileViTV2 attends over."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_actfn")
class ResizeToMultiple(keras.layers.Layer):
    """Enlarges maps bilinearly until height and width are multiples of `size`.

    Pixel centres are at half-integers, as in `keras.ops.image.resize`. Maps that fit are
    returned as they are.

    Args:
        size: Height and width of a patch.
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: As in `keras.layers.Layer`.
    """

    def __init__(self, size: Any = 2, data_format: str = "channels_last", **kwargs: Any):
        super().__init__(**kwargs)
        self.size = size
        self.data_format = data_format
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
        """The maps at their new size."""
        height, width = self._axes(inputs.shape)
        target = self._target(height), self._target(width)
        if target == (height, width):
            return inputs
        return ops.image.resize(
            inputs, target, interpolation="bilinear", data_format=self.data_format
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's shape with height and width rounded up."""
        height, width = (self._target(n) for n in self._axes(input_shape))
        if self.data_format == "channels_last":
            return (input_shape[0], height, width, input_shape[3])
        return (*input_shape[:2], height, width)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "size": self.size, "data_format": self.data_format}

    def _axes(self, shape):
        return shape[1:3] if self.data_format == "channels_last" else shape[2:4]

    def _target(self, n):
        return -(-n // self.size) * self.size


@keras.saving.register_keras_serializable(package="keras_actfn")
class UnfoldPatches(keras.layers.Layer):
    """Maps `(B, H, W, C)` as `(B, s², N, C)`: positions in a patch, then N = HW/s² patches.

    Args:
        size: Height and width s of a patch; divides those of the maps.
        data_format: Format of the maps; the result has the channels last in either.
        **kwargs: As in `keras.layers.Layer`.
    """

    def __init__(self, size: Any = 2, data_format: str = "channels_last", **kwargs: Any):
        super().__init__(**kwargs)
        self.size = size
        self.data_format = data_format
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
        """The patches."""
        s = self.size
        if self.data_format == "channels_first":
            inputs = ops.transpose(inputs, (0, 2, 3, 1))
        _, height, width, channels = inputs.shape
        x = ops.reshape(inputs, (-1, height // s, s, width // s, s, channels))
        x = ops.transpose(x, (0, 2, 4, 1, 3, 5))
        return ops.reshape(x, (-1, s * s, height * width // s**2, channels))

    def compute_output_shape(self, input_shape: tuple) -> tuple[int | None, ...]:
        """The patches' shape."""
        batch, height, width, channels = input_shape
        if self.data_format == "channels_first":
            batch, channels, height, width = input_shape
        return (batch, self.size**2, height * width // self.size**2, channels)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "size": self.size, "data_format": self.data_format}


@keras.saving.register_keras_serializable(package="keras_actfn")
class FoldPatches(keras.layers.Layer):
    """The inverse of `UnfoldPatches`.

    Args:
        height: Height of the maps.
        width: Width of the maps.
        size: Height and width of a patch.
        data_format: Format of the maps.
        **kwargs: As in `keras.layers.Layer`.
    """

    def __init__(
        self,
        height: int,
        width: int,
        size: Any = 2,
        data_format: str = "channels_last",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.height, self.width, self.size = height, width, size
        self.data_format = data_format
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
        """The maps."""
        s, channels = self.size, inputs.shape[-1]
        x = ops.reshape(inputs, (-1, s, s, self.height // s, self.width // s, channels))
        x = ops.transpose(x, (0, 3, 1, 4, 2, 5))
        x = ops.reshape(x, (-1, self.height, self.width, channels))
        if self.data_format == "channels_first":
            x = ops.transpose(x, (0, 3, 1, 2))
        return x

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The maps' shape."""
        batch, channels = input_shape[0], input_shape[-1]
        if self.data_format == "channels_first":
            return (batch, channels, self.height, self.width)
        return (batch, self.height, self.width, channels)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "height": self.height,
            "width": self.width,
            "size": self.size,
            "data_format": self.data_format,
        }
