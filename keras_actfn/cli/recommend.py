"""`keras-actfn recommend`: which functions to try on a model, without training any."""

import json
from typing import Annotated

import typer

from .common import JsonOption, ModelOption, SeedOption
from .data import DataChoice, with_data
from .task import TaskOption, check_task_alone, task_of


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("recommend")(with_data(recommend))


def recommend(
    *,
    context: typer.Context,
    task: TaskOption = None,
    model: ModelOption = None,
    data: DataChoice,
    functions: Annotated[
        int,
        typer.Option(
            min=1,
            max=1000,
            help="How many functions are looked at, beside the usual ones.",
        ),
    ] = 24,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            help="A task of keras-actfn's own that is not learned from. May be given several times."
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Number of examples to probe with.")
    ] = 128,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Rank activation functions for a model without training any.

    The functions are those that together come closest to the best on keras-actfn's own tasks, where
    every function's result is known. Those that the untrained model cannot be trained with are left
    out, by its Fisher spectrum. Each has its expected gain over ReLU and an interval.
    """
    from ..search import recommend as find

    check_task_alone(context, task, apart="batch_size")
    asked, title = task_of(task, model, data, validation=0)
    found = find(
        asked,
        size=functions,
        leave_out=leave_out or (),
        examples=batch_size,
        seed=seed,
        progress=not as_json,
    )
    if as_json:
        typer.echo(json.dumps({"task": title, **found.to_dict()}, ensure_ascii=False))
        return
    typer.echo(f"{title}\n\n{found}")
    typer.echo(f'\nOne line: keras_actfn.activation("{found.best.expression}")')
