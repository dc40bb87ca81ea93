"""`keras-actfn search`: find a better activation function for a model and its data."""

import contextlib
import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._optional import require
from .common import (
    BatchSizeOption,
    EpochsOption,
    JsonOption,
    ModelOption,
    SeedOption,
    SubsetOption,
)
from .data import DataChoice, with_data
from .search_common import (
    COMMAND,
    STORAGE_VARIABLE,
    OutputOption,
    StorageOption,
    StudyOption,
    interruptible,
    open_search,
)
from .search_join import status, worker
from .tables import EMBEDDINGS, PRUNERS, REGRESSORS, SPACES, listed
from .task import (
    MetricOption,
    ModeOption,
    RecipeOption,
    TaskOption,
    check_task_alone,
    is_given,
)

if TYPE_CHECKING:
    from ..search import ActivationSearch
    from ..search.verdict import Verdict


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    group = typer.Typer(
        help="Find a better activation function for a model and its data.",
        rich_markup_mode=None,
    )
    group.callback(invoke_without_command=True)(with_data(search))
    group.command("worker")(worker)
    group.command("status")(status)
    app.add_typer(group, name="search")


def search(
    *,
    context: typer.Context,
    task: TaskOption = None,
    model: ModelOption = None,
    data: DataChoice,
    space: Annotated[
        str,
        typer.Option(help=f"{listed(SPACES)}, or a schema such as unary(unary(x))."),
    ] = "three_node",
    probe: Annotated[
        int, typer.Option(min=0, max=10**9, help="Number of functions to compute spectra of.")
    ] = 200,
    evaluations: Annotated[
        int, typer.Option(min=1, max=10**9, help="Trainings in all, the first functions included.")
    ] = 20,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=10**6,
            help="Begin no evaluation after this time, spectra included; the comparison at the end "
            "(--seeds) follows. Alone, or beside --evaluations: then whichever comes first. "
            "Default: no limit.",
        ),
    ] = None,
    epochs: EpochsOption = 1,
    batch_size: BatchSizeOption = None,
    recipe: RecipeOption = None,
    subset: SubsetOption = None,
    validation: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10**9,
            help="Hold out this many training examples. Default: a tenth, or "
            "the data's own validation part.",
        ),
    ] = None,
    metric: MetricOption = None,
    mode: ModeOption = None,
    regressor: Annotated[
        str, typer.Option(help=f"How functions are predicted: {listed(REGRESSORS)}.")
    ] = "distance_gp",
    embedding: Annotated[
        str, typer.Option(help=f"How functions are placed on the map: {listed(EMBEDDINGS)}.")
    ] = "union",
    from_scratch: Annotated[
        bool,
        typer.Option(
            "--from-scratch",
            help="Learn nothing from the package's own tasks with known results: begin with the "
            "usual functions, and expect nothing of others.",
        ),
    ] = False,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(help="Such a task that is not learned from. May be given several times."),
    ] = None,
    pruner: Annotated[
        str | None,
        typer.Option(
            help=f"Stop trainings early that are behind others: {listed(PRUNERS)}. Default: none."
        ),
    ] = None,
    moves: Annotated[
        int,
        typer.Option(
            min=0,
            max=10_000,
            help="Before each evaluation, add this many functions that are one operator away from "
            "the best ones, of the space or not.",
        ),
    ] = 0,
    seed: SeedOption = 0,
    seeds: Annotated[
        int,
        typer.Option(
            min=0,
            max=10_000,
            help="At the end, compare the best function with the best usual one on the test data, "
            "with 3, 6, 12, … fresh seeds up to this many, until the answer is clear. 0: do not.",
        ),
    ] = 12,
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
    check_task_alone(context, task)
    looks = _looks(seeds)
    asked_for = None if minutes and not is_given(context, "evaluations") else evaluations
    options = {
        "task": task,
        "model": model,
        "data": data.to_dict(),
        "space": space,
        "epochs": epochs,
        "batch_size": batch_size,
        "recipe": recipe,
        "subset": subset,
        "validation": validation,
        "metric": metric,
        "mode": mode,
        "regressor": regressor,
        "embedding": embedding,
        "from_scratch": from_scratch,
        "leave_out": leave_out or [],
        "pruner": pruner,
        "moves": moves,
        "seed": seed,
    }
    from ..search.cores import cores, shared_among

    with interruptible(), shared_among(workers) as threads:
        if workers > 1:
            typer.echo(f"{workers} workers, {threads} of {cores()} cores each", err=True)
        found = open_search(options, data, storage, study, output)
        asked = {"evaluations": asked_for, "output": str(found.output.absolute())}
        found.study.set_user_attr(COMMAND, {**options, **asked})
        begun = time.monotonic()
        until = math.inf if minutes is None else begun + 30 * minutes
        found.probe(probe, workers, until)
        left = minutes and max(0.001, minutes - (time.monotonic() - begun) / 60)
        own: dict[str, Any] = {"--task": task, "--model": model if ":" in (model or "") else None}
        own |= {"--data-path": data.data_path, "--minutes": left}
        with _workers(workers - 1, found, own):
            found.run(asked_for, left)
        counts = found.store.counts()
        verdict = found.confirm(looks=looks) if looks and not found.cannot_confirm else None
        figures = found.plot(found.output)
        report = found.report(found.output / "report.html", verdict, figures)
    if as_json:
        typer.echo(json.dumps(_as_json(found, counts, verdict, report), ensure_ascii=False))
        return
    _print(found, counts, verdict, report)
    if looks and verdict is None:
        typer.echo(f"Not confirmed. {found.cannot_confirm}")


def _looks(seeds: int) -> tuple[int, ...]:
    from ..training.sequential import looks_up_to

    if seeds == 1:
        raise ValueError("--seeds is at least 2, or 0 for no test. Received: 1.")
    return looks_up_to(seeds) if seeds else ()


@contextlib.contextmanager
def _workers(count: int, found: "ActivationSearch", own: dict[str, Any]) -> Iterator[None]:
    """Worker processes on this machine for as long as the search runs."""
    # The storage may hold a password: it goes through the environment, which only this user reads.
    words = ["--study", found.study.study_name, "--output", str(found.output)]
    for option, value in own.items():
        words += [] if value is None else [option, str(value)]
    command = [sys.executable, "-m", "keras_actfn", "search", "worker", *words]
    environment = {**os.environ, STORAGE_VARIABLE: str(found.storage)}
    processes: list[subprocess.Popen] = []
    try:
        for _ in range(count):
            processes.append(subprocess.Popen(command, env=environment))
            # Waited for at once, so that a worker that was killed is known to be gone.
            threading.Thread(target=processes[-1].wait, daemon=True).start()
        yield
        for process in processes:
            process.wait()
    finally:
        _end(processes)


def _end(processes: list[subprocess.Popen], seconds: float = 30.0) -> None:
    """Ask processes to end and wait until they have; a second interrupt, or time, kills them."""
    try:
        for process in processes:
            process.terminate()
        end = time.monotonic() + seconds
        with contextlib.suppress(subprocess.TimeoutExpired):
            for process in processes:
                process.wait(max(0.0, end - time.monotonic()))
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def _as_json(
    found: "ActivationSearch", counts: dict, verdict: "Verdict | None", report: Path
) -> dict:
    import dataclasses

    return {
        "study": found.study.study_name,
        "best": found.best and {"expression": found.best.expression, "value": found.best.value},
        "probe": counts,
        "evaluations": [dataclasses.asdict(row) for row in found.table()],
        "verdict": verdict and verdict.to_dict(),
        "report": str(report),
    }


def _print(
    found: "ActivationSearch",
    counts: dict,
    verdict: "Verdict | None",
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
    typer.echo(in_columns(("function", "LaTeX", found.objective.measure, ""), body))
    if found.best:
        best = found.best.expression if verdict is None else verdict.best
        typer.echo(f'\nOne line: keras_actfn.activation("{best}")')
    typer.echo(f"Study: {found.study.study_name} in {place_of(found.storage)}")
    typer.echo(f"Report: {report}")
    if verdict is not None:
        typer.echo(f"\n{verdict}")
