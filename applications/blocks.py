"""Layers that know where the channels are, shared by the networks with many blocks."""

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
        self, data_format, *, use_bias, initializer="he_normal", momentum=0.99, epsilon=1e-3
    ):
        self.data_format = data_format
        self.channels = -1 if data_format == "channels_last" else 1
        self.use_bias = use_bias
        self.initializer = initializer
        self.momentum = momentum
        self.epsilon = epsilon

    def conv(self, filters, size, name, *, strides=1, padding="same", use_bias=None, **kwargs):
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

    def depthwise(self, size, name, *, strides=1, padding="same"):
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

    def norm(self, name):
        """Batch normalisation of the channels."""
        return layers.BatchNormalization(
            axis=self.channels, momentum=self.momentum, epsilon=self.epsilon, name=name
        )

    def pad(self, size, name):
        """Zeros on all four sides."""
        return layers.ZeroPadding2D(size, data_format=self.data_format, name=name)

    def max_pool(self, size, name, *, strides=None, padding="valid"):
        """The largest value of every window."""
        return layers.MaxPooling2D(
            size, strides=strides, padding=padding, data_format=self.data_format, name=name
        )

    def mean(self, name="pool", *, keepdims=False):
        """The mean over all pixels."""
        return layers.GlobalAveragePooling2D(
            data_format=self.data_format, keepdims=keepdims, name=name
        )


def check_counts(model, **counts):
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
