"""`keras-actfn replace`: other activations in a saved model."""

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import JsonOption, ListCommand

if TYPE_CHECKING:
    import keras

    from ..surgery import ActivationSite


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("replace", cls=ListCommand)(replace)


def replace(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    activation: Annotated[
        str | None,
        typer.Option(
            help="The new activation: a name of Keras, "
            '"conv(identity,relu)", "aff(identity,relu,tanh)", pwl, crrelu, or an expression in x.'
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="The new .keras file.")] = None,
    sites: Annotated[
        list[str] | None,
        typer.Option(
            help="Paths, or patterns such as 'block1_*', of the activations to replace. Default: "
            "the hidden ones, not gates, softmax and the output's."
        ),
    ] = None,
    match: Annotated[
        list[str] | None,
        typer.Option(help="Replace only activations with these names, such as relu."),
    ] = None,
    list_sites: Annotated[
        bool, typer.Option("--list", help="Show the activations of the model, and write nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Replace the activations of a saved model and keep everything else, weights included.

    The result is a .keras file that loads wherever keras_actfn is imported and can be trained
    further. The output file appears complete or not at all.
    """
    if not list_sites and (activation is None or output is None):
        raise ValueError("replace takes --activation and --output, or --list to show the sites.")
    if output is not None and output.suffix != ".keras":
        raise ValueError(f"--output is a file that ends in .keras. Received: {output}.")
    if not model.is_file():
        raise ValueError(f"There is no file {model}.")
    import keras

    from ..surgery import find_activations, replace_activations, select

    with warnings.catch_warnings():  # the optimizer's state is not carried over anyway
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        old = keras.models.load_model(model)
    found = find_activations(old)
    if list_sites or activation is None or output is None:
        _show(found, as_json)
        return
    chosen = {site.path for site in select(old, sites or None, match or None)}
    new = replace_activations(old, activation, sites or None, match=match or None)
    _save(new, output)
    stay = [site for site in found if site.path not in chosen]
    if as_json:
        result = {
            "output": str(output),
            "activation": activation,
            "replaced": sorted(chosen),
            "kept": [_as_dict(site) for site in stay],
            "parameters": {"before": old.count_params(), "after": new.count_params()},
        }
        typer.echo(json.dumps(result, indent=2, ensure_ascii=False))
        return
    typer.echo(
        f"{output}: {len(chosen)} activations replaced by {activation}, {len(stay)} kept; "
        f"{old.count_params():,} parameters before, {new.count_params():,} now."
    )
    for site in stay:
        typer.echo(f"  kept {site.path}: {site.activation}, {site.reason or site.role}")


def _show(found: "list[ActivationSite]", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([_as_dict(site) for site in found], indent=2, ensure_ascii=False))
        return
    headings = ("path", "activation", "kind", "role", "replaced by default")
    rows = [
        (s.path, s.activation, s.kind, s.role, "yes" if s.replaced_by_default else "no")
        for s in found
    ]
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in (headings, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())
    for site in found:
        if site.reason:
            typer.echo(f"{site.path} can't be replaced: {site.reason}.")


def _as_dict(site: "ActivationSite") -> dict[str, Any]:
    import dataclasses

    return {**dataclasses.asdict(site), "replaced_by_default": site.replaced_by_default}


def _save(model: "keras.Model", path: Path) -> None:
    from .._files import replacing

    with replacing(path) as temporary:
        model.save(temporary)
