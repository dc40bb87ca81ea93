"""Preference pairs from the real conversations of the package chitchat-dataset.

No person rated these answers: the chosen one is what was really replied, the rejected one
a reply from another conversation. What a model scores here is not its score on SHP or HH.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from .._optional import require
from .preference_data import Preference


def chitchat_preferences(
    turns: int = 3, replies: int = 1, held_out: float = 0.1, seed: int = 0, limit: int | None = None
) -> tuple[list[Preference], list[Preference]]:
    """Pairs of an actual reply and a reply from elsewhere; needs chitchat-dataset.

    Each conversation gives up to `replies` pairs: replies in it, drawn at random, each with
    up to `turns` messages before it as the prompt, one a line. The rejected reply comes from
    another conversation of the same part.

    Args:
        turns: Greatest number of messages in a prompt.
        replies: Greatest number of pairs from one conversation.
        held_out: Share of the conversations kept apart; no message of theirs is in the
            training pairs.
        seed: Seed of all draws.
        limit: Greatest number of conversations to use; None for all.

    Returns:
        `(training, validation)`, lists of `Preference`.

    Raises:
        ImportError: If chitchat-dataset is missing.
        ValueError: If `held_out` leaves either part empty.

    Example:
    ```python
    training, validation = chitchat_preferences()
    ```
    """
    rng = np.random.default_rng(seed)
    conversations = [talk for talk in _conversations() if len(talk) > 1]
    conversations = [conversations[i] for i in rng.permutation(len(conversations))[:limit]]
    apart = round(held_out * len(conversations))
    if not 1 < apart < len(conversations) - 1:
        raise ValueError(
            "held_out leaves at least two conversations in each part. Received: held_out="
            f"{held_out} of {len(conversations)} conversations."
        )
    parts = conversations[apart:], conversations[:apart]
    return tuple(_pairs(part, turns, replies, rng) for part in parts)


def _pairs(conversations, turns, replies, rng):
    """Pairs in the order of the conversations."""
    pairs = []
    for index, talk in enumerate(conversations):
        picks = 1 + rng.permutation(len(talk) - 1)[:replies]
        for pick in sorted(picks.tolist()):
            rejected = talk[pick]
            while rejected == talk[pick]:
                other = int(rng.integers(len(conversations) - 1))
                elsewhere = conversations[other + (other >= index)]
                rejected = elsewhere[int(rng.integers(1, len(elsewhere)))]
            prompt = "".join(f"{message}\n" for message in talk[max(0, pick - turns) : pick])
            pairs.append(Preference(prompt, talk[pick], rejected))
    return pairs


def _conversations():
    """Lists of messages; one person's consecutive lines are one message."""
    package: Any = require("chitchat_dataset", extra="chat")
    path = Path(package.__file__).with_name("dataset.json")
    for record in json.loads(path.read_text(encoding="utf-8")).values():
        texts = [" ".join(part["text"] for part in message) for message in record["messages"]]
        yield [text.strip() for text in texts if any(letter.isalnum() for letter in text)]
