"""A progress bar for what a search takes time for, or silence."""

import contextlib

from .._optional import require


@contextlib.contextmanager
def progress_bar(enabled, title, total):
    """Show how far something is, on standard error; needs rich unless silent.

    Args:
        enabled: False shows nothing.
        title: What is going on.
        total: How much there is to do.

    Yields:
        A function: without arguments it counts one as done, with a number and a text it shows
        these.
    """
    if not enabled:
        yield lambda *_: None
        return
    rich = require("rich.progress", extra="cli")
    markup = require("rich.markup", extra="cli")
    console = require("rich.console", extra="cli").Console(stderr=True)
    columns = [
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.fields[text]}"),
    ]
    with rich.Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total, text="")

        def show(done=None, text=""):
            if done is None:
                bar.advance(task)
            else:
                bar.update(task, completed=done, text=markup.escape(text))

        yield show
