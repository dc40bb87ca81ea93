"""Layers that know where the channels are, shared by the networks with many blocks."""

from typing import Any

import keras
from keras import layers


class ImageLayers:
    """Makes convolutions, normalisations and poolings of one data format.

    Args:
        data_format: `"channels_last"` or `"channels_first"`.
        use_bias: Whether convolutions have a bias unless told otherwise.
        initializer: Initialiser of the convolutions' kernels.
        momentum: Momentum of batch normalisation.
        epsilon: Epsilon of batch normalisation.

    Attributes:
        channels: Index of the channel axis.
    """

    def __init__(
        self,
        data_format: str | None,
        *,
        use_bias: bool | None,
        initializer: Any = "he_normal",
        momentum: float = 0.99,
        epsilon: float = 1e-3,
    ):
        self.data_format = data_format
        self.channels = -1 if data_format == "channels_last" else 1
        self.use_bias = use_bias
        self.initializer = initializer
        self.momentum = momentum
        self.epsilon = epsilon

    def conv(
        self,
        filters: int,
        size: Any,
        name: str,
        *,
        strides: Any = 1,
        padding: str = "same",
        use_bias: bool | None = None,
        **kwargs: Any,
    ) -> keras.Layer:
        """A convolution with square kernels."""
        return layers.Conv2D(
            filters,
            size,
            strides=strides,
            padding=padding,
            use_bias=self.use_bias if use_bias is None else use_bias,
            kernel_initializer=self.initializer,
            data_format=self.data_format,
            name=name,
            **kwargs,
        )

    def depthwise(
        self, size: Any, name: str, *, strides: Any = 1, padding: str = "same"
    ) -> keras.Layer:
        """A depthwise convolution with square kernels and no bias."""
        return layers.DepthwiseConv2D(
            size,
            strides=strides,
            padding=padding,
            use_bias=False,
            depthwise_initializer=self.initializer,
            data_format=self.data_format,
            name=name,
        )

    def norm(self, name: str) -> keras.Layer:
        """Batch normalisation of the channels."""
        return layers.BatchNormalization(
            axis=self.channels, momentum=self.momentum, epsilon=self.epsilon, name=name
        )

    def pad(self, size: Any, name: str) -> keras.Layer:
        """Zeros on all four sides."""
        return layers.ZeroPadding2D(size, data_format=self.data_format, name=name)

    def max_pool(
        self, size: Any, name: str, *, strides: Any = None, padding: str = "valid"
    ) -> keras.Layer:
        """The largest value of every window."""
        return layers.MaxPooling2D(
            size, strides=strides, padding=padding, data_format=self.data_format, name=name
        )

    def mean(self, name: str = "pool", *, keepdims: bool = False) -> keras.Layer:
        """The mean over all pixels."""
        return layers.GlobalAveragePooling2D(
            data_format=self.data_format, keepdims=keepdims, name=name
        )


def check_counts(model: str, **counts: Any) -> None:
    """Raise unless every count, or every entry of a tuple of counts, is a positive integer.

    Args:
        model: The model's name, for messages.
        **counts: Argument names and values; for a tuple, `(value, length)` with the length
            that it must have.
    """
    for name, value in counts.items():
        value, length = value if isinstance(value, tuple) else (value, None)
        entries = (value,) if length is None else value
        rule = "a positive integer" if length is None else f"{length} positive integers"
        valid = isinstance(entries, tuple | list) and len(entries) == (length or 1)
        if not valid or not all(
            isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in entries
        ):
            raise ValueError(f"{model}: {name} is {rule}. Received: {name}={value!r}.")
