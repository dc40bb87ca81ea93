"""`keras-actfn compare`: train one model with several activations and compare them."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .common import (
    DataOption,
    DataPathOption,
    ImageSizeOption,
    JsonOption,
    ListCommand,
    ModelOption,
    SeedsOption,
    load_data,
    model_builder,
    parse_seeds,
)

DEFAULT_ACTIVATIONS = ("relu", "aff(identity,relu,tanh)", "pwl", "crrelu")

ActivationsOption = Annotated[
    list[str],
    typer.Option(
        "--activations",
        "--activation",
        help="What to compare; the others are compared to the first. Names of Keras, "
        '"conv(identity,relu)", "aff(identity,relu,tanh)", pwl, crrelu, expressions in x.',
    ),
]


def register(app):
    """Add the command to the app."""
    app.command("compare", cls=ListCommand)(compare)


def compare(
    activations: ActivationsOption = DEFAULT_ACTIVATIONS,
    model: ModelOption = "lenet5",
    data: DataOption = "auto",
    data_path: DataPathOption = None,
    image_size: ImageSizeOption = None,
    epochs: Annotated[int, typer.Option(help="Epochs of training.")] = 1,
    seeds: SeedsOption = ("3",),
    batch_size: Annotated[int, typer.Option(help="Images a training step.")] = 128,
    recipe: Annotated[
        str,
        typer.Option(
            help="adam (1e-3), or a paper's: hull, hull_alexnet, correlation, crrelu_vision, "
            "aquasurf_cifar, aquasurf_160 and others (keras_actfn.training.RECIPES)."
        ),
    ] = "adam",
    subset: Annotated[
        int | None, typer.Option(help="Train on this many images, classes in balance.")
    ] = None,
    validation: Annotated[
        int | None, typer.Option(help="Hold out this many training images and report on them.")
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Folder of results; finished runs in it are not done again.")
    ] = Path("runs/compare"),
    plots: Annotated[bool, typer.Option(help="Draw learned and training curves.")] = True,
    as_json: JsonOption = False,
):
    """Train a model with several activations and seeds, and compare them in pairs.

    The runs of one seed start from the same weights and see the same images in the same
    order. Test accuracy is measured once, at the end. Killed, the same command goes on.
    """
    from ..training import compare as train_and_compare
    from ..training import recipes

    dataset = load_data(data, data_path, image_size)
    shape = recipes.get(recipe).model_shape(dataset.input_shape)
    try:
        result = train_and_compare(
            model_builder(model, dataset, shape),
            dataset,
            activations,
            epochs=epochs,
            seeds=parse_seeds(seeds),
            batch_size=batch_size,
            recipe=recipe,
            subset=subset,
            validation=validation,
            output=output,
            plots=plots,
            progress=True,
        )
    except KeyboardInterrupt:
        typer.echo(
            f"keras-actfn: interrupted; finished runs are in {output}, and the same command goes "
            "on from there.",
            err=True,
        )
        raise typer.Exit(130) from None
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=2, ensure_ascii=False))
        return
    settings = result.settings
    typer.echo(
        f"{model} on {dataset.name} ({dataset.source}): {settings['training_images']} training and "
        f"{settings['test_images']} test images, {epochs} epoch{'s' * (epochs != 1)}, seeds "
        f"{', '.join(map(str, result.seeds))}, recipe {recipe}, backend {settings['backend']}"
    )
    typer.echo(result.markdown())
    typer.echo(f"Tables, curves and pictures: {output}")
