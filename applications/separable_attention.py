"""The token mixing of MobileViTV2, whose cost is linear in the number of tokens."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_actfn")
class AttentionContext(keras.layers.Layer):
    """Splits `(…, N, 1 + 2a)` into q, k and v, and gives Σ_N softmax(q)·k and v.

    Separable self-attention (Mehta and Rastegari, 2022, section 3.2): one score a token,
    normalised over the tokens; the context is one vector for them all.

    Args:
        **kwargs: As in `keras.layers.Layer`.

    Returns:
        When called: context `(…, 1, a)` and values `(…, N, a)`.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
        """Context and values."""
        a = (inputs.shape[-1] - 1) // 2
        query, key, value = ops.split(inputs, [1, 1 + a], axis=-1)
        scores = ops.softmax(query, axis=-2)
        return ops.sum(scores * key, axis=-2, keepdims=True), value

    def compute_output_shape(self, input_shape: tuple) -> tuple[tuple, tuple]:
        """Shapes of context and values."""
        *leading, n, channels = input_shape
        a = (channels - 1) // 2
        return (*leading, 1, a), (*leading, n, a)
