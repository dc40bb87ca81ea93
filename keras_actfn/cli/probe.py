"""`keras-actfn probe`: the Fisher spectrum of a model with one or several activations."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import (
    JsonOption,
    ListCommand,
    ModelOption,
    SeedOption,
)
from .data import DataChoice, with_data
from .tables import ENGINES, listed
from .task import TaskOption, check_task_alone, task_of

if TYPE_CHECKING:
    from ..fisher import FisherSpectrum

_COLUMNS = ("max", "min_positive", "trace", "effective_rank", "log_determinant")

DEFAULT_ACTIVATIONS = ["relu"]

ActivationsOption = Annotated[
    list[str],
    typer.Option(
        "--activations",
        "--activation",
        help="Activations to probe; distances are to the first.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("probe", cls=ListCommand)(with_data(probe))


def probe(
    *,
    activations: ActivationsOption = DEFAULT_ACTIVATIONS,
    context: typer.Context,
    task: TaskOption = None,
    model: ModelOption = None,
    data: DataChoice,
    batch_size: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Number of examples to probe with.")
    ] = 128,
    mode: Annotated[
        str,
        typer.Option(
            help="exact, ggn, sampled (labels drawn from the model) or empirical (the data's)."
        ),
    ] = "exact",
    engine: Annotated[str, typer.Option(help=f"Who computes: {listed(ENGINES)}.")] = "native",
    seed: SeedOption = 0,
    output: Annotated[
        Path, typer.Option(help="Folder for the spectra (.npz) and the picture.")
    ] = Path("runs/probe"),
    plots: Annotated[bool, typer.Option(help="Draw the spectra.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Show the eigenvalues of a model's Fisher information at initialisation.

    Every activation gets the same weights and the same examples. The table has one row per layer.
    Spectra and a picture go into the output folder.
    """
    import time

    import keras

    from ..fisher import fisher_spectrum
    from ..models.seeds import all_seeds_from, seeds_drawn_from
    from ..training.data import first_examples

    check_task_alone(context, task, apart="batch_size")
    asked, _ = task_of(task, model, data, validation=0)
    with all_seeds_from(seed):
        examples = first_examples(asked.data.train, batch_size, seed)
    x, y = examples.x, examples.y if mode == "empirical" else None
    spectra, seconds = {}, {}
    for number, name in enumerate(activations):
        with seeds_drawn_from(seed):
            network = asked.build_model(name)
            if not network.built:
                network(keras.tree.map_structure(keras.ops.convert_to_tensor, x))
        start = time.perf_counter()
        spectra[name] = fisher_spectrum(network, x, y, mode=mode, engine=engine, seed=seed)
        seconds[name] = time.perf_counter() - start
        spectra[name].save(output / f"{number:02d}-{_file_name(name)}.npz")
    if plots:
        from ..plotting.spectra import spectrum_figure

        spectrum_figure(spectra).savefig(output / "spectra.png", dpi=150)
    first = spectra[activations[0]]
    distances = {
        name: first.distance(spectrum) if first.valid and spectrum.valid else None
        for name, spectrum in spectra.items()
    }
    if as_json:
        result = {
            name: _as_json(spectrum, seconds[name], distances[name])
            for name, spectrum in spectra.items()
        }
        typer.echo(json.dumps(result, indent=2, ensure_ascii=False))
        return
    for name, spectrum in spectra.items():
        _print(name, spectrum, seconds[name])
        if name != activations[0] and distances[name] is not None:
            typer.echo(f"Distance to {activations[0]} (Eq. 2): {distances[name]:.6g}")
        typer.echo()
    typer.echo(f"Spectra{' and picture' if plots else ''}: {output}")


def _file_name(activation: str) -> str:
    """An activation's name as a file name: other characters than letters and digits become _."""
    return "".join(c if c.isalnum() else "_" for c in activation)


def _finite(value: float) -> float | None:
    return value if value == value and abs(value) != float("inf") else None


def _as_json(spectrum: "FisherSpectrum", seconds: float, distance: float | None) -> dict[str, Any]:
    layers = {
        name: {k: _finite(v) for k, v in spectrum.summary(i).items()}
        for i, name in enumerate(spectrum.layers)
    }
    return {
        "valid": spectrum.valid,
        "problems": spectrum.problems,
        "layers": layers,
        "network": {k: _finite(v) for k, v in spectrum.summary().items()},
        "uncovered": spectrum.uncovered,
        "excluded": spectrum.excluded,
        "clipped": spectrum.clipped,
        "distance": distance,
        "settings": spectrum.settings,
        "seconds": seconds,
    }


def _print(name: str, spectrum: "FisherSpectrum", seconds: float) -> None:
    from rich.box import MARKDOWN
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    settings = spectrum.settings
    typer.echo(
        f"{name}: {settings['mode']} Fisher, {settings['loss']}, {settings['examples']} examples, "
        f"{seconds:.2f} s, {'valid' if spectrum.valid else 'INVALID'}"
    )
    table = Table(box=MARKDOWN)
    table.add_column("layer", no_wrap=True)
    for heading in ("weights", "positive", *_COLUMNS):
        table.add_column(heading.replace("_", " "), justify="right", no_wrap=True)
    rows = [(layer, spectrum.summary(i)) for i, layer in enumerate(spectrum.layers)]
    for layer, row in [*rows, ("all", spectrum.summary())]:
        numbers = [f"{row['parameters']:.0f}", f"{row.get('positive', 0):.0f}"]
        numbers += [f"{row[column]:.4g}" for column in _COLUMNS]
        table.add_row(Text(layer), *map(Text, numbers))
    width = max(Console().width, 60 + 12 * len(_COLUMNS))
    Console(highlight=False, width=width).print(table, crop=False)
    for layer, reason in spectrum.problems.items():
        typer.echo(f"Invalid: {layer}: {reason}")
    for layer, reason in spectrum.uncovered.items():
        typer.echo(f"Not covered: {layer}: {reason}")
