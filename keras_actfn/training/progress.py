"""A progress bar over all training steps of a comparison, or silence."""

from .._optional import require


class Progress:
    """Shows how far a comparison is, on standard error; needs rich unless silent.

    Args:
        total: Training steps of all the runs to do.
        enabled: False shows nothing.

    Example:
    ```python
    with Progress(total=100, enabled=True) as progress:
        progress.describe("relu, seed 0")
        progress.advance()
    ```
    """

    def __init__(self, total, enabled):
        self._bar = None
        if enabled:
            rich = require("rich.progress", extra="cli")
            console = require("rich.console", extra="cli").Console(stderr=True)
            self._bar = rich.Progress(
                rich.TextColumn("{task.description}"),
                rich.BarColumn(),
                rich.MofNCompleteColumn(),
                rich.TextColumn("steps"),
                rich.TimeElapsedColumn(),
                rich.TextColumn("left"),
                rich.TimeRemainingColumn(),
                console=console,
            )
            self._task = self._bar.add_task("", total=total)

    def __enter__(self):
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *exception):
        if self._bar:
            self._bar.stop()

    def describe(self, text):
        """Say what is going on now."""
        if self._bar:
            self._bar.update(self._task, description=_literal(text))

    def advance(self, steps=1):
        """Count steps as done."""
        if self._bar:
            self._bar.advance(self._task, steps)

    def say(self, text):
        """Print a line that stays."""
        if self._bar:
            self._bar.console.print(_literal(text), highlight=False)


def _literal(text):
    """Text whose square brackets rich does not read as markup."""
    return require("rich.markup", extra="cli").escape(text)
