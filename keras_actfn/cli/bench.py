"""`keras-actfn bench`: build the benchmark of known results, search on it, look into it."""

import json
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import JsonOption, ListCommand, SeedOption, SeedsOption, WorkersOption, parse_seeds
from .tables import FEATURE_SETS, REGRESSORS, listed

if TYPE_CHECKING:
    from ..search import ActBench

DEFAULT_SEEDS = ["1"]

BenchOption = Annotated[
    Path | None,
    typer.Option(
        "--bench",
        help="A benchmark file: .npz of `bench build`, or published JSON (.json, .json.gz). "
        "Default: the one that comes with keras-actfn.",
    ),
]

#: At most this validation accuracy is a failed training; all benchmarks have ten classes.
FAILED = 0.11


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    bench = typer.Typer(
        help="Activation functions whose results are all known, to study searches on.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    bench.command("build", cls=ListCommand)(build)
    bench.command("run", cls=ListCommand)(run)
    bench.command("show")(show)
    app.add_typer(bench, name="bench")


def build(
    output: Annotated[
        Path, typer.Option(help="Folder for the trainings and the benchmark file.")
    ] = Path("runs/bench"),
    seeds: SeedsOption = DEFAULT_SEEDS,
    best: Annotated[
        int | None,
        typer.Option(help="Train only this many functions: the best so far.", min=1, max=10**9),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Train at most this many now.", min=0, max=10**9)
    ] = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train every three-node function on Fashion-MNIST and pack the results into one file.

    After an interruption the same command continues where it stopped. Needs
    KERAS_BACKEND=torch: eager PyTorch is the quickest for the small network.
    """
    from ..search.benchmarks.build import bench_functions, build_bench, read_results
    from ..search.benchmarks.packed import pack_bench

    functions = None
    if best is not None:
        found: dict[str, list[float]] = {}
        for (name, _), result in read_results(output).items():
            found.setdefault(name, []).append(result["validation_accuracy"])
        ranked = sorted(found, key=lambda name: -statistics.median(found[name]))
        space = set(bench_functions())
        functions = [name for name in ranked if name in space][:best]
        if not functions:
            raise ValueError(f"--best needs trainings in {output}; there are none yet.")
    build_bench(output, functions, parse_seeds(seeds), workers, limit, progress=not as_json)
    path = output / "fashion_cnn.npz"
    manifest = pack_bench(output, path)
    if as_json:
        typer.echo(json.dumps(manifest | {"file": str(path)}))
        return
    typer.echo(
        f"{manifest['trainings']:,} trainings of {manifest['functions']:,} functions "
        f"(of {manifest['functions_of_the_space']:,}) in {path}, "
        f"{path.stat().st_size / 1e6:.2f} MB"
    )


def run(
    bench: BenchOption = None,
    regressors: Annotated[
        list[str] | None, typer.Option(help=f"{listed(REGRESSORS)}. Default: all.")
    ] = None,
    features: Annotated[
        list[str] | None, typer.Option(help=f"{listed(FEATURE_SETS)}. Default: all.")
    ] = None,
    trials: Annotated[int, typer.Option(help="Searches of each kind.", min=1, max=10**6)] = 100,
    budget: Annotated[
        int, typer.Option(help="Evaluations in each search.", min=1, max=10**6)
    ] = 100,
    seed: SeedOption = 0,
    embedding: Annotated[
        str, typer.Option(help="umap as in the paper, or pca, which needs no UMAP.")
    ] = "umap",
    workers: WorkersOption = None,
    leave_one_out: Annotated[
        bool,
        typer.Option(
            "--leave-one-out",
            help="On each of keras-actfn's tasks, search with what is learned from all the others, "
            "and from scratch. The regressors are then those that learn; default: distance_gp.",
        ),
    ] = False,
    rivals: Annotated[
        list[str] | None,
        typer.Option(
            help="With --leave-one-out, the regressors from scratch. Default: distance_gp, knr and "
            "random."
        ),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(help="With --leave-one-out, names of tasks. Default: all."),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Folder for the results. Finished searches in it are kept.")
    ] = Path("runs/bench_run"),
    plot: Annotated[bool, typer.Option(help="Draw the curves into the folder.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Search on a benchmark with every regressor and every set of features, many times."""
    from ..search.benchmarks.run import FEATURE_SETS, run_bench
    from ..search.surrogate import REGRESSORS

    if leave_one_out:
        given = {"--bench": bench, "--features": features}
        wrong = [name for name, value in given.items() if value]
        if wrong:
            raise ValueError(
                "--leave-one-out searches on keras-actfn's own tasks with both features. Received: "
                f"{', '.join(wrong)}. Leave it out, or choose by --tasks."
            )
        options = dict(trials=trials, budget=budget, seed=seed, embedding=embedding)
        _leave_one_out(regressors, rivals, tasks, output, workers, plot, as_json, options)
        return
    result = run_bench(
        _open(bench),
        output,
        regressors=tuple(regressors or REGRESSORS),
        features=tuple(features or FEATURE_SETS),
        trials=trials,
        budget=budget,
        seed=seed,
        embedding=embedding,
        workers=workers,
        progress=not as_json,
    )
    files = result.write(output)
    if plot:
        from ..plotting.bench import draw_bench_run
        from ..plotting.curves import save_figure

        files.append(save_figure(draw_bench_run(result), output / "curves.png"))
    if as_json:
        typer.echo((output / "table.json").read_text(encoding="utf-8").strip())
        return
    typer.echo(result.text())
    for path in files:
        typer.echo(path)


def _leave_one_out(
    regressors: list[str] | None,
    rivals: list[str] | None,
    tasks: list[str] | None,
    output: Path,
    workers: int | None,
    plot: bool,
    as_json: bool,
    options: dict[str, Any],
) -> None:
    from ..search.benchmarks.left_out import RIVALS, run_left_out
    from ..search.benchmarks.packed import bench, bench_names

    result = run_left_out(
        [bench(name) for name in tasks or bench_names()],
        output,
        regressors=tuple(regressors or ("distance_gp",)),
        rivals=tuple(rivals or RIVALS),
        workers=workers,
        progress=not as_json,
        **options,
    )
    files = result.write(output)
    if plot:
        from ..plotting.bench import draw_left_out
        from ..plotting.curves import save_figure

        files.append(save_figure(draw_left_out(result), output / "left_out.png"))
    if as_json:
        typer.echo(json.dumps(result.to_dict()))
        return
    typer.echo(result.text())
    for path in files:
        typer.echo(path)


def show(
    function: Annotated[
        str | None, typer.Argument(help="A function of the benchmark. Default: its best ones.")
    ] = None,
    bench: BenchOption = None,
    top: Annotated[int, typer.Option(help="How many of the best to list.", min=1, max=10**9)] = 10,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw the accuracies, and the functions' map by PCA, to this .png."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a benchmark holds, its best functions, or one function."""
    import numpy as np

    if plot is not None:
        from ..plotting.curves import check_picture

        check_picture(plot)
    found = _open(bench)
    value = found.validation_accuracy
    if function is not None:
        result = _entry(found, found.index(function))
    else:
        order = np.argsort(-np.nan_to_num(value, nan=-1.0), kind="stable")[:top]
        failed = ~(value > FAILED)  # NaN counts as well
        result = {
            "bench": found.name,
            "functions": len(found),
            "with_spectrum": int(found.valid.sum()),
            "failed_with_spectrum": int(failed[found.valid].sum()),
            "failed_without": int(failed[~found.valid].sum()),
            "seeds": list(found.seeds),
            "best": [_entry(found, i) for i in order],
        }
    if plot is not None:
        from ..plotting.bench import draw_bench
        from ..plotting.curves import save_figure

        places: Any = None
        if found.valid.sum() > 2:
            places = found.features(found.valid.nonzero()[0], method="pca").coordinates
        save_figure(draw_bench(found, places), plot)
        result["plot"] = str(plot)
    if as_json:
        typer.echo(json.dumps(result))
        return
    if function is not None:
        for name, shown in result.items():
            if name == "equivalents":
                shown = ", ".join(shown[:5]) + (f" … ({len(shown)})" if len(shown) > 5 else "")
            typer.echo(f"{name.replace('_', ' '):<22}{shown}")
        return
    typer.echo(
        f"{found.name}: {len(found):,} functions, {result['with_spectrum']:,} with a valid "
        f"spectrum, seeds {', '.join(map(str, found.seeds))}"
    )
    typer.echo(
        f"failed: {result['failed_with_spectrum']:,} of those with a valid spectrum, "
        f"{result['failed_without']:,} of the other {len(found) - result['with_spectrum']:,}"
    )
    typer.echo(f"{'validation':>10}{'test':>9}  function")
    for entry in result["best"]:
        typer.echo(
            f"{_number(entry['validation_accuracy']):>10}{_number(entry['test_accuracy']):>9}  "
            f"{entry['function']}"
        )
    if plot is not None:
        typer.echo(plot)


def _entry(bench: "ActBench", i: int) -> dict[str, Any]:
    """A function's results; NaN becomes None."""
    measures = {name: float(getattr(bench, name)[i]) for name in bench.measures}
    return {
        "function": bench.functions[i],
        **{name: value if value == value else None for name, value in measures.items()},
        "valid_spectrum": bool(bench.valid[i]),
        "equivalents": list(bench.equivalents[i]),
    }


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _open(path: Path | None) -> "ActBench":
    from ..search.benchmarks.packed import bench, read_bench
    from ..search.benchmarks.published import load_act_bench

    if path is None:
        return bench("fashion_cnn")
    if not path.exists():
        raise ValueError(f"There is no benchmark file {path}.")
    return read_bench(path) if path.suffix == ".npz" else load_act_bench(path)
