"""`keras-actfn bench`: build the benchmark of known results, search on it, look into it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import JsonOption, ListCommand, SeedOption, WorkersOption
from .tables import ATLAS, FEATURE_SETS, REGRESSORS, listed
from .task import is_given

if TYPE_CHECKING:
    import numpy as np

    from ..search import ActBench

TaskOption = Annotated[
    str, typer.Option("--task", help=f"{listed(ATLAS)}, or all: the tasks take turns.")
]
BenchOption = Annotated[
    str,
    typer.Option(
        "--bench",
        help=f"{listed(ATLAS)}; or a file: .npz of `bench build`, or published JSON (.json, "
        ".json.gz).",
    ),
]

DEFAULT_BENCH = "fashion_cnn"


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    bench = typer.Typer(
        help="Activation functions whose results are all known, to study searches on.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    bench.command("build")(build)
    bench.command("train")(train)
    bench.command("run", cls=ListCommand)(run)
    bench.command("show")(show)
    app.add_typer(bench, name="bench")


def build(
    task: TaskOption = "all",
    functions: Annotated[
        int | None,
        typer.Option(help="Train only the first so many functions.", min=1, max=10**9),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Folder for the trainings and the packed files.")
    ] = Path("runs/atlas"),
    limit: Annotated[
        int | None, typer.Option(help="Train at most this many now.", min=0, max=10**9)
    ] = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train every three-node function on the tasks of the atlas and pack the results.

    After an interruption the same command continues where it stopped. Needs
    KERAS_BACKEND=torch: eager PyTorch is the quickest for small networks.
    """
    from ..search.benchmarks.build import build_bench
    from ..search.benchmarks.packing import pack_bench
    from ..search.benchmarks.tasks import TASKS, task_of

    names = list(TASKS) if task == "all" else [task_of(task).name]
    counts = build_bench(output, names, functions, workers, limit, progress=not as_json)
    packed = {name: pack_bench(output, name) for name in names if counts[name]}
    if as_json:
        files = {name: str(output / f"{name}.npz") for name in packed}
        typer.echo(json.dumps({n: m | {"file": files[n]} for n, m in packed.items()}))
        return
    for name, manifest in packed.items():
        path = output / f"{name}.npz"
        typer.echo(
            f"{manifest['trainings']:,} trainings of {manifest['functions']:,} functions "
            f"(of {manifest['functions_of_the_space']:,}) in {path}, "
            f"{path.stat().st_size / 1e6:.2f} MB"
        )


def train(
    task: Annotated[str, typer.Argument(help=f"{listed(ATLAS)}.")],
    function: Annotated[str, typer.Argument(help="An activation, such as max(relu(x),tanh(x)).")],
    seed: SeedOption = 0,
) -> None:
    """Make one line of the raw results again, as JSON; needs KERAS_BACKEND=torch."""
    from ..search.benchmarks.build import train_again

    typer.echo(json.dumps(train_again(task, function, seed)))


def run(
    *,
    context: typer.Context,
    bench: BenchOption = DEFAULT_BENCH,
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

    wrong = [f"--{name}" for name in ("rivals", "tasks") if is_given(context, name)]
    if wrong and not leave_one_out:
        raise ValueError(
            "Without --leave-one-out, a search is on one --bench with --regressors. Received: "
            f"{', '.join(wrong)}. Leave it out, or add --leave-one-out."
        )
    if leave_one_out:
        wrong = [f"--{name}" for name in ("bench", "features") if is_given(context, name)]
        if wrong:
            raise ValueError(
                "--leave-one-out searches on keras-actfn's own tasks with both features. Received: "
                f"{', '.join(wrong)}. Leave it out, or choose by --tasks."
            )
        options: dict[str, Any] = {"trials": trials, "budget": budget, "seed": seed}
        options["embedding"] = embedding
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
    bench: Annotated[
        str | None,
        typer.Argument(help="A task of the atlas or a benchmark file. Default: all tasks."),
    ] = None,
    function: Annotated[
        str | None, typer.Argument(help="A function of the benchmark. Default: its best ones.")
    ] = None,
    top: Annotated[int, typer.Option(help="How many of the best to list.", min=1, max=10**9)] = 10,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw the results, and the functions' map by PCA, to this .png."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the tasks of the atlas, what a benchmark holds, or one function."""
    import numpy as np

    if plot is not None:
        from ..plotting.curves import check_picture

        check_picture(plot)
    if bench is None:
        _show_tasks(as_json)
        return
    found = _open(bench)
    score = found.score
    if function is not None:
        result = _entry(found, found.index(function))
    else:
        order = np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")[:top]
        failed = np.isfinite(score) & (score <= _floor(found))
        result = _summary(found) | {
            "failed_with_spectrum": int(failed[_with_spectrum(found)].sum()),
            "failed_without": int(failed[~_with_spectrum(found)].sum()),
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
            typer.echo(f"{name.replace('_', ' '):<24}{shown}")
        return
    typer.echo(
        f"{found.name}: {len(found):,} functions, {result['with_spectrum']:,} with a valid "
        f"spectrum, seeds {', '.join(map(str, found.seeds))}"
    )
    typer.echo(
        f"failed: {result['failed_with_spectrum']:,} of those with a valid spectrum, "
        f"{result['failed_without']:,} of the other {len(found) - result['with_spectrum']:,}"
    )
    typer.echo(f"{found.metric} ({found.mode})")
    typer.echo(f"{'validation':>10}{'test':>9}  function")
    for entry in result["best"]:
        figures = (entry[f"{part}_{found.metric}"] for part in ("validation", "test"))
        validation, test = map(_number, figures)
        typer.echo(f"{validation:>10}{test:>9}  {entry['function']}")
    if plot is not None:
        typer.echo(plot)


def _show_tasks(as_json: bool) -> None:
    from ..search.benchmarks.packed import bench, bench_names

    rows = [_summary(bench(name)) for name in bench_names()]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    typer.echo(
        f"{'task':<16}{'functions':>10}{'spectra':>9}{'seeds':>7}  {'metric':<18}{'noise':>8}"
        f"{'relu':>9}{'best':>9}  function"
    )
    for row in rows:
        metric = f"{row['metric']} ({row['mode']})"
        typer.echo(
            f"{row['bench']:<16}{row['functions']:>10,}{row['with_spectrum']:>9,}"
            f"{row['with_seeds']:>7,}  {metric:<18}{_number(row['noise']):>8}"
            f"{_number(row['relu']):>9}{_number(row['value']):>9}  {row['function']}"
        )
    typer.echo(
        "seeds: functions with several. noise: standard deviation between seeds. relu, best: on "
        "validation data, the median over seeds."
    )


def _summary(bench: "ActBench") -> dict[str, Any]:
    """What a benchmark holds; None for what is not known."""
    import numpy as np

    best = int(np.nanargmax(bench.score))
    value = getattr(bench, f"validation_{bench.metric}")
    try:
        relu = float(value[bench.index("relu")])
    except ValueError:
        relu = float("nan")
    return {
        "bench": bench.name,
        "functions": len(bench),
        "with_spectrum": int(_with_spectrum(bench).sum()),
        "with_seeds": int((np.isfinite(bench.seed_scores()).sum(1) > 1).sum()),
        "metric": bench.metric,
        "mode": bench.mode,
        "noise": None if np.isnan(bench.noise) else bench.noise,
        "relu": None if np.isnan(relu) else relu,
        "function": bench.functions[best],
        "value": float(value[best]),
    }


def _with_spectrum(bench: "ActBench") -> "np.ndarray":
    """Whether each function has a valid spectrum: none where the task has no spectra."""
    return bench.valid & (bench.cdfs.shape[1] > 0)


def _floor(bench: "ActBench") -> float:
    """The score of a failed training: hardly more than chance; 0.11 for ten classes."""
    if bench.chance is None:
        return 0.11
    return bench.chance * 1.1 if bench.mode == "max" else -bench.chance * 0.95


def _entry(bench: "ActBench", i: int) -> dict[str, Any]:
    """A function's results; NaN becomes None."""
    measures = {name: float(getattr(bench, name)[i]) for name in bench.measures}
    return {
        "function": bench.functions[i],
        **{name: value if value == value else None for name, value in measures.items()},
        "valid_spectrum": bool(_with_spectrum(bench)[i]),
        "equivalents": list(bench.equivalents[i]),
    }


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _open(name: str) -> "ActBench":
    from ..search.benchmarks.packed import bench, read_bench
    from ..search.benchmarks.published import load_act_bench

    path = Path(name)
    if not path.suffix:
        return bench(name)
    if not path.is_file():
        raise ValueError(f"There is no benchmark file {path}.")
    return read_bench(path) if path.suffix == ".npz" else load_act_bench(path)
