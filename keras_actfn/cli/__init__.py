"""The command line `keras-actfn`: one module for each command.

A command module defines `register(app)`, which adds its command to the typer app, and
imports Keras only inside its functions. To add a command, add its module to `COMMANDS`.
"""

import _thread
import contextlib
import importlib
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .._keras_import import before_keras
from .._optional import require
from .._secrets import masked
from .._version import __version__
from .keras_backend import choose_backend

if TYPE_CHECKING:
    import typer

#: The modules of the commands, in the order in which `--help` lists them.
COMMANDS = (
    "compare",
    "search",
    "recommend",
    "derive",
    "probe",
    "space",
    "bench",
    "replace",
    "compile",
    "nearest",
)

#: The exit status after Ctrl-C, as shells give it.
INTERRUPTED = 130


def build_app() -> "typer.Typer":
    """The typer app with every command of `COMMANDS`.

    Raises:
        ImportError: If typer or rich is missing.
    """
    typer = require("typer", extra="cli")
    require("rich", extra="cli")
    app = typer.Typer(
        name="keras-actfn",
        help="Activation functions that are learned, derived or searched for, in Keras 3.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def show_version(shown: bool) -> None:
        if shown:
            typer.echo(f"keras-actfn {__version__}")
            raise typer.Exit()

    @app.callback()
    def shared(
        version: bool = typer.Option(
            False, "--version", callback=show_version, is_eager=True, help="Show the version."
        ),
        debug: bool = typer.Option(
            False, "--debug", help="Show the traceback of an error (anywhere on the line)."
        ),
    ) -> None:
        pass

    for name in COMMANDS:
        importlib.import_module(f".{name}", __name__).register(app)
    return app


def __getattr__(name: str) -> Any:
    if name == "app":
        return build_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    An error is one line on standard error; `--debug` shows its traceback as well.

    Args:
        arguments: Words of the command line; those of the process if None.

    Returns:
        The exit status: 0, 1 for an error, 2 for wrong usage, 130 if interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        before_keras(choose_backend)
        typer = require("typer", extra="cli")
        command = require("typer.main", extra="cli").get_command(build_app())
        with interrupts_kept(), endings_as_interrupts():
            status = command.main(words, prog_name="keras-actfn", standalone_mode=False)
        if status == INTERRUPTED:  # typer's answer to Ctrl-C
            raise KeyboardInterrupt
        return status if isinstance(status, int) else 0
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except Exception as error:
        if debug:
            import traceback

            traceback.print_exc()
        if "typer" in locals() and isinstance(error, typer.Abort):
            if isinstance(error.__cause__, EOFError):  # typer takes it for an interrupt
                return _fail(f"a file ends before its content does: {error.__cause__}", 1)
            return _fail("interrupted", INTERRUPTED)
        usage = getattr(error, "format_message", None)  # typer's errors of usage
        text = usage() if usage else str(error)
        return _fail(text or type(error).__name__, getattr(error, "exit_code", 1))


@contextlib.contextmanager
def interrupts_kept() -> Iterator[None]:
    """Repeat an interrupt that Python drops because it came while it collected garbage.

    JAX has a callback there, so that now and then a Ctrl-C would do nothing.
    """
    before = sys.unraisablehook

    def hook(dropped: "sys.UnraisableHookArgs") -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            # A moment later, when the collector is done: here it would be dropped again.
            threading.Timer(0.05, _thread.interrupt_main).start()
        else:
            before(dropped)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextlib.contextmanager
def endings_as_interrupts() -> Iterator[None]:
    """Take a request to terminate, and the end of the terminal, for an interrupt.

    A process that simply ended would leave its workers behind. What is ignored stays so, as with
    nohup.
    """

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before: dict = {}
    if threading.current_thread() is threading.main_thread():  # Python lets no other set handlers
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fail(text: str, status: int) -> int:
    """Print an error in one line.

    Lines that only point at a place above are left out, endless words are cut, and passwords of
    URLs masked.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip(" ^~")]
    line = re.sub(r"(\S{80})\S{80,}(\S{20})", r"\1…\2", masked(" ".join(lines)))
    print(f"keras-actfn: {line}", file=sys.stderr)
    return status
