"""A progress bar on standard error, or silence."""

from typing import Any, Self

from ._optional import require


class Progress:
    """Shows how far a long piece of work is; needs rich unless silent.

    Args:
        total: How much there is to do; None if that is not known.
        enabled: False shows nothing.
        unit: What is counted, shown behind the numbers.
        title: What is going on; `describe` changes it.

    Example:
    ```python
    with Progress(total=100, enabled=True, unit="steps") as progress:
        progress.describe("relu, seed 0")
        progress.advance()
    ```
    """

    def __init__(self, total: int | None, enabled: bool, unit: str = "", title: str = ""):
        self._bar = None
        if enabled:
            rich = require("rich.progress", extra="cli")
            console = require("rich.console", extra="cli").Console(stderr=True)
            self._bar = rich.Progress(
                rich.TextColumn("{task.description}"),
                rich.BarColumn(),
                rich.MofNCompleteColumn(),
                rich.TextColumn(_literal(unit)),
                rich.TimeElapsedColumn(),
                rich.TextColumn("left"),
                rich.TimeRemainingColumn(),
                rich.TextColumn("{task.fields[note]}"),
                console=console,
            )
            self._task = self._bar.add_task(_literal(title), total=total, note="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._bar:
            self._bar.stop()

    def describe(self, text: str) -> None:
        """Say what is going on now."""
        if self._bar:
            self._bar.update(self._task, description=_literal(text))

    def advance(self, count: int = 1) -> None:
        """Count more as done."""
        if self._bar:
            self._bar.advance(self._task, count)

    def show(self, done: int, note: str = "") -> None:
        """Set how much is done, with a note behind the bar."""
        if self._bar:
            self._bar.update(self._task, completed=done, note=_literal(note))

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self._bar:
            self._bar.console.print(_literal(text), highlight=False)


def _literal(text):
    """Text whose square brackets rich does not read as markup."""
    return require("rich.markup", extra="cli").escape(text)
