"""The one error of every textual specification, with the place it went wrong."""

import difflib
from collections.abc import Iterable


class SpecError(ValueError):
    """A specification that cannot be read, with a caret under the offending character.

    Args:
        message: The rule that was broken and, where there is one, the fix.
        text: The whole specification.
        position: Index into `text` of the first offending character;
            `len(text)` when the text ends too early.

    Example:
        >>> print(SpecError("Unknown operator 'rellu'.", "max(rellu(x),x)", 4))
        Unknown operator 'rellu'.
          max(rellu(x),x)
              ^
    """

    def __init__(self, message: str, text: str, position: int) -> None:
        super().__init__(message, text, position)
        self.message = message
        self.text = text
        self.position = position

    def __str__(self) -> str:
        before = self.text[: self.position]
        line_start = before.rfind("\n") + 1
        line = self.text[line_start:].partition("\n")[0]
        return f"{self.message}\n  {line}\n  {' ' * (self.position - line_start)}^"

    def shifted(self, text: str, offset: int) -> "SpecError":
        """Return the same error about a longer `text` that holds this one at `offset`."""
        return type(self)(self.message, text, self.position + offset)


def nearest(name: str, valid: Iterable[str], count: int = 3) -> str:
    """Return a sentence with the valid names nearest to `name`, or with all when few.

    Args:
        name: What was asked for.
        valid: The names that exist.
        count: At most so many suggestions.

    Returns:
        `"Did you mean 'relu', 'elu'?"`, or `""` when nothing is near.
    """
    valid = sorted(set(valid))
    close = difflib.get_close_matches(name, valid, n=count, cutoff=0.5)
    if not close:
        lowered = {v.lower(): v for v in valid}
        close = [
            lowered[match]
            for match in difflib.get_close_matches(name.lower(), lowered, n=count, cutoff=0.5)
        ]
    if not close:
        return ""
    return "Did you mean " + ", ".join(f"'{match}'" for match in close) + "?"
