"""The one error of every textual specification, with the place it went wrong."""

#: The longest line that is shown whole.
_WIDEST = 400


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
        place = self.position - line_start
        if len(line) > _WIDEST:  # a part of it around the place
            start = max(0, place - _WIDEST // 2)
            line = ("…" if start else "") + line[start : start + _WIDEST] + "…"
            place += (start > 0) - start
        return f"{self.message}\n  {line}\n  {' ' * place}^"

    def shifted(self, text: str, offset: int) -> "SpecError":
        """Return the same error about a longer `text` that holds this one at `offset`."""
        return type(self)(self.message, text, self.position + offset)
