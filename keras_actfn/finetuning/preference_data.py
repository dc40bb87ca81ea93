r"""Preference pairs: readers of published files, and arrays for training.

The readers are generators that hold one line at a time. HH is Anthropic's helpful and
harmless set (Bai et al., Training a Helpful and Harmless Assistant), SHP the Stanford
Human Preferences (Ethayarajh et al., Understanding Dataset Difficulty with V-usable
Information); both are JSON lines, plain or gzipped. Prompts have HH's form, in which each
turn begins with "\n\nHuman:" or "\n\nAssistant:".
"""

import dataclasses
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .._files import parse_json
from .._texts import text_lines

HUMAN, ASSISTANT = "\n\nHuman:", "\n\nAssistant:"


@dataclasses.dataclass(frozen=True)
class Preference:
    """A prompt with a chosen and a rejected answer.

    Attributes:
        prompt: What both answers reply to.
        chosen: The preferred answer.
        rejected: The other.

    Raises:
        ValueError: If an answer is missing or empty, or both are the same.
    """

    prompt: str
    chosen: str
    rejected: str

    def __post_init__(self) -> None:
        for name in ("chosen", "rejected"):
            text = getattr(self, name)
            if not isinstance(text, str) or not text.strip():
                raise ValueError(
                    f"A preference has two answers that are not empty. Received: {name}={text!r} "
                    f"for the prompt {_short(self.prompt)}."
                )
        if self.chosen == self.rejected:
            raise ValueError(
                "A preference has two different answers. Received: chosen = rejected = "
                f"{_short(self.chosen)}."
            )


def read_hh(path: str | os.PathLike, invalid: str = "raise") -> Iterator[Preference]:
    r"""Read HH: lines `{"chosen": dialogue, "rejected": dialogue}`.

    The prompt is what both dialogues begin with, up to their last common "\n\nAssistant:".

    Args:
        path: A .jsonl or .jsonl.gz file.
        invalid: `"raise"`, or `"skip"` to leave out lines that hold no preference and warn
            how many.

    Yields:
        `Preference`.

    Raises:
        ValueError: If a line is not of this form, or the file is damaged or cut off.

    Example:
    ```python
    for preference in read_hh("helpful-base/train.jsonl.gz"):
        print(preference.prompt)
    ```
    """
    return _read(path, _from_hh, invalid)


def read_shp(
    path: str | os.PathLike, min_score_ratio: float = 1.0, invalid: str = "raise"
) -> Iterator[Preference]:
    r"""Read SHP: lines with `history`, `human_ref_A`, `human_ref_B` and `labels`.

    A is the chosen answer if `labels` is 1. The prompt becomes "\n\nHuman: history
    \n\nAssistant:", as for HH.

    Args:
        path: A .json, .jsonl or .gz file of JSON lines.
        min_score_ratio: Least `score_ratio` of a pair to be read; the preference is the
            clearer the higher it is. The DPO paper's code takes 2.
        invalid: As in `read_hh`.

    Yields:
        `Preference`.

    Raises:
        ValueError: If a line is not of this form, or the file is damaged or cut off.
    """

    def convert(record):
        if min_score_ratio > 1 and float(record["score_ratio"]) < min_score_ratio:
            return None
        answers = [record["human_ref_A"], record["human_ref_B"]]
        label = record["labels"]
        if label not in (0, 1):
            raise ValueError(f"labels is 0 or 1. Received: {label!r}.")
        answers = [" " + text if isinstance(text, str) and text else text for text in answers]
        chosen, rejected = answers if label == 1 else reversed(answers)
        return Preference(f"{HUMAN} {record['history']}{ASSISTANT}", chosen, rejected)

    return _read(path, convert, invalid)


def encode(
    pairs: Iterable[Preference], tokenizer: Any, max_length: int = 512, max_prompt: int = 256
) -> dict[str, np.ndarray]:
    """Preferences as the arrays that `keras_actfn.finetuning.preference` trains on.

    A sequence is prompt, answer and the tokeniser's end token, padded with end tokens at
    the end. If the longer answer does not fit, the prompt keeps its last `max_prompt`
    tokens, then the answer its first ones (as in the DPO paper's code). An empty prompt
    becomes an end token.

    Args:
        pairs: Iterable of `Preference`.
        tokenizer: Object with `encode(text)`, a list of integers, and `end`, an integer.
        max_length: Greatest number of tokens of a sequence (the CRReLU paper's 512).
        max_prompt: Number of prompt tokens to keep where something must go (its 256).

    Returns:
        A dict of `"chosen"` and `"rejected"`, int32 `[pairs, tokens]`, and `"chosen_mask"`
        and `"rejected_mask"`, booleans that are true for the answers and their end tokens.

    Raises:
        ValueError: If there are no pairs, an answer has no tokens, or the lengths do not
            leave room.
    """
    if not 0 < max_prompt < max_length:
        raise ValueError(
            "max_prompt is positive and below max_length, so that an answer has room. Received: "
            f"max_prompt={max_prompt} and max_length={max_length}."
        )
    rows = [_encode_pair(pair, tokenizer, max_length, max_prompt) for pair in pairs]
    if not rows:
        raise ValueError("There is at least one preference to encode. Received: none.")
    longest = max(len(prompt) + len(answer) for row in rows for prompt, answer in row)
    data = {}
    for side, name in enumerate(("chosen", "rejected")):
        tokens = np.full((len(rows), longest), tokenizer.end, "int32")
        mask = np.zeros((len(rows), longest), bool)
        for index, row in enumerate(rows):
            prompt, answer = row[side]
            end = len(prompt) + len(answer)
            tokens[index, :end] = prompt + answer
            mask[index, len(prompt) : end] = True
        data[name], data[f"{name}_mask"] = tokens, mask
    return data


class WordTokenizer:
    """Words, punctuation marks and line breaks of lower-cased text, by frequency.

    Token 0 is the end of a text, 1 any word that is not in the vocabulary.

    Args:
        texts: Iterable of texts to count words in.
        size: Number of tokens, the two special ones included.

    Attributes:
        size: Number of tokens, at most what was asked for.
        end: 0.

    Example:
    ```python
    tokenizer = WordTokenizer(["hello, you"], size=100)
    tokenizer.decode(tokenizer.encode("Hello you!"))  # 'hello you <unknown>'
    ```
    """

    end = 0
    _PIECES = re.compile(r"\n|\w+(?:'\w+)?|[^\w\s]")

    def __init__(self, texts: Iterable[str], size: int) -> None:
        counts = Counter(word for text in texts for word in self._split(text))
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        self._words = ["<end>", "<unknown>", *(word for word, _ in ranked[: size - 2])]
        self._numbers = {word: number for number, word in enumerate(self._words)}
        self.size = len(self._words)

    def encode(self, text: str) -> list[int]:
        """A list of token numbers."""
        return [self._numbers.get(word, 1) for word in self._split(text)]

    def decode(self, tokens: Iterable[int]) -> str:
        """Words with spaces between them."""
        return " ".join(self._words[token] for token in tokens if token != self.end)

    def _split(self, text):
        return self._PIECES.findall(text.lower())


def _encode_pair(pair, tokenizer, max_length, max_prompt):
    """(prompt, answer) tokens of the chosen and of the rejected answer."""
    prompt = tokenizer.encode(pair.prompt) or [tokenizer.end]
    answers = [tokenizer.encode(text) for text in (pair.chosen, pair.rejected)]
    if not all(answers):
        raise ValueError(
            "An answer has at least one token. Received: none for "
            f"{_short(pair.rejected if answers[0] else pair.chosen)}."
        )
    answers = [[*answer, tokenizer.end] for answer in answers]
    if len(prompt) + max(map(len, answers)) > max_length:
        prompt = prompt[-max_prompt:]
    return [(prompt, answer[: max_length - len(prompt)]) for answer in answers]


def _from_hh(record):
    chosen, rejected = record["chosen"], record["rejected"]
    if not isinstance(chosen, str) or not isinstance(rejected, str):
        raise ValueError(f"chosen and rejected are texts. Received: {chosen!r} and {rejected!r}.")
    shared = 0
    for match in re.finditer(re.escape(ASSISTANT), chosen):
        if rejected[: match.end()] != chosen[: match.end()]:
            break
        shared = match.end()
    if not shared:
        raise ValueError(
            f"Both dialogues begin with the same prompt, up to {ASSISTANT!r}. Received: "
            f"{_short(chosen)} and {_short(rejected)}."
        )
    return Preference(chosen[:shared], chosen[shared:], rejected[shared:])


def _read(path, convert, invalid):
    if invalid not in ("raise", "skip"):
        raise ValueError(f"invalid is 'raise' or 'skip'. Received: invalid={invalid!r}.")
    return _lines(Path(path), convert, invalid == "skip")


def _lines(path, convert, skip):
    skipped = 0
    for number, line in enumerate(text_lines(path), start=1):
        if not line.strip():
            continue
        try:
            preference = convert(_record(line))
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            if not skip:
                reason = f"it lacks {error}" if isinstance(error, KeyError) else error
                raise ValueError(
                    f"{path}, line {number}, is not a preference: {reason} Use "
                    "invalid='skip' to leave such lines out."
                ) from error
            skipped += 1
            continue
        if preference is not None:
            yield preference
    if skipped:
        warnings.warn(
            f"{path}: {skipped} lines hold no preference and were left out.", stacklevel=2
        )


def _record(line):
    record = parse_json(line)
    if not isinstance(record, dict):
        raise ValueError(f"a line is a JSON object. Received: {_short(line.strip())}.")
    return record


def _short(text, length=60):
    text = repr(text)
    return text if len(text) <= length else f"{text[:length]}…"
