"""`keras-actfn nearest`: which formula is a function, or an activation of a saved model."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import JsonOption, ListCommand
from .data import DataChoice, model_samples, with_data
from .derive import read_density
from .space import open_space
from .tables import SPACES, listed

if TYPE_CHECKING:
    from ..expressions import UniqueFunctions


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("nearest", cls=ListCommand)(with_data(nearest))


def nearest(
    function: Annotated[
        str,
        typer.Argument(
            metavar="FUNCTION",
            help="A specification of an activation, such as gelu or an expression in x; an .npz "
            "file of samples x and y; or a .keras file of a compiled model, with --data.",
        ),
    ],
    data: DataChoice,
    density: Annotated[
        str | None,
        typer.Option(
            help="That of the inputs: a distribution of scipy.stats such as 'norm(0, 2)', or an "
            ".npy file of samples. Not with a model. Default: norm, and of an .npz file its own."
        ),
    ] = None,
    samples: Annotated[
        int,
        typer.Option(
            min=1, max=1_000_000, help="Samples of the data that are looked at, from its beginning."
        ),
    ] = 1024,
    sites: Annotated[
        list[str] | None,
        typer.Option(
            help="Paths or patterns of the model's activations. Default: the hidden ones."
        ),
    ] = None,
    space: Annotated[
        str, typer.Option(help=f"{listed(SPACES)}, or a schema such as 'unary(unary(x))'.")
    ] = "four_node",
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder of the space, built if missing. Default: runs/spaces/NAME."),
    ] = None,
    affine: Annotated[
        bool, typer.Option(help="Fit a, b, c and d of a f(b x + c) + d, and not f(x) alone.")
    ] = True,
    count: Annotated[int, typer.Option(min=1, max=1000, help="Most formulas to show.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Find the formulas that are nearest to a function.

    Of a model, each activation becomes the nearest formula under the density of the inputs that
    reach it, and the loss and metrics on the data are shown before and after: on the test part of
    --data, or on the arrays x and y of an .npz file.
    """
    if function.endswith(".keras"):
        if density or not data.is_given:
            raise ValueError(
                "The activations of a model are seen on --data, and take no --density. Received: "
                f"{'--density ' + density if density else 'no --data'}."
            )
        report = _of_model(Path(function), data, samples, sites, space, folder, affine)
    else:
        if data.is_given or sites:
            raise ValueError("--data and --sites are for a .keras file. Received: " + function)
        from .. import expressions

        given = _function(function)
        known = read_density(density) if density else None
        unique = open_space(space, folder)
        report = expressions.nearest(given, known, unique, affine, count)
    typer.echo(json.dumps(report.to_dict(), indent=2) if as_json else str(report))


def _of_model(
    path: Path,
    data: DataChoice,
    samples: int,
    sites: list[str] | None,
    space: str,
    folder: Path | None,
    affine: bool,
) -> Any:
    """The replacement report of a saved model."""
    if not path.is_file():
        raise ValueError(f"There is no file {path}.")
    import keras

    from ..surgery import replacement_report

    model = keras.models.load_model(path)
    x, y = model_samples(data, model, samples, "test")
    if y is None:
        raise ValueError(
            f"The loss needs targets, y or y_train. Received: {data.data} without them."
        )
    unique: UniqueFunctions = open_space(space, folder)
    return replacement_report(model, x, y, sites=sites or None, space=unique, affine=affine)


def _function(text: str) -> Any:
    """What a word of the command line stands for: samples of a file, or a layer."""
    if not text.endswith(".npz"):
        from .. import activation

        return activation(text)
    import numpy as np

    if not Path(text).is_file():
        raise ValueError(f"There is no file {text}.")
    with np.load(text, allow_pickle=False) as file:
        if not {"x", "y"} <= set(file.files):
            raise ValueError(
                f"{text} holds samples x and y of a function. Received: "
                f"{', '.join(file.files) or 'no array'}."
            )
        return file["x"], file["y"]
