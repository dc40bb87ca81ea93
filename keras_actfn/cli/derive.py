"""`keras-actfn derive`: activations from theory, as a table and a figure."""

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._drafts import check_folder, make_folder
from .common import JsonOption

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from ..theory import ShapeComparison

#: Beyond this, sums of squares in float64 lose the density's tails.
LIMIT = 1e6

KnotsOption = Annotated[int, typer.Option(min=2, max=2000, help="Number of knots.")]
LowOption = Annotated[
    float, typer.Option(min=-LIMIT, max=LIMIT, help="Position of the first knot.")
]
HighOption = Annotated[
    float, typer.Option(min=-LIMIT, max=LIMIT, help="Position of the last knot.")
]
OutputOption = Annotated[Path, typer.Option(help="Folder for the table and the figure.")]
PlotOption = Annotated[bool, typer.Option(help="Draw the figure.")]


def register(app: typer.Typer) -> None:
    """Add `derive correlation` and `derive eafo` to the app."""
    derive = typer.Typer(
        help="Derive an activation from class statistics or from an input density.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    derive.command("correlation")(correlation)
    derive.command("eafo")(eafo)
    app.add_typer(derive, name="derive")


def correlation(
    classes: Annotated[
        int, typer.Option(min=2, max=1000, help="Number of classes, their means evenly spaced.")
    ] = 20,
    half: Annotated[
        float, typer.Option(min=0, max=LIMIT, help="The means run from -half to half.")
    ] = 3.0,
    means: Annotated[
        str | None,
        typer.Option(help="The means themselves, separated by commas: --means=-2,0,1.5"),
    ] = None,
    sigma: Annotated[
        str, typer.Option(help="Standard deviation, or one per class, separated by commas.")
    ] = "1",
    priors: Annotated[
        str | None, typer.Option(help="Prior of each class, separated by commas.")
    ] = None,
    extrapolation: Annotated[
        str, typer.Option(help="Beyond the knots: linear or clamp.")
    ] = "linear",
    knots: KnotsOption = 33,
    low: LowOption = -3.0,
    high: HighOption = 3.0,
    certify: Annotated[
        bool, typer.Option(help="Try all sign patterns (up to 10 classes).")
    ] = False,
    adam: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Also train by Adam for this many steps.")
    ] = 0,
    two_class: Annotated[
        bool, typer.Option("--two-class", help="Maximise rho_2, for two classes.")
    ] = False,
    output: OutputOption = Path("runs/derive/correlation"),
    plot: PlotOption = True,
    as_json: JsonOption = False,
) -> None:
    """Find the piecewise-linear function that correlates best with Gaussian classes."""
    check_folder(output)
    import numpy as np

    from ..theory import (
        CorrelationObjective,
        GaussianMixture,
        UnrestrictedOptimum,
        compare_shapes,
        two_class_optimum,
    )

    centres = np.array(numbers(means, "--means")) if means else np.linspace(-half, half, classes)
    std = numbers(sigma, "--sigma", 1e-6)
    mixture = GaussianMixture(
        centres,
        np.array(std if len(std) > 1 else std[0]),
        np.array(numbers(priors, "--priors")) if priors else None,
    )
    positions = positions_of(low, high, knots)
    objective = CorrelationObjective(mixture, positions, extrapolation)
    facts: dict[str, Any] = {}
    unrestricted = None
    if two_class:
        pair = two_class_optimum(mixture, positions, extrapolation)
        values = pair.values
        facts |= {
            "rho_2": pair.correlation,
            "rho_2_of_all_functions": pair.unrestricted_correlation,
            "posterior_slope": pair.slope,
        }
    else:
        found = objective.optimum(certify=certify)
        values, unrestricted = found.values, UnrestrictedOptimum(mixture)
        facts |= {
            "objective": found.objective,
            "objective_of_all_functions": unrestricted.objective,
            "objective_of_relu": objective.value(np.maximum(positions, 0)),
            "certified": found.certified,
            "correlations": found.correlations.tolist(),
        }
        if adam:
            facts["objective_of_adam"] = objective.train(steps=adam).objective
    shapes = compare_shapes(positions, values)
    figure = None
    if plot:
        from ..plotting.theory import derived_correlation, draw_derived

        figure = draw_derived(derived_correlation(objective, values, shapes, unrestricted))
    report(facts, positions, values, figure, output, as_json, shapes)


def eafo(
    activation: Annotated[
        str, typer.Option(help="Name of a function, or an expression in x.")
    ] = "tanh",
    density: Annotated[
        str,
        typer.Option(
            help="Density of the inputs: a distribution of scipy.stats, such as norm or "
            "'norm(0, 2)', or a .npy file of samples."
        ),
    ] = "norm",
    step: Annotated[float | None, typer.Option(min=0, max=LIMIT, help="Step size.")] = None,
    share: Annotated[
        float,
        typer.Option(min=0, max=1, help="Without --step: share of the largest monotone step."),
    ] = 0.5,
    region: Annotated[
        str | None,
        typer.Option(help="Monotone region low,high to act on, such as --region=0,inf for ReLU."),
    ] = None,
    smooth: Annotated[
        float | None,
        typer.Option(min=0, max=LIMIT, help="Width of a window that averages kinks away."),
    ] = None,
    knots: KnotsOption = 33,
    low: LowOption = -3.0,
    high: HighOption = 3.0,
    output: OutputOption = Path("runs/derive/eafo"),
    plot: PlotOption = True,
    as_json: JsonOption = False,
) -> None:
    """Take one step that lowers the entropy of an activation's output."""
    check_folder(output)
    import numpy as np

    from ..expressions import resolve
    from ..theory import eafo_step, kernel_estimate

    function, source = resolve(activation), read_density(density)
    bounds: tuple | None = None
    if region is not None:
        bounds = tuple(numbers(region, "--region", -math.inf, math.inf))
        if len(bounds) != 2:
            raise ValueError(f"--region is two numbers, low,high. Received: {region!r}.")
    result = eafo_step(
        activation,
        source,
        share if step is None else step,
        relative=step is None,
        region=bounds,
        smooth=smooth,
    )
    positions = positions_of(low, high, knots)
    facts = {
        "step": result.step,
        "largest_step": result.max_step,
        "entropy_before": result.entropy_before,
        "entropy_after": result.entropy_after,
        "entropy_minus_log_std_before": result.normalised_before,
        "entropy_minus_log_std_after": result.normalised_after,
        "slope_at_zero": result.slope,
        "region": [str(end) if np.isinf(end) else end for end in result.region],
    }
    if result.sample_change is not None:
        facts["entropy_change_on_samples"] = result.sample_change
    figure = None
    if plot:
        from ..plotting.theory import derived_entropy_step, draw_derived

        pdf = source.pdf if hasattr(source, "pdf") else kernel_estimate(source).pdf
        figure = draw_derived(derived_entropy_step(result, function, pdf, positions, activation))
    report(facts, positions, result.table(positions), figure, output, as_json)


def numbers(text: str, option: str, low: float = -LIMIT, high: float = LIMIT) -> list[float]:
    """Up to a thousand numbers between commas, each from `low` to `high`."""
    try:
        found = [float(word) for word in text.split(",")]
    except ValueError:
        found = [math.nan]
    if len(found) > 1000 or not all(low <= value <= high for value in found):
        raise ValueError(
            f"{option} is up to a thousand numbers from {low:g} to {high:g}, separated by commas. "
            f"Received: {text!r}."
        )
    return found


def positions_of(low: float, high: float, knots: int) -> "np.ndarray":
    """Evenly spaced positions of knots."""
    import numpy as np

    if not high - low > 1e-9 * LIMIT:
        raise ValueError(f"--low lies below --high. Received: --low={low:g} and --high={high:g}.")
    return np.linspace(low, high, knots)


def read_density(text: str) -> Any:
    """A frozen SciPy distribution from its name and numbers, or samples from a file."""
    import numpy as np

    from .._optional import require

    if text.endswith(".npy"):
        if not Path(text).is_file():
            raise ValueError(f"--density: there is no file {text}.")
        try:
            samples = np.load(text, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{text} is not a .npy file of numbers: {error}") from error
        if samples.dtype.kind not in "fiu" or not np.isfinite(samples).all():
            raise ValueError(
                f"--density takes samples that are finite numbers. Received: {text}, an array of "
                f"{samples.dtype} with {samples.size} values."
            )
        return samples
    stats = require("scipy.stats", extra="theory")
    match = re.fullmatch(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*", text)
    family = getattr(stats, match.group(1), None) if match else None
    if match is None or not isinstance(family, stats.rv_continuous):
        raise ValueError(
            "--density is a continuous distribution of scipy.stats with its numbers, such as "
            f"norm, 'norm(0, 2)' or 't(4)', or a .npy file of samples. Received: {text!r}."
        )
    arguments = (match.group(2) or "").strip()
    shape = numbers(arguments, "--density") if arguments else []
    try:
        density = family(*shape)
        valid = not np.isnan(density.support()).any() and np.isfinite(density.mean())
    except TypeError:  # too few or too many numbers
        valid = False
    if not valid:
        names = [*filter(None, (family.shapes or "").split(", ")), "loc=0", "scale=1"]
        raise ValueError(
            f"--density {family.name} is {family.name}({', '.join(names)}) with numbers that the "
            f"distribution takes. Received: {text!r}."
        )
    return density


def report(
    facts: dict[str, Any],
    positions: "np.ndarray",
    values: "np.ndarray",
    figure: "Figure | None",
    output: Path,
    as_json: bool,
    shapes: "ShapeComparison | None" = None,
) -> None:
    """Print facts and table; write the table, and the figure if there is one."""
    from .._files import write_file

    make_folder(output)
    table = output / "table.csv"
    lines = ["x,f"] + [f"{x:.17g},{y:.17g}" for x, y in zip(positions, values, strict=True)]
    write_file(table, "\n".join(lines) + "\n")
    facts["table"] = str(table)
    if figure is not None:
        from ..plotting import save_figure

        facts["figure"] = str(save_figure(figure, output / "figure.png"))
    if as_json:
        extra = {"x": positions.tolist(), "f": values.tolist()}
        if shapes is not None:
            extra["shapes"] = [vars(fit) for fit in shapes.fits]
            for shape in extra["shapes"]:
                # JSON has no NaN: a family without a steepness has none.
                shape["beta"] = None if shape["beta"] != shape["beta"] else shape["beta"]
        typer.echo(json.dumps(facts | extra, indent=2))
        return
    for name, value in facts.items():
        if isinstance(value, list):
            value = " ".join(v if isinstance(v, str) else f"{v:.4f}" for v in value)
        elif isinstance(value, float):
            value = f"{value:.8g}"
        typer.echo(f"{name.replace('_', ' ')}: {value}")
    if shapes is not None:
        typer.echo(f"\n{shapes}")
    typer.echo(f"\n{'x':>9}{'f':>14}")
    for x, y in zip(positions, values, strict=True):
        typer.echo(f"{x:>9.4f}{y:>14.6f}")
