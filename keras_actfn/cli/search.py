"""`keras-actfn search`: find a better activation function for a model and its data."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

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

#: User attribute of the study with the options that its workers need.
COMMAND = "command"

StorageOption = Annotated[
    str | None,
    typer.Option(
        help="Where evaluations are kept: a file ….db (SQLite), a file ….log (a journal, for "
        "several machines with one disk), or an Optuna URL. Default: runs/search/STUDY.db.",
    ),
]
StudyOption = Annotated[str, typer.Option(help="Name of the Optuna study.")]
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
    study: StudyOption = "activation-search",
    output: OutputOption = None,
    as_json: JsonOption = False,
):
    """Probe functions, train the most promising ones, and report.

    After an interruption the same command continues where it stopped. More workers, also on
    other machines, join by `keras-actfn search worker` with the same storage and study.
    """
    if context.invoked_subcommand:
        return
    storage = storage or f"runs/search/{study}.db"
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
    found = _open(options, storage, study, output, data_path)
    asked = {
        "probe": probe,
        "evaluations": evaluations,
        "output": str(found.output.absolute()),
    }
    found.study.set_user_attr(COMMAND, {**options, **asked})
    try:
        counts = found.probe(probe, workers)
        with _workers(workers - 1, storage, study, found.output, data_path):
            found.run(evaluations)
        comparison = found.retrain(seeds) if seeds else None
    except KeyboardInterrupt:
        typer.echo(
            "keras-actfn: interrupted; what is finished is kept, and the same command goes on "
            "from there.",
            err=True,
        )
        raise typer.Exit(130) from None
    found.plot(found.output)
    report = found.report(found.output / "report.html", comparison)
    if as_json:
        typer.echo(json.dumps(_as_json(found, counts, comparison, report), ensure_ascii=False))
        return
    _print(found, counts, comparison, report)


def worker(
    storage: Annotated[str, typer.Option(help="The search's storage.")],
    study: StudyOption = "activation-search",
    evaluations: Annotated[
        int | None,
        typer.Option(min=1, max=10**9, help="Trainings in all. Default: as the search asks for."),
    ] = None,
    data_path: DataPathOption = None,
    output: OutputOption = None,
):
    """Work on a search that another process began, here or on another machine.

    A worker may be stopped or killed at any moment. Another worker then repeats the evaluation
    that it had begun.
    """
    optuna = require("optuna", extra="search")

    from ..search.storage import open_storage

    try:
        found = optuna.load_study(study_name=study, storage=open_storage(storage))
        options = dict(found.user_attrs[COMMAND])
    except KeyError:
        raise ValueError(
            f"A worker joins a search begun by keras-actfn search. There is no such study "
            f"'{study}' in {storage}."
        ) from None
    asked = options.pop("evaluations")
    options.pop("probe")
    folder = options.pop("output")
    joined = _open(options, storage, study, output or folder, data_path, progress=False)
    if not set(joined.baseline_ids) <= joined.store.ids():
        raise ValueError(
            f"A worker needs the search's spectra. The folder {joined.output} has none yet: wait "
            "for them, or pass --output."
        )
    joined.run(evaluations or asked)


def status(
    storage: Annotated[str, typer.Option(help="The search's storage.")],
    study: StudyOption = "activation-search",
    as_json: JsonOption = False,
):
    """Show how far a search is: evaluations by state, the workers' trials, the best so far."""
    optuna = require("optuna", extra="search")

    from ..search.claims import has_failed, is_alive, is_evaluated
    from ..search.storage import open_storage

    try:
        found = optuna.load_study(study_name=study, storage=open_storage(storage))
    except KeyError:
        names = optuna.get_all_study_names(open_storage(storage))
        raise ValueError(
            f"There is no study '{study}' in {storage}. There are: {', '.join(names) or 'none'}."
        ) from None
    trials = found.get_trials(deepcopy=False)
    states = optuna.trial.TrialState
    finished = [t for t in trials if is_evaluated(t)]
    complete = [t for t in finished if t.state == states.COMPLETE]
    running = [t for t in trials if t.state == states.RUNNING]
    best = max(complete, key=lambda t: (t.value, -t.number), default=None)
    result = {
        "study": study,
        "evaluations": len(finished),
        "asked": found.user_attrs.get(COMMAND, {}).get("evaluations"),
        "diverged": sum(map(has_failed, finished)),
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
    typer.echo(f"evaluations   {len(finished)}{asked}, {result['diverged']} diverged{pruned}")
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
def _workers(count, storage, study, output, data_path):
    """Worker processes on this machine for as long as the search runs."""
    words = ["--storage", storage, "--study", study, "--output", str(output)]
    if data_path is not None:
        words += ["--data-path", str(data_path)]
    command = [sys.executable, "-m", "keras_actfn", "search", "worker", *words]
    processes = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
        for process in processes:
            process.wait()
    finally:
        for process in processes:
            process.terminate()


def _as_json(found, counts, comparison, report):
    import dataclasses

    return {
        "best": found.best and {"expression": found.best.expression, "value": found.best.value},
        "probe": counts,
        "evaluations": [dataclasses.asdict(row) for row in found.table()],
        "retrained": comparison and comparison.to_dict(),
        "report": str(report),
    }


def _print(found, counts, comparison, report, top=10):
    from ..search.tandem import latex_of
    from ..training.results import in_columns

    rows = found.table()
    pruned = sum(row.pruned for row in rows)
    typer.echo(
        f"{counts['probed']} functions probed, {counts['valid']} with a valid spectrum; "
        f"{len(rows)} evaluated, {sum(row.diverged for row in rows)} diverged"
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
    typer.echo(f'\nOne line: keras_actfn.activation("{found.best.expression}")')
    typer.echo(f"Report: {report}")
