"""What the transformers share: tokens, positions, attention and the pre-norm block.

Shapes: `[..., tokens, width]`. Queries, keys and values of all heads come packed along the
last axis, as `[..., tokens, 3 * width]` = (q, k, v) × heads × width / heads.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

_register = keras.saving.register_keras_serializable(package="keras_actfn")


def truncated_normal() -> keras.Initializer:
    """A new initialiser with standard deviation 0.02, as in the reference implementations."""
    return keras.initializers.TruncatedNormal(stddev=0.02)


@_register
class PrependTokens(layers.Layer):
    """Puts `count` learned tokens in front of the others.

    Args:
        count: Number of tokens: 1 for a class token, 2 with a distillation token.
        **kwargs: `keras.layers.Layer`'s.

    Input shape:
        `[batch, tokens, width]`.

    Output shape:
        `[batch, count + tokens, width]`.
    """

    def __init__(self, count: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        self.count = count

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create `tokens`, `[count, width]`."""
        shape = (self.count, input_shape[-1])
        self.tokens = self.add_weight(name="tokens", shape=shape, initializer=truncated_normal())

    def call(self, x: Any) -> Any:
        """The tokens, then x."""
        shape = (ops.shape(x)[0], self.count, x.shape[-1])
        return ops.concatenate([ops.broadcast_to(self.tokens, shape), x], axis=1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """`count` tokens more."""
        batch, tokens, width = input_shape
        return batch, None if tokens is None else tokens + self.count, width

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "count": self.count}


@_register
class AddPositions(layers.Layer):
    """Adds a learned vector to the token at each position.

    Args:
        length: Number of positions; None for the number of tokens it is built with.
        initializer: Initialiser of the vectors.
        **kwargs: `keras.layers.Layer`'s.

    Input shape:
        `[..., tokens, width]` with tokens ≤ length.

    Output shape:
        The input's.

    Raises:
        ValueError: If there are more tokens than positions.
    """

    def __init__(self, length: int | None = None, initializer: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.length = length
        self.initializer = keras.initializers.get(initializer or truncated_normal())

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create `positions`, `[length, width]`."""
        *_, tokens, width = input_shape
        if self.length is None:
            self.length = tokens
        self.positions = self.add_weight(
            name="positions", shape=(self.length, width), initializer=self.initializer
        )

    def call(self, x: Any) -> Any:
        """X plus the first positions."""
        tokens = x.shape[-2]
        if tokens == self.length:
            return x + self.positions
        self._check(tokens)
        return x + self.positions[: ops.shape(x)[-2]]

    def add_from(self, x: Any, start: Any) -> Any:
        """X plus the positions from `start`, an integer tensor, on."""
        positions = ops.convert_to_tensor(self.positions)
        return x + ops.slice(positions, (start, 0), x.shape[-2:])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's."""
        self._check(input_shape[-2])
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        initializer = keras.initializers.serialize(self.initializer)
        return {**super().get_config(), "length": self.length, "initializer": initializer}

    def _check(self, tokens):
        if tokens is not None and self.length is not None and tokens > self.length:
            raise ValueError(
                f"The model has {self.length} positions, so a sequence has at most {self.length} "
                f"tokens. Received: {tokens} tokens. Shorten the sequence, or build the model "
                "with more positions."
            )


@_register
class SelfAttention(layers.Layer):
    r"""Scaled dot-product attention of packed queries, keys and values, without weights.

    $$\mathrm{softmax}(q k^\top / \sqrt{d})\, v$$ for each head of width d.

    Source: Vaswani et al., Attention Is All You Need, section 3.2.

    Args:
        heads: Number of heads; divides the width.
        causal: Whether a token sees itself and those before it only.
        **kwargs: `keras.layers.Layer`'s.

    Input shape:
        `[..., tokens, 3 * width]`.

    Output shape:
        `[..., tokens, width]`.
    """

    def __init__(self, heads: int, causal: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.heads = heads
        self.causal = causal

    def call(self, packed: Any) -> Any:
        """The weighted values."""
        query, key, value = split_heads(packed, self.heads)
        visible = None
        if self.causal:
            positions = ops.arange(ops.shape(packed)[-2])
            visible = positions[:, None] >= positions[None, :]
        return attend(query, key, value, visible)

    def compute_output_shape(self, input_shape: tuple) -> tuple[int | None, ...]:
        """A third of the width."""
        return (*input_shape[:-1], input_shape[-1] // 3)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "heads": self.heads, "causal": self.causal}


def split_heads(packed: Any, heads: int) -> list:
    """`[..., tokens, 3 * width]` to q, k and v, each `[..., heads, tokens, width / heads]`."""
    leading = ops.shape(packed)[:-1]
    packed = ops.reshape(packed, (*leading, 3, heads, packed.shape[-1] // (3 * heads)))
    # The gradient of unstacking is one copy; that of slicing would be three sums.
    return [ops.swapaxes(part, -3, -2) for part in ops.unstack(packed, 3, axis=-3)]


def attend(query: Any, key: Any, value: Any, visible: Any = None) -> Any:
    """Attention of q, k and v by heads; the softmax is computed in at least float32.

    Args:
        query: `[..., heads, queries, d]`.
        key: `[..., heads, keys, d]`.
        value: `[..., heads, keys, d]`.
        visible: Booleans `[queries, keys]`, or None where every query sees every key.

    Returns:
        `[..., queries, heads * d]`.
    """
    scores = ops.matmul(query * query.shape[-1] ** -0.5, ops.swapaxes(key, -1, -2))
    scores = ops.cast(scores, keras.backend.result_type(scores.dtype, "float32"))
    if visible is not None:
        scores = ops.where(visible, scores, -1e30)
    weights = ops.cast(ops.softmax(scores), value.dtype)
    output = ops.swapaxes(ops.matmul(weights, value), -3, -2)
    leading = ops.shape(output)[:-2]
    return ops.reshape(output, (*leading, output.shape[-2] * output.shape[-1]))


class Encoder:
    """Makes the halves of pre-norm encoder blocks of one width.

    Args:
        width: Width of the tokens.
        heads: Number of heads.
        mlp_width: Width between the two dense layers.
        epsilon: Epsilon of layer normalisation.
        site: Function that gives the next activation layer.
        joint_qkv: One biased dense layer for q, k and v; else one without biases for q and
            k and another for v.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_width: int,
        *,
        epsilon: float,
        site: Callable[[], keras.Layer],
        joint_qkv: bool = True,
    ):
        self.width = width
        self.heads = heads
        self.mlp_width = mlp_width
        self.epsilon = epsilon
        self.site = site
        self.joint_qkv = joint_qkv

    def norm(self, name: str) -> keras.Layer:
        """Layer normalisation of the last axis."""
        return layers.LayerNormalization(epsilon=self.epsilon, name=name)

    def attention(self, x: Any, prefix: str) -> Any:
        """X plus the attention of its normalised tokens."""
        normal = self.norm(f"{prefix}_norm_1")(x)
        if self.joint_qkv:
            packed = dense(3 * self.width, f"{prefix}_qkv")(normal)
        else:
            qk = dense(2 * self.width, f"{prefix}_qk", use_bias=False)(normal)
            v = dense(self.width, f"{prefix}_v", use_bias=False)(normal)
            packed = layers.Concatenate(name=f"{prefix}_qkv")([qk, v])
        attended = SelfAttention(self.heads, name=f"{prefix}_attention")(packed)
        attended = dense(self.width, f"{prefix}_projection")(attended)
        return layers.Add(name=f"{prefix}_add_1")([x, attended])

    def mlp(self, x: Any, prefix: str) -> Any:
        """X plus the two dense layers, the activation between them, of its normalised tokens."""
        hidden = self.norm(f"{prefix}_norm_2")(x)
        hidden = self.site()(dense(self.mlp_width, f"{prefix}_mlp_1")(hidden))
        hidden = dense(self.width, f"{prefix}_mlp_2")(hidden)
        return layers.Add(name=f"{prefix}_add_2")([x, hidden])


def dense(units: int, name: str, **kwargs: Any) -> keras.Layer:
    """A dense layer with truncated normal weights."""
    return layers.Dense(units, kernel_initializer=truncated_normal(), name=name, **kwargs)


def largest_side(model: str, arguments: dict[str, Any]) -> int:
    """The larger side of a patch, which no image is smaller than.

    Args:
        model: The model's name, for messages.
        arguments: Its arguments, with `patch_size`.

    Raises:
        ValueError: If `patch_size` is not one or two positive integers.
    """
    return max(_pair(model, arguments["patch_size"]))


def patch_images(
    input_shape: tuple[int, ...] | None, data_format: str | None, patch_size: Any
) -> tuple[Any, Any, tuple[int, int]]:
    """The input of a model that cuts images into patches.

    Args:
        input_shape: Shape of one image.
        data_format: `"channels_last"` or `"channels_first"`.
        patch_size: Side of a patch, or `(height, width)`.

    Returns:
        `(inputs, images, patch)`: the Keras input, the same with the channels last, and
        `(height, width)` of a patch.
    """
    inputs = images = keras.Input(input_shape, name="images")
    if data_format == "channels_first":
        images = layers.Permute((2, 3, 1), name="channels_last")(inputs)
    return inputs, images, _pair("", patch_size)


def check_sizes(model: str, **sizes: Any) -> None:
    """Raise unless every size is a positive integer and heads divide the width.

    Args:
        model: The model's name, for messages.
        **sizes: Arguments of the model by name, with `width` and `heads`.

    Raises:
        ValueError: If one is not.
    """
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ValueError(f"{model}: {name} is a positive integer. Received: {name}={size!r}.")
    if sizes["width"] % sizes["heads"]:
        raise ValueError(
            f"{model}: the heads divide the width evenly. Received: width={sizes['width']} and "
            f"heads={sizes['heads']}. Change one of them."
        )


def _pair(model, patch_size):
    pair = (patch_size, patch_size) if isinstance(patch_size, int) else patch_size
    try:
        pair = tuple(pair)
    except TypeError:
        pair = ()
    if (
        len(pair) != 2
        or not all(isinstance(n, int) and n > 0 for n in pair)
        or any(n is True for n in pair)
    ):
        raise ValueError(
            f"{model}: patch_size is a positive integer or a pair of them, (height, width). "
            f"Received: patch_size={patch_size!r}."
        )
    return pair
