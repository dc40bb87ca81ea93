"""`keras-actfn search`: find a better activation function for a model and its data."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .._optional import require
from .common import (
    BatchSizeOption,
    DataOption,
    DataPathOption,
    EpochsOption,
    ImageSizeOption,
    JsonOption,
    ModelOption,
    SeedOption,
    SubsetOption,
    load_data,
    model_builder,
)
from .tables import EMBEDDINGS, PRUNERS, RECIPES, REGRESSORS, SPACES, listed

if TYPE_CHECKING:
    from ..search import ActivationSearch
    from ..training.results import Comparison

#: User attribute of the study with the options that its workers need.
COMMAND = "command"

#: Environment variable with the storage, where a password in it must not be seen by others.
STORAGE_VARIABLE = "KERAS_ACTFN_STORAGE"

#: What a worker takes from the study, with the types that it may have. Whoever can write to the
#: storage decides on these; none of them names code.
_OPTIONS = {
    "model": str,
    "data": str,
    "image_size": int | None,
    "space": str,
    "epochs": int,
    "batch_size": int,
    "recipe": str,
    "subset": int | None,
    "validation": int | None,
    "metric": str,
    "regressor": str,
    "embedding": str,
    "pruner": str | None,
    "seed": int,
}

StorageOption = Annotated[
    str | None,
    typer.Option(
        envvar=STORAGE_VARIABLE,
        help="Where evaluations are kept: a file ….db (SQLite), a file ….log (a journal, for "
        "several machines with one disk), or an Optuna URL. Default: runs/search/STUDY.db. All "
        "users of a machine can read its command lines: set a URL with a password in the "
        f"environment variable {STORAGE_VARIABLE}.",
    ),
]
JoinedStorageOption = Annotated[
    str,
    typer.Option(
        "--storage",
        envvar=STORAGE_VARIABLE,
        help=f"The search's storage. Or set the environment variable {STORAGE_VARIABLE}.",
    ),
]
StudyOption = Annotated[
    str | None,
    typer.Option(help="Name of the Optuna study. Default: of the model, the data and the space."),
]
JoinedStudyOption = Annotated[
    str | None,
    typer.Option("--study", help="The search's study. Default: the only one in the storage."),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(help="Folder for spectra, pictures and report. Default: beside the storage."),
]


def register(app):
    """Add the commands to the app."""
    group = typer.Typer(
        help="Find a better activation function for a model and its data.",
        rich_markup_mode=None,
    )
    group.callback(invoke_without_command=True)(search)
    group.command("worker")(worker)
    group.command("status")(status)
    app.add_typer(group, name="search")


def search(
    context: typer.Context,
    model: ModelOption = "lenet5",
    data: DataOption = "auto",
    data_path: DataPathOption = None,
    image_size: ImageSizeOption = None,
    space: Annotated[
        str,
        typer.Option(help=f"{listed(SPACES)}, or a schema such as unary(unary(x))."),
    ] = "three_node",
    probe: Annotated[
        int, typer.Option(min=0, max=10**9, help="Number of functions to compute spectra of.")
    ] = 200,
    evaluations: Annotated[
        int, typer.Option(min=1, max=10**9, help="Trainings in all, the usual functions included.")
    ] = 20,
    epochs: EpochsOption = 1,
    batch_size: BatchSizeOption = 128,
    recipe: Annotated[str, typer.Option(help=f"How to train: {listed(RECIPES)}.")] = "adam",
    subset: SubsetOption = None,
    validation: Annotated[
        int | None,
        typer.Option(
            min=1, max=10**9, help="Hold out this many training images. Default: a tenth."
        ),
    ] = None,
    metric: Annotated[str, typer.Option(help="What is best: accuracy or loss.")] = "accuracy",
    regressor: Annotated[
        str, typer.Option(help=f"How functions are predicted: {listed(REGRESSORS)}.")
    ] = "knr",
    embedding: Annotated[
        str, typer.Option(help=f"How functions are placed on the map: {listed(EMBEDDINGS)}.")
    ] = "union",
    pruner: Annotated[
        str | None,
        typer.Option(
            help=f"Stop trainings early that are behind others: {listed(PRUNERS)}. Default: none."
        ),
    ] = None,
    seed: SeedOption = 0,
    seeds: Annotated[
        int,
        typer.Option(
            min=0,
            max=10_000,
            help="At the end, train the best again with this many seeds and test it. 0: do not.",
        ),
    ] = 3,
    workers: Annotated[
        int,
        typer.Option(min=1, max=1024, help="Processes on this machine, for spectra and trainings."),
    ] = 1,
    storage: StorageOption = None,
    study: StudyOption = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Probe functions, train the most promising ones, and report.

    After an interruption the same command continues where it stopped. More workers, also on
    other machines, join by `keras-actfn search worker` with the same storage and study.
    """
    if context.invoked_subcommand:
        return
    require("optuna", extra="search")
    require("matplotlib", extra="plot")  # now, not after the work that it draws
    options = {
        "model": model,
        "data": data,
        "image_size": image_size,
        "space": space,
        "epochs": epochs,
        "batch_size": batch_size,
        "recipe": recipe,
        "subset": subset,
        "validation": validation,
        "metric": metric,
        "regressor": regressor,
        "embedding": embedding,
        "pruner": pruner,
        "seed": seed,
    }
    from ..search.cores import cores, shared_among

    with _interruptible(), shared_among(workers) as threads:
        if workers > 1:
            typer.echo(f"{workers} workers, {threads} of {cores()} cores each", err=True)
        found = _open(options, storage, study, output, data_path)
        asked = {"evaluations": evaluations, "output": str(found.output.absolute())}
        found.study.set_user_attr(COMMAND, {**options, **asked})
        counts = found.probe(probe, workers)
        with _workers(workers - 1, found, model, data_path):
            found.run(evaluations)
        comparison = found.retrain(seeds) if seeds and found.best else None
        found.plot(found.output)
        report = found.report(found.output / "report.html", comparison)
    if as_json:
        typer.echo(json.dumps(_as_json(found, counts, comparison, report), ensure_ascii=False))
        return
    _print(found, counts, comparison, report)


def worker(
    storage: JoinedStorageOption,
    study: JoinedStudyOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The search's model, if it is module:function: a worker runs no code that only "
            "the storage names."
        ),
    ] = None,
    evaluations: Annotated[
        int | None,
        typer.Option(min=1, max=10**9, help="Trainings in all. Default: as the search asks for."),
    ] = None,
    data_path: DataPathOption = None,
    output: OutputOption = None,
) -> None:
    """Work on a search that another process began, here or on another machine.

    A worker may be stopped or killed at any moment. Another worker then repeats the evaluation
    that it had begun.
    """
    require("optuna", extra="search")

    from ..search.storage import open_storage, place_of, study_named

    with _interruptible():
        found = study_named(open_storage(storage), study, place_of(storage))
        options, asked, folder = _options_of(found, place_of(storage))
        if model is not None:
            options["model"] = model
        if ":" in options["model"] and model is None:
            raise ValueError(
                "A worker runs code that its own command line names. The study names "
                f"{options['model']!r}: pass --model {options['model']} to run that function."
            )
        joined = _open(
            options, storage, found.study_name, output or folder, data_path, progress=False
        )
        missing = joined.unprobed()
        if missing:
            raise ValueError(
                f"A worker needs the search's spectra. {len(missing)} are missing in the folder "
                f"{joined.output}: wait for the search to compute them, or pass --output."
            )
        joined.run(evaluations or asked)


def _options_of(study, place):
    """A study's options, checked; the number of evaluations asked for, and the folder."""
    stored = study.user_attrs.get(COMMAND)
    types = {**_OPTIONS, "evaluations": int, "output": str}
    if not isinstance(stored, dict):
        raise ValueError(
            f"A worker joins a search begun by keras-actfn search. The study "
            f"'{study.study_name}' in {place} was begun otherwise."
        )
    wrong = [name for name, kind in types.items() if not isinstance(stored.get(name), kind)]
    if wrong:
        raise ValueError(
            f"A search keeps its options in its study. In the study '{study.study_name}' in "
            f"{place} the option '{wrong[0]}' is {stored.get(wrong[0])!r}. Begin the search again."
        )
    options = {name: stored[name] for name in _OPTIONS}
    return options, stored["evaluations"], stored["output"]


def status(
    storage: JoinedStorageOption,
    study: JoinedStudyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how far a search is: evaluations by state, the workers' trials, the best so far."""
    optuna = require("optuna", extra="search")

    from ..search.claims import has_failed, is_alive, is_evaluated
    from ..search.storage import open_storage, place_of, study_named

    found = study_named(open_storage(storage), study, place_of(storage))
    trials = found.get_trials(deepcopy=False)
    states = optuna.trial.TrialState
    finished = [t for t in trials if is_evaluated(t)]
    complete = [t for t in finished if t.state == states.COMPLETE]
    running = [t for t in trials if t.state == states.RUNNING]
    best = max(complete, key=lambda t: (t.value, -t.number), default=None)
    result = {
        "study": found.study_name,
        "evaluations": len(finished),
        "asked": found.user_attrs.get(COMMAND, {}).get("evaluations"),
        "failed": sum(map(has_failed, finished)),
        "pruned": sum(t.state == states.PRUNED for t in finished),
        "running": [
            {
                "expression": t.user_attrs.get("expression"),
                "worker": t.user_attrs.get("lease", {}).get("process"),
                "alive": is_alive(t),
            }
            for t in running
        ],
        "ended_early": sum(t.state == states.FAIL and not has_failed(t) for t in trials),
        "best": best and {"expression": best.user_attrs["expression"], "value": best.value},
    }
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
        return
    asked = f" of {result['asked']}" if result["asked"] else ""
    pruned = f", {result['pruned']} stopped early" if result["pruned"] else ""
    typer.echo(f"evaluations   {len(finished)}{asked}, {result['failed']} failed{pruned}")
    for trial in result["running"]:
        state = "" if trial["alive"] else ", its worker is gone"
        typer.echo(f"running       {trial['expression']} (process {trial['worker']}{state})")
    if best:
        typer.echo(f"best          {result['best']['expression']}  {best.value:.4f}")


def _open(options, storage, study, output, data_path, progress=True):
    """The `ActivationSearch` of the command's options."""
    optuna = require("optuna", extra="search")

    from ..expressions import SPACES, SearchSpace, nearest
    from ..search import ActivationSearch

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # the progress bar says it
    options = dict(options)
    name = options.pop("space")
    if name not in SPACES and "(" not in name:
        raise ValueError(
            f"A space is one of {', '.join(SPACES)}, or a schema such as 'unary(unary(x))'. "
            f"Received: '{name}'. {nearest(name, SPACES)}".rstrip()
        )
    dataset = load_data(options.pop("data"), data_path, options.pop("image_size"))
    return ActivationSearch(
        model_builder(options.pop("model"), dataset),
        dataset,
        SPACES[name]() if name in SPACES else SearchSpace([name]),
        storage=storage,
        study=study,
        output=output,
        progress=progress,
        **options,
    )


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """End at an interrupt, and at a request to terminate, with what is finished kept."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    # Python lets only the main thread set handlers.
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, interrupt) if main else None
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(
            "keras-actfn: interrupted; what is finished is kept, and the same command goes on "
            "from there.",
            err=True,
        )
        raise typer.Exit(130) from None
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _workers(
    count: int, found: "ActivationSearch", model: str, data_path: Path | None
) -> Iterator[None]:
    """Worker processes on this machine for as long as the search runs."""
    # The storage may hold a password: it goes through the environment, which only this user reads.
    words = ["--study", found.study.study_name, "--output", str(found.output)]
    if ":" in model:
        words += ["--model", model]
    if data_path is not None:
        words += ["--data-path", str(data_path)]
    command = [sys.executable, "-m", "keras_actfn", "search", "worker", *words]
    environment = {**os.environ, STORAGE_VARIABLE: str(found.storage)}
    processes = [subprocess.Popen(command, env=environment) for _ in range(count)]
    for process in processes:
        # Waited for at once, so that a worker that was killed is known to be gone.
        threading.Thread(target=process.wait, daemon=True).start()
    try:
        yield
        for process in processes:
            process.wait()
    finally:
        for process in processes:
            process.terminate()


def _as_json(
    found: "ActivationSearch", counts: dict, comparison: "Comparison | None", report: Path
) -> dict:
    import dataclasses

    return {
        "study": found.study.study_name,
        "best": found.best and {"expression": found.best.expression, "value": found.best.value},
        "probe": counts,
        "evaluations": [dataclasses.asdict(row) for row in found.table()],
        "retrained": comparison and comparison.to_dict(),
        "report": str(report),
    }


def _print(
    found: "ActivationSearch",
    counts: dict,
    comparison: "Comparison | None",
    report: Path,
    top: int = 10,
) -> None:
    from ..search.storage import place_of
    from ..search.tandem import latex_of
    from ..training.results import in_columns

    rows = found.table()
    pruned = sum(row.pruned for row in rows)
    typer.echo(
        f"{counts['probed']} functions probed, {counts['valid']} with a valid spectrum; "
        f"{len(rows)} evaluated, {sum(row.diverged for row in rows)} failed"
        + (f", {pruned} stopped early" if pruned else "")
    )
    body = [
        (
            row.expression,
            latex_of(row.expression),
            "failed" if row.diverged else f"{row.value:.4f}",
            "baseline" if row.baseline else "",
        )
        for row in rows[:top]
    ]
    typer.echo(in_columns(("function", "LaTeX", "validation", ""), body))
    if comparison is not None:
        typer.echo("\nTrained again; test images:")
        typer.echo(comparison.markdown())
    if found.best:
        typer.echo(f'\nOne line: keras_actfn.activation("{found.best.expression}")')
    typer.echo(f"Study: {found.study.study_name} in {place_of(found.storage)}")
    typer.echo(f"Report: {report}")
