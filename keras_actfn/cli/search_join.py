"""`keras-actfn search worker` and `status`: what joins a search that another process began."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .._optional import require
from .common import JsonOption
from .data import DataChoice
from .search_common import (
    COMMAND,
    JoinedStorageOption,
    JoinedStudyOption,
    OutputOption,
    interruptible,
    open_search,
)

if TYPE_CHECKING:
    import optuna

#: What a worker takes from the study, with the types that it may have. Whoever can write to the
#: storage decides on these; none of them names code.
_OPTIONS = {
    "task": str | None,
    "model": str | None,
    "data": dict,
    "space": str,
    "epochs": int,
    "batch_size": int | None,
    "recipe": str | None,
    "subset": int | None,
    "validation": int | None,
    "metric": str | None,
    "mode": str | None,
    "regressor": str,
    "embedding": str,
    "from_scratch": bool,
    "leave_out": list,
    "pruner": str | None,
    "moves": int,
    "seed": int,
}


def worker(
    storage: JoinedStorageOption,
    study: JoinedStudyOption = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="The search's task, module:function: a worker runs no code that only the storage "
            "names."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="The search's model, if it is module:function, for the same reason."),
    ] = None,
    evaluations: Annotated[
        int | None,
        typer.Option(min=1, max=10**9, help="Trainings in all. Default: as the search asks for."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.001, max=10**6, help="Begin no training after this time."),
    ] = None,
    data_path: Annotated[
        Path | None,
        typer.Option(
            help="Where the data is on this machine: a named dataset's files, or what is read "
            "instead of the search's path."
        ),
    ] = None,
    output: OutputOption = None,
) -> None:
    """Work on a search that another process began, here or on another machine.

    A worker may be stopped or killed at any moment. Another worker then repeats the evaluation
    that it had begun.
    """
    require("optuna", extra="search")

    from ..search.storage import place_of, study_named
    from ..search.trials import readable

    with interruptible():
        with readable(storage):
            found = study_named(storage, study)
        options, asked, folder = _options_of(found, place_of(storage))
        for name, given in (("task", task), ("model", model)):
            if given is not None:
                options[name] = given
            elif ":" in (options[name] or ""):
                raise ValueError(
                    "A worker runs code that its own command line names. The study names "
                    f"{options[name]!r}: pass --{name} {options[name]} to run that function."
                )
        data = DataChoice.from_dict(options["data"], data_path)
        joined = open_search(
            options, data, storage, found.study_name, output or folder, progress=False
        )
        missing = joined.unprobed()
        if missing:
            raise ValueError(
                f"A worker needs the search's spectra. {len(missing)} are missing in the folder "
                f"{joined.output}: wait for the search to compute them, or pass --output."
            )
        evaluations = evaluations or asked
        if evaluations is None and minutes is None:
            raise ValueError(
                "A worker ends after a number of evaluations or of minutes. Received: neither, for "
                "a search that has --minutes alone. Pass one."
            )
        joined.run(evaluations, minutes)


def _options_of(study: "optuna.Study", place: str) -> tuple[dict, int | None, str]:
    """A study's options, checked; the number of evaluations asked for, and the folder."""
    stored = study.user_attrs.get(COMMAND)
    types = {**_OPTIONS, "evaluations": int | None, "output": str}
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
    from ..search.storage import study_named
    from ..search.trials import check_trials, readable

    with readable(storage):
        found = study_named(storage, study)
        check_trials(found, storage)
        trials = found.get_trials(deepcopy=False)
    states = optuna.trial.TrialState
    finished = [t for t in trials if is_evaluated(t)]
    complete = [t for t in finished if t.state == states.COMPLETE]
    running = [t for t in trials if t.state == states.RUNNING]
    sign = 1 if found.direction == optuna.study.StudyDirection.MAXIMIZE else -1
    best = max(complete, key=lambda t: (sign * t.value, -t.number), default=None)
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
