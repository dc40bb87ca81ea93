"""Local response normalisation across channels (Krizhevsky et al., 2012, section 3.3)."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_actfn")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each value by a power of the squares around it in the channel axis.

    y_c = x_c / (k + α/n · Σ_{|j−c| ≤ n/2} x_j²)^β, channels outside the range being zero.
    α is divided by the size n, as Caffe does; the paper and TensorFlow do not divide.
    Inputs of 16 bits are computed in float32.

    Args:
        size: Number n of channels in the sum, odd.
        alpha: α.
        beta: β.
        k: k.
        axis: The channel axis.
        **kwargs: As in `keras.layers.Layer`.

    Raises:
        ValueError: If `size` is not a positive odd integer.

    Example:
    ```python
    x = LocalResponseNormalization(size=5, alpha=1e-4, beta=0.75)(x)
    ```
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        axis: Any = -1,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not isinstance(size, int) or size < 1 or size % 2 == 0:
            raise ValueError(
                "LocalResponseNormalization: size is a positive odd number of channels, the "
                f"middle one being normalised. Received: size={size!r}."
            )
        self.size, self.alpha, self.beta, self.k, self.axis = size, alpha, beta, k, axis
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
        """The normalised inputs."""
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        x = ops.cast(inputs, "float32") if dtype in ("float16", "bfloat16") else inputs
        axis = self.axis % len(x.shape)
        half, channels = self.size // 2, x.shape[axis]
        squares = ops.pad(x * x, [(half, half) if i == axis else (0, 0) for i in range(x.ndim)])
        total = sum(
            squares[(slice(None),) * axis + (slice(first, first + channels),)]
            for first in range(self.size)
        )
        return ops.cast(x / (self.k + self.alpha / self.size * total) ** self.beta, dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("size", "alpha", "beta", "k", "axis")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
