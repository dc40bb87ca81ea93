"""`keras-actfn compile`: the activations of a saved model as linear segments, for chips."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .._drafts import check_folder, make_folder
from .common import JsonOption, ListCommand
from .data import DataChoice, model_samples, with_data


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("compile", cls=ListCommand)(with_data(compile_model))


def compile_model(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    data: DataChoice,
    output: Annotated[Path, typer.Option(help="Folder for the report, pictures and files.")],
    segments: Annotated[
        int, typer.Option(min=1, max=1024, help="Largest number of segments for each activation.")
    ] = 16,
    samples: Annotated[
        int,
        typer.Option(
            min=1, max=1_000_000, help="Samples of the data that are looked at, from its beginning."
        ),
    ] = 1024,
    sites: Annotated[
        list[str] | None,
        typer.Option(help="Paths or patterns of the activations. Default: the hidden ones."),
    ] = None,
    max_error: Annotated[
        float | None,
        typer.Option(min=1e-6, max=1e6, help="Bound on the largest error of each function."),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--formats",
            help="8-bit files to write: litert (KERAS_BACKEND=tensorflow), onnx (tensorflow or "
            "torch).",
        ),
    ] = None,
    plot: Annotated[bool, typer.Option(help="Draw a picture for each activation.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Turn the activations of a trained model into few linear segments.

    The folder gets compiled.keras, report.json, activations.h (tables of 256 bytes in C), a
    picture for each activation, and the 8-bit files that you ask for. The data is what the model
    sees, as in its training; of an .npz file an array x is enough.
    """
    if not model.is_file():
        raise ValueError(f"There is no file {model}.")
    if not data.is_given:
        raise ValueError(
            "The activations of a model are seen on the data of its training. Received: no --data."
        )
    check_folder(output)
    import keras

    from .._files import replacing
    from ..surgery import compile_activations, export_int8, write_c
    from ..surgery.int8 import check_format
    from ..surgery.tables import c_name, c_names

    loaded = keras.models.load_model(model)
    x, _ = model_samples(data, loaded, samples)
    files = {form: output / f"model.{_ENDINGS.get(form, form)}" for form in formats or ()}
    for form, path in files.items():
        check_format(loaded, path, form)
    compiled = compile_activations(loaded, x, segments, sites=sites or None, max_error=max_error)
    c_names(compiled.sites)  # refused before anything is written
    make_folder(output)
    with replacing(output / "compiled.keras") as temporary:
        compiled.model.save(temporary)
    compiled.save_json(output / "report.json")
    write_c(output / "activations.h", compiled.sites)
    for form, path in files.items():
        export_int8(compiled, path, x, form)
    if plot:
        from ..plotting import draw_compiled_site, save_figure

        for site in compiled.sites:
            save_figure(draw_compiled_site(site), output / f"{c_name(site.site.path)}.png")
    if as_json:
        typer.echo(json.dumps({"output": str(output), **compiled.to_dict()}, indent=2))
        return
    typer.echo(f"{compiled}\n\nWritten to {output}.")


_ENDINGS = {"litert": "tflite"}
