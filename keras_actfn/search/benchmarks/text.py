"""Network and data of `chat_lm`: the next character of people's chats."""

import functools
import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from ..._activation import activation
from ..._optional import require
from ...applications.transformer_common import AddPositions, SelfAttention

#: Characters of the vocabulary; the last stands for all others.
CHARACTERS = 48
CONTEXT = 32


def transformer(spec: Any) -> keras.Model:
    """Causal transformer on characters: context 32, width 32, 2 heads, MLP of 96.

    Characters and learned positions are embedded and added; then x += attention (LN x), x += MLP
    (LN x), with the activation between the MLP's two dense layers; LN; a dense layer to 48 logits.
    Dense layers start from Glorot's uniform distribution, embeddings from N(0, 0.5²).
    """
    width, heads = 32, 2
    start = keras.initializers.RandomNormal(stddev=0.5)
    tokens = keras.Input((CONTEXT,), dtype="int32")
    x = layers.Embedding(CHARACTERS, width, embeddings_initializer=start)(tokens)
    x = AddPositions(CONTEXT, start)(x)
    packed = layers.Dense(3 * width)(layers.LayerNormalization(epsilon=1e-5)(x))
    attended = layers.Dense(width)(SelfAttention(heads, causal=True)(packed))
    x = layers.Add()([x, attended])
    inside = layers.Dense(3 * width)(layers.LayerNormalization(epsilon=1e-5)(x))
    x = layers.Add()([x, layers.Dense(width)(activation(spec)(inside))])
    logits = layers.Dense(CHARACTERS, name="logits")(layers.LayerNormalization(epsilon=1e-5)(x))
    return keras.Model(tokens, logits)


def chats(recipe: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pieces of 33 characters: the first 32 are the inputs, the last 32 the targets.

    Conversations are in lower case, a line a message, in a random order; validation and test
    pieces are of other conversations than training pieces.

    Args:
        recipe: A `BenchRecipe`; its numbers are pieces.
    """
    parts = {}
    for part, text in zip(("training", "validation", "test"), _texts(), strict=True):
        count = getattr(recipe, part)
        pieces = text[: count * (CONTEXT + 1)].reshape(count, CONTEXT + 1)
        parts[part] = pieces[:, :-1].astype("int32"), pieces[:, 1:].astype("int64")
    return parts


@functools.lru_cache(maxsize=1)
def _texts():
    """Characters by number, of 80 %, 10 % and 10 % of the conversations."""
    package: Any = require("chitchat_dataset", extra="atlas")
    path = Path(package.__file__).with_name("dataset.json")
    talks = []
    for record in json.loads(path.read_text(encoding="utf-8")).values():
        lines = [" ".join(part["text"] for part in message) for message in record["messages"]]
        talks.append("".join(f"{line.strip().lower()}\n" for line in lines if line.strip()) + "\n")
    talks = [talks[i] for i in np.random.default_rng(0).permutation(len(talks))]
    ends = (0, int(0.8 * len(talks)), int(0.9 * len(talks)), len(talks))
    texts = ["".join(talks[a:b]) for a, b in itertools.pairwise(ends)]
    usual = [character for character, _ in Counter(texts[0]).most_common(CHARACTERS - 1)]
    number = {character: i for i, character in enumerate(sorted(usual))}
    return [
        np.array([number.get(character, CHARACTERS - 1) for character in text], "uint8")
        for text in texts
    ]
