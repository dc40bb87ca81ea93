"""`keras-actfn space`: build search spaces, count their functions and show one of them."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .._drafts import make_folder
from .._optional import require
from .common import JsonOption, SeedOption
from .tables import SPACES, listed

if TYPE_CHECKING:
    from ..expressions import Expression, UniqueFunctions

SpaceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SPACE",
        help=f'{listed(SPACES)}, or a schema such as "binary(unary(unary(x)),unary(x))".',
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", help="Folder of the space, built if missing. Default: runs/spaces/NAME."
    ),
]
MethodOption = Annotated[
    str,
    typer.Option(
        help="grid: the same counts on every machine. float32: the published definition, "
        "on the TensorFlow backend."
    ),
]
SignOption = Annotated[bool, typer.Option("--up-to-sign", help="Count f and -f as one.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    space = typer.Typer(
        help="Search spaces of activation functions and their unique functions.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    space.command("build")(build)
    space.command("stats")(stats)
    space.command("show")(show)
    app.add_typer(space, name="space")


def build(
    space: SpaceArgument,
    output: OutputOption = None,
    seed: SeedOption = 0,
    method: MethodOption = "grid",
    up_to_sign: SignOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find the unique functions of a space and write their outputs to a folder."""
    unique = open_space(space, output, seed, method, up_to_sign)
    _print_counts(unique, as_json)


def stats(
    space: SpaceArgument,
    output: OutputOption = None,
    seed: SeedOption = 0,
    method: MethodOption = "grid",
    up_to_sign: SignOption = False,
    as_json: JsonOption = False,
) -> None:
    """Count a space's functions: all, finite, unique, and the largest groups of equal ones."""
    unique = open_space(space, output, seed, method, up_to_sign)
    _print_counts(unique, as_json, groups=5)


def show(
    function: Annotated[
        str,
        typer.Argument(
            metavar="FUNCTION",
            help="An expression in x, an operator, a discovered function, or the number of a "
            "unique function.",
        ),
    ],
    space: Annotated[
        str, typer.Option("--space", help="Space in which to look for equal functions.")
    ] = "three_node",
    output: OutputOption = None,
    equivalents: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="List at most this many equal functions.")
    ] = 10,
    plot: Annotated[bool, typer.Option(help="Draw the function next to the folder.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Show a function: its formula, LaTeX, equal functions of the space, and its curve."""
    from ..expressions import Expression, resolve

    unique = open_space(space, output)
    group: int | None
    if function.isdecimal():
        group = _number(function, len(unique))
        expression = unique.expressions[group]
    else:
        expression = resolve(function)
        if not isinstance(expression, Expression):
            raise ValueError(f"'{function}' is a function of Keras, not an expression in x.")
        group = unique.index(expression) if expression in unique.space else None
    equal = unique.equivalents(group) if group is not None else []
    result = {
        "function": str(expression),
        "latex": expression.latex(),
        "space": space,
        "unique_function": group,
        "finite": bool(unique.valid[group]) if group is not None else None,
        "equal_functions": len(equal),
        "equivalents": [str(equal[i]) for i in range(min(equivalents, len(equal)))],
    }
    if plot:
        result["plot"] = str(_draw(expression, unique.path))
    if as_json:
        typer.echo(json.dumps(result))
        return
    typer.echo(f"function     {result['function']}")
    typer.echo(f"LaTeX        {result['latex']}")
    if group is None:
        typer.echo(f"space        not in {space}")
    else:
        finite = "finite" if result["finite"] else "not finite everywhere"
        typer.echo(f"space        unique function {group} of {space}, {finite}")
        typer.echo(f"equal        {len(equal)} functions")
        for name in result["equivalents"]:
            typer.echo(f"             {name}")
    if plot:
        typer.echo(f"plot         {result['plot']}")


def _number(word: str, count: int) -> int:
    """The number of a unique function."""
    if len(word) > 12 or int(word) >= count:
        raise ValueError(f"A unique function has a number from 0 to {count - 1}. Received: {word}.")
    return int(word)


def open_space(
    space: str,
    output: Path | None = None,
    seed: int = 0,
    method: str = "grid",
    up_to_sign: bool = False,
) -> "UniqueFunctions":
    """The unique functions in the folder, built with a progress bar if they are not there."""
    from .._names import nearest
    from ..expressions import SPACES, SearchSpace

    if space in SPACES:
        name, made = space, SPACES[space]()
    elif "(" in space:
        made = SearchSpace([space])
        name = made.hash[:12]
    else:
        hint = nearest(space, SPACES)
        raise ValueError(
            f"A space is one of {', '.join(SPACES)}, or a schema such as 'unary(unary(x))'. "
            f"Received: '{space}'. {hint}".rstrip()
        )
    if output is None:
        parts = [name, *([method] if method != "grid" else []), *(["sign"] if up_to_sign else [])]
        output = Path("runs/spaces") / "-".join([*parts, *([f"seed{seed}"] if seed else [])])
    with _progress(f"{len(made):,} functions") as progress:
        return made.unique(
            seed=seed, method=method, up_to_sign=up_to_sign, path=output, progress=progress
        )


@contextlib.contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, shown from the first call on; yields the call."""
    rich = require("rich.progress", extra="cli")
    console = require("rich.console", extra="cli").Console(stderr=True)
    bar = rich.Progress(console=console, transient=True)
    task = bar.add_task(title, total=None)

    def show(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()


def _print_counts(unique: "UniqueFunctions", as_json: bool, groups: int = 0) -> None:
    import numpy as np

    counts = unique.counts()
    sizes = np.bincount(unique.classes, minlength=len(unique))
    largest = np.argsort(-sizes, kind="stable")[:groups]
    equal = [{"function": str(unique.expressions[i]), "equal": int(sizes[i])} for i in largest]
    if as_json:
        result = {
            **counts,
            "schemas": [str(schema) for schema in unique.space.schemas],
            "method": unique.method,
            "up_to_sign": unique.up_to_sign,
            "path": str(unique.path),
        }
        typer.echo(json.dumps(result | ({"largest_groups": equal} if groups else {})))
        return
    for name, count in counts.items():
        typer.echo(f"{name.replace('_', ' '):<20}{count:>12,}")
    typer.echo(f"{'folder':<20}{unique.path}")
    if groups:
        typer.echo("largest groups of equal functions")
        for group in equal:
            typer.echo(f"{group['equal']:>12,}  {group['function']}")


def _draw(expression: "Expression", folder: Path) -> Path:
    """Draw the function next to the space's folder; return the path."""
    import re

    from ..plotting import draw_function, function_curve, save_figure

    name = re.sub(r"[^A-Za-z0-9_.]+", "-", str(expression)).strip("-")[:100]
    plots = folder.with_name(f"{folder.name}-plots")
    make_folder(plots)
    return save_figure(draw_function(function_curve(expression)), plots / f"{name}.png")
