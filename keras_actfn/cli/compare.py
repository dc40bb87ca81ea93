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
    model_builder,
    model_name,
    parse_seeds,
)
from .data import DataChoice, with_data
from .tables import RECIPES, listed

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
    activations: ActivationsOption = DEFAULT_ACTIVATIONS,
    model: ModelOption = None,
    data: DataChoice,
    epochs: EpochsOption = 1,
    seeds: SeedsOption = DEFAULT_SEEDS,
    batch_size: BatchSizeOption = 128,
    recipe: Annotated[
        str, typer.Option(help=f"adam (rate 1e-3), or a paper's recipe: {listed(RECIPES[1:])}.")
    ] = "adam",
    subset: SubsetOption = None,
    validation: Annotated[
        int,
        typer.Option(
            min=0,
            max=1_000_000_000,
            help="Hold out this many training examples and report on them.",
        ),
    ] = 0,
    output: Annotated[
        Path, typer.Option(help="Folder for the results. Finished runs in it are kept.")
    ] = Path("runs/compare"),
    plots: Annotated[bool, typer.Option(help="Draw learned and training curves.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Train a model with several activations and seeds, and compare them in pairs.

    The runs of one seed start from the same weights and see the same images in the same
    order. Test accuracy is measured once, at the end. After an interruption the same command
    continues where it stopped.
    """
    from ..training import Task, recipes
    from ..training import compare as train_and_compare

    dataset = data.load()
    shape = recipes.get(recipe).model_shape(dataset.input_shape)
    try:
        task = Task(
            model_builder(model, dataset, shape),
            dataset,
            validation,
            epochs=epochs,
            batch_size=batch_size,
            recipe=recipe,
            subset=subset,
        )
        result = train_and_compare(
            task,
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
    typer.echo(
        f"{model_name(model, dataset)} on {dataset.name} ({dataset.source}): "
        f"{settings['train_examples']} training and {settings['test_examples']} test images, "
        f"{epochs} epoch{'s' * (epochs != 1)}, seeds {', '.join(map(str, result.seeds))}, "
        f"recipe {recipe}, backend {settings['backend']}"
    )
    typer.echo(result.markdown())
    typer.echo(f"Tables, curves and pictures: {output}")
