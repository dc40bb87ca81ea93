"""`keras-actfn compare`: train one model with several activations and compare them."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .common import (
    BatchSizeOption,
    EpochsOption,
    Interrupted,
    JsonOption,
    ListCommand,
    ModelOption,
    SeedsOption,
    SubsetOption,
    parse_seeds,
)
from .data import DataChoice, with_data
from .task import (
    MetricOption,
    ModeOption,
    RecipeOption,
    TaskOption,
    check_task_alone,
    task_of,
)

DEFAULT_ACTIVATIONS = ["relu", "aff(identity,relu,tanh)", "pwl", "crrelu"]
DEFAULT_SEEDS = ["3"]

ActivationsOption = Annotated[
    list[str],
    typer.Option(
        "--activations",
        "--activation",
        help="Activations to train with, each compared with the first: names of Keras, "
        '"conv(identity,relu)", "aff(identity,relu,tanh)", pwl, crrelu, or expressions in x.',
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("compare", cls=ListCommand)(with_data(compare))


def compare(
    *,
    context: typer.Context,
    activations: ActivationsOption = DEFAULT_ACTIVATIONS,
    task: TaskOption = None,
    model: ModelOption = None,
    data: DataChoice,
    epochs: EpochsOption = 1,
    seeds: SeedsOption = DEFAULT_SEEDS,
    batch_size: BatchSizeOption = None,
    recipe: RecipeOption = None,
    subset: SubsetOption = None,
    validation: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=1_000_000_000,
            help="Hold out this many training examples and report on them. Default: none, or the "
            "data's own validation part.",
        ),
    ] = None,
    metric: MetricOption = None,
    mode: ModeOption = None,
    output: Annotated[
        Path, typer.Option(help="Folder for the results. Finished runs in it are kept.")
    ] = Path("runs/compare"),
    plots: Annotated[bool, typer.Option(help="Draw learned and training curves.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Train a model with several activations and seeds, and compare them in pairs.

    The runs of one seed start from the same weights and see the same data in the same order. The
    test metric is measured once, at the end. After an interruption the same command continues
    where it stopped.
    """
    from ..training import compare as train_and_compare

    check_task_alone(context, task)
    try:
        asked, title = task_of(
            task,
            model,
            data,
            metric=metric,
            mode=mode,
            epochs=epochs,
            batch_size=batch_size,
            subset=subset,
            validation=validation,
            default_validation=0,
            recipe=recipe,
        )
        result = train_and_compare(
            asked,
            activations,
            seeds=parse_seeds(seeds),
            output=output,
            plots=plots,
            progress=True,
        )
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; finished runs are in {output}, and the same command continues from "
            "there."
        ) from None
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=2, ensure_ascii=False))
        return
    settings = result.settings
    sizes = [
        f"{settings[f'{part}_examples']} {name}"
        for part, name in (("train", "training"), ("test", "test"))
        if settings[f"{part}_examples"]
    ]
    facts = [
        *([f"{' and '.join(sizes)} examples"] if sizes else []),
        f"{asked.epochs} epoch{'s' * (asked.epochs != 1)}",
        f"seeds {', '.join(map(str, result.seeds))}",
        *([f"recipe {recipe or 'adam'}"] if "recipe" in settings else []),
        f"backend {settings['backend']}",
    ]
    typer.echo(f"{title}: {', '.join(facts)}")
    typer.echo(result.markdown())
    typer.echo(f"Tables, curves and pictures: {output}")
