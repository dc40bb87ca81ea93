"""What the commands of `keras-actfn search` share."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .._optional import require
from .common import Interrupted
from .data import DataChoice
from .task import task_of

if TYPE_CHECKING:
    from ..search import ActivationSearch

#: User attribute of the study with the options that its workers need.
COMMAND = "command"

#: Environment variable with the storage, where a password in it must not be seen by others.
STORAGE_VARIABLE = "KERAS_ACTFN_STORAGE"

StorageOption = Annotated[
    str | None,
    typer.Option(
        envvar=STORAGE_VARIABLE,
        help="Where evaluations are kept: a file ….db (SQLite), a file ….log (a journal, for "
        "several machines with one disk), or an Optuna URL. Default: runs/search/STUDY.db. All "
        "users of a machine can read its command lines: set a URL with a password in the "
        f"environment variable {STORAGE_VARIABLE}.",
    ),
]
JoinedStorageOption = Annotated[
    str,
    typer.Option(
        "--storage",
        envvar=STORAGE_VARIABLE,
        help=f"The search's storage. Or set the environment variable {STORAGE_VARIABLE}.",
    ),
]
StudyOption = Annotated[
    str | None,
    typer.Option(help="Name of the Optuna study. Default: of the model, the data and the space."),
]
JoinedStudyOption = Annotated[
    str | None,
    typer.Option("--study", help="The search's study. Default: the only one in the storage."),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(help="Folder for spectra, pictures and report. Default: beside the storage."),
]


def open_search(
    options: dict,
    data: DataChoice,
    storage: str | None,
    study: str | None,
    output: str | Path | None,
    progress: bool = True,
) -> "ActivationSearch":
    """The `ActivationSearch` of the command's options."""
    optuna = require("optuna", extra="search")

    from .._names import nearest
    from ..expressions import SPACES, SearchSpace
    from ..search import ActivationSearch

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # the progress bar says it
    options = {name: value for name, value in options.items() if name != "data"}
    name = options.pop("space")
    if name not in SPACES and "(" not in name:
        raise ValueError(
            f"A space is one of {', '.join(SPACES)}, or a schema such as 'unary(unary(x))'. "
            f"Received: '{name}'. {nearest(name, SPACES)}".rstrip()
        )
    training = ("epochs", "batch_size", "recipe", "subset", "validation", "metric", "mode")
    task, _ = task_of(
        options.pop("task"),
        options.pop("model"),
        data,
        **{key: options.pop(key) for key in training},
    )
    return ActivationSearch(
        task,
        SPACES[name]() if name in SPACES else SearchSpace([name]),
        storage=storage,
        study=study,
        output=output,
        progress=progress,
        **options,
    )


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Say at an interrupt that what is finished is kept."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted; what is finished is kept, and the same command goes on from there."
        ) from None
