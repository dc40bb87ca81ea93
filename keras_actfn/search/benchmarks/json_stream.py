"""Read the items of a large JSON object or list one after the other, without the whole."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from ..._files import DamagedFile
from ..._texts import open_text, text_errors

_CHUNK = 1 << 20  # characters
_LARGEST_ITEM = 1 << 26  # characters
_REMEDY = "Copy or download the file again."
_AFTER_VALUE = frozenset(" \t\r\n,:]}")


def json_items(path: str | os.PathLike) -> Iterator[tuple]:
    """Yield the items of the object, or of the list, that a JSON file holds.

    Only one item is parsed and kept at a time. `NaN` and `Infinity` are read as numbers.

    Args:
        path: A file, plain or ending in .gz.

    Yields:
        Key and value of each item; positions are the keys of a list.

    Raises:
        ValueError: If the file holds something else, or ends too early.
    """
    path = Path(path)
    with open_text(path) as file, text_errors(path):
        text = _Text(file, path)
        start = text.next_character()
        if start not in ("{", "["):
            raise ValueError(
                f"A benchmark file is a JSON object or list. Received: {path}, which begins with "
                f"{start!r}."
            )
        end = "}" if start == "{" else "]"
        position = 0
        if text.peek() == end:
            return
        while True:
            if start == "{":
                key = text.value()
                text.expect(":")
            else:
                key = position
            yield key, text.value()
            position += 1
            if text.expect(",", end) == end:
                return


class _Text:
    """What is left of a file, read as far as needed."""

    def __init__(self, file, path):
        self.file, self.path = file, path
        self.buffer, self.ended = "", False
        self.decoder = json.JSONDecoder()

    def peek(self):
        """The next character that is no white space, which stays; '' at the end."""
        self.buffer = self.buffer.lstrip()
        while not self.buffer and not self.ended:
            self._read(_CHUNK)
            self.buffer = self.buffer.lstrip()
        return self.buffer[:1]

    def next_character(self):
        found = self.peek()
        self.buffer = self.buffer[1:]
        return found

    def expect(self, *characters):
        found = self.next_character()
        if found not in characters:
            expected = " or ".join(map(repr, characters))
            problem = f"it is not valid JSON or was cut off: expected {expected}, found "
            raise DamagedFile(self.path, problem + (repr(found) if found else "its end"), _REMEDY)
        return found

    def value(self):
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.buffer)
            except (ValueError, RecursionError) as error:
                whole = isinstance(error, json.JSONDecodeError) and not self.ended
                if not whole or len(self.buffer) > _LARGEST_ITEM:
                    problem = f"it is not valid JSON, was cut off, or has a huge item: {error}"
                    raise DamagedFile(self.path, problem, _REMEDY) from error
            else:
                # The buffer may end within a number, as in 1 of 12 or 3.5 of 3.5e-7.
                if self.buffer[end : end + 1] in _AFTER_VALUE or self.ended:
                    self.buffer = self.buffer[end:]
                    return value
            self._read(max(_CHUNK, len(self.buffer)))

    def _read(self, characters):
        more = self.file.read(characters)
        self.ended = not more
        self.buffer += more
