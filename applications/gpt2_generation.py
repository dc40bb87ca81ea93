"""Text from a GPT-2, one token after the other, with the keys and values kept.

A step computes the queries, keys and values of the new tokens only and reads those of the
tokens before from a cache, `[2, batch, heads, context, d]` for each block; the logits are
those of the whole sequence. Tokens are drawn in NumPy from the seed, so that equal logits
give equal texts on every backend.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from .. import backend
from .gpt2 import depth_of, logits_of
from .transformer_common import attend, split_heads


def generate(
    model: keras.Model,
    prompts: Iterable[Sequence[int]],
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    greedy: bool = False,
    end_token: int | None = None,
    seed: int = 0,
) -> list[np.ndarray]:
    """Continue prompts by `length` tokens each.

    The next token is drawn from softmax(logits / temperature), restricted to the `top_k`
    likeliest tokens, then to the fewest likeliest whose probabilities sum to at least
    `top_p` (Holtzman et al., The Curious Case of Neural Text Degeneration, section 3.1).

    Args:
        model: A model with the layers of `GPT2`, such as `replace_activations` returns too.
        prompts: Sequences of token numbers, at least one token each; lengths may differ.
        length: Number of tokens to add to every prompt.
        temperature: Divides the logits.
        top_k: Number of likeliest tokens to draw from; None for all.
        top_p: Probability of the likeliest tokens to draw from; None for all.
        greedy: Take the likeliest token always; the arguments above are then not used.
        end_token: Token after which a text is over; None never ends one early.
        seed: Seed of the draws.

    Returns:
        A list of integer arrays: each prompt with what follows, up to and with `end_token`.

    Raises:
        ValueError: If a prompt is empty, has a token outside the vocabulary, or does not
            fit into the context together with `length`, or an argument is out of range.

    Example:
    ```python
    from keras_actfn.applications import GPT2, generate

    model = GPT2(input_shape=(64,), classes=256, width=64, depth=2, heads=2)
    generate(model, [[5, 8], [9]], 20, top_k=40, seed=1)
    ```
    """
    choose = _chooser(temperature, top_k, top_p, greedy, np.random.default_rng(seed))
    starts = [np.asarray(prompt, dtype="int32") for prompt in prompts]
    decoder = CachedDecoder(model, len(starts))
    _check(starts, length, decoder)
    sizes = np.array([len(prompt) for prompt in starts])
    total = int(sizes.max()) + length
    tokens = np.zeros((len(starts), total), "int32")
    for row, prompt in zip(tokens, starts, strict=True):
        row[: len(prompt)] = prompt
    ends = sizes + length
    done = np.zeros(len(starts), bool)
    position = int(sizes.min())
    logits = decoder(tokens[:, :position])
    while True:
        writing = (position >= sizes) & (position < ends) & ~done
        chosen = choose(logits[:, -1])
        tokens[writing, position] = chosen[writing]
        if end_token is not None:
            over = writing & (tokens[:, position] == end_token)
            ends[over] = position + 1
            done |= over
        position += 1
        if position >= ends.max():
            return [row[:end] for row, end in zip(tokens, ends, strict=True)]
        logits = decoder(tokens[:, position - 1 : position])


class CachedDecoder:
    """Logits of a sequence that is handed over piece by piece.

    Args:
        model: A model with the layers of `GPT2`.
        batch: Number of sequences.

    Attributes:
        context: Greatest number of tokens of a sequence.
        vocabulary: Number of tokens.
        position: Number of tokens handed over so far.

    Raises:
        ValueError: If the model is not a GPT-2, or, when called, if the sequence gets
            longer than the context.
    """

    def __init__(self, model: keras.Model, batch: int):
        self._depth = depth_of(model)
        self._layer = model.get_layer
        embedding, positions = self._layer("embedding"), self._layer("positions")
        heads = self._layer("block_1_attention").heads
        self.context, self.vocabulary = positions.length, embedding.input_dim
        self.position = 0
        self._variables = model.variables
        width = embedding.output_dim // heads
        shape = (2, batch, heads, self.context, width)
        dtype = self._layer("block_1_attention").compute_dtype
        self._caches = [ops.zeros(shape, dtype) for _ in range(self._depth)]
        self._step = backend.compiled(self._logits)

    def __call__(self, tokens: Any) -> np.ndarray:
        """Logits `[batch, tokens, vocabulary]`, a NumPy array, of the next tokens.

        Args:
            tokens: Token numbers `[batch, tokens]`.
        """
        if self.position + tokens.shape[1] > self.context:
            raise ValueError(
                f"The model's context has {self.context} tokens. Received: {tokens.shape[1]} "
                f"tokens after {self.position}."
            )
        logits, self._caches = self._step(
            [variable.value for variable in self._variables],
            ops.convert_to_tensor(tokens, "int32"),
            self._caches,
            ops.convert_to_tensor(self.position, "int32"),
        )
        self.position += tokens.shape[1]
        return ops.convert_to_numpy(ops.cast(logits, "float32"))

    def _logits(self, values, tokens, caches, start):
        """Logits of `tokens` at `start` and the caches with their keys and values."""
        caches = list(caches)

        def attention(block, packed):
            caches[block - 1], attended = _attend_cached(
                packed, caches[block - 1], start, self._layer(f"block_{block}_attention").heads
            )
            return attended

        mapping = list(zip(self._variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            logits = logits_of(
                tokens,
                self._layer,
                self._depth,
                attention=attention,
                positions=lambda x: self._layer("positions").add_from(x, start),
            )
        return logits, caches


def _attend_cached(packed, cache, start, heads):
    """The cache with the new keys and values, and the attention of the new queries."""
    query, key, value = split_heads(packed, heads)
    cache = ops.slice_update(cache, (0, 0, 0, start, 0), ops.stack([key, value]))
    positions = ops.arange(cache.shape[-2])
    visible = positions[None, :] <= start + ops.arange(packed.shape[-2])[:, None]
    return cache, attend(query, cache[0], cache[1], visible)


def _chooser(temperature, top_k, top_p, greedy, rng):
    """A function from logits `[batch, vocabulary]` to one token each."""
    if not temperature > 0:
        raise ValueError(
            f"temperature is positive. Received: temperature={temperature!r}. Use greedy=True for "
            "the likeliest token always."
        )
    if top_k is not None and (not isinstance(top_k, int) or top_k < 1):
        raise ValueError(f"top_k is a positive integer or None. Received: top_k={top_k!r}.")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is above 0 and at most 1, or None. Received: top_p={top_p!r}.")
    if greedy:
        return lambda logits: np.argmax(logits, axis=-1)

    def draw(logits):
        probabilities = candidates(logits / temperature, top_k, top_p)
        below = np.cumsum(probabilities, axis=-1)
        points = rng.random((len(logits), 1)) * below[:, -1:]
        return np.argmax(below > points, axis=-1)

    return draw


def candidates(
    logits: np.ndarray, top_k: int | None = None, top_p: float | None = None
) -> np.ndarray:
    """Probabilities of the tokens that may be drawn, zero for the others.

    Args:
        logits: Array `[batch, vocabulary]`.
        top_k: Number of tokens to keep, the likeliest first; None for all.
        top_p: Keep the fewest likeliest tokens whose probabilities, among those that
            `top_k` left, sum to at least this; None for all.

    Returns:
        Float64 array of the same shape whose rows sum to one.
    """
    order = np.argsort(-logits, axis=-1, kind="stable")
    ranked = np.take_along_axis(logits, order, -1).astype("float64")
    if top_k is not None:
        ranked[:, top_k:] = -np.inf
    ranked = np.exp(ranked - ranked[:, :1])
    ranked /= ranked.sum(-1, keepdims=True)
    if top_p is not None:
        before = np.cumsum(ranked, axis=-1) - ranked
        ranked[before >= top_p] = 0.0
        ranked /= ranked.sum(-1, keepdims=True)
    probabilities = np.empty_like(ranked)
    np.put_along_axis(probabilities, order, ranked, -1)
    return probabilities


def _check(prompts, length, decoder):
    if not prompts or any(prompt.ndim != 1 or not len(prompt) for prompt in prompts):
        raise ValueError(
            "Prompts are sequences of token numbers with at least one token each. Received: "
            f"{[prompt.tolist() for prompt in prompts]}. Begin an empty text with the "
            "tokeniser's end token."
        )
    if not isinstance(length, int) or length < 1:
        raise ValueError(f"length is a positive integer. Received: length={length!r}.")
    longest = max(len(prompt) for prompt in prompts)
    if longest + length > decoder.context:
        raise ValueError(
            f"A prompt and its continuation fit into the model's context of {decoder.context} "
            f"tokens. Received: a prompt of {longest} tokens and length={length}. Shorten one."
        )
    for prompt in prompts:
        if prompt.min() < 0 or prompt.max() >= decoder.vocabulary:
            raise ValueError(
                f"Token numbers are in 0 … {decoder.vocabulary - 1}. Received: {prompt.tolist()}."
            )
