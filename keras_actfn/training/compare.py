"""Train one model with several activations and several seeds, and compare them in pairs.

What the runs of one seed share: every weight but the activations' own, at the start; the
order of arrays in every epoch; the random states of dropout and augmentation layers at the start,
so that every activation sees the same masks, flips and shifts. Data of other kinds is read with the
generators of Python, NumPy, TensorFlow and PyTorch set to the seed. What the runs do not share: the
order of floating-point sums inside a backend, and whatever draws random numbers in another way, as
a dataset does that goes on shuffling where the run before it ended. A function that makes the
dataset anew is called for each run.

An uncompiled model is trained by a recipe (`by_recipe`), a compiled one by `fit` (`by_fit`).
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .._drafts import make_folder
from .._optional import require
from .._progress import Progress
from . import fingerprints
from .data import check_positive
from .results import Comparison
from .run_store import RunStore
from .task import Task
from .trainer import Trainer


def compare(
    task: Task,
    activations: Any,
    *,
    seeds: int | Sequence[int] = 3,
    output: str | os.PathLike | None = None,
    plots: bool = True,
    progress: bool = False,
) -> Comparison:
    """Train a task's model with every activation and seed, and compare.

    Runs are compared by the task's metric on its test data, measured once at the end of training;
    on its validation data if it has no test data. With `output`, every finished run is a file
    there, and a call with the same settings reads it instead of training again: a comparison that
    was killed goes on where it was, and one more activation or seed costs only its own runs. A run
    whose settings, data or model differ in anything that can be known is trained (see
    `keras_actfn.training.fingerprints`). A run that diverges, or whose metric is NaN, has failed:
    no other run counts less.

    Args:
        task: A `Task` with data.
        activations: What the task's `build_model` takes, usually specifications of
            `keras_actfn.activation`; the others are compared to the first.
        seeds: The number n of seeds (then 0 to n − 1), or the seeds themselves.
        output: Folder for finished runs, tables and pictures; None writes nothing.
        plots: Whether to draw pictures into `output`; needs matplotlib.
        progress: Whether to show a progress bar on standard error; needs rich.

    Returns:
        A `Comparison`: `print` shows its table.

    Raises:
        ValueError: If an argument is not what it should be, the models for two activations differ
            in more than the activation, the metric is not reported, or data ends early.
        ImportError: If a library for the intervals, pictures or progress bar is missing.

    Example:
    ```python
    from keras_actfn import applications, datasets, training

    task = training.Task(
        lambda activation: applications.LeNet5(activation=activation),
        datasets.digits(image_size=28),
        epochs=2,
    )
    print(training.compare(task, ["relu", "aff(identity,relu,tanh)"], seeds=3))
    ```
    """
    if not isinstance(task, Task):
        raise ValueError(
            f"compare takes a keras_actfn.training.Task. Received: {type(task).__name__}. Write "
            "compare(Task(build_model, train, …), activations)."
        )
    labels = _labels(activations)
    seeds = _seeds(seeds)
    trainer = Trainer(task, seeds[0])
    parts = task.data.parts()
    part = next((name for name in ("test", "validation") if name in parts), None)
    if part is None:
        raise ValueError(
            "Runs are compared on test or validation data. Received: a task with neither. Pass "
            "test=… or validation=…."
        )
    if output is not None:
        output = make_folder(output)
        if plots:
            require("matplotlib.figure", extra="plot")
    if len(seeds) > 1:
        require("scipy.stats", extra="cli")

    store = RunStore(output)
    settings: dict = {}
    plan, finished = [], {}
    for label, activation in labels.items():
        built = trainer.build(activation, seeds[0])
        settings = settings or trainer.settings(built)
        model = fingerprints.model_fingerprint(built)
        code = fingerprints.described(activation)
        for seed in seeds:
            run = {**settings, "model": model, "code": code, "seed": seed}
            key = fingerprints.key_of(run)  # without the label, which is for people
            run["activation"] = label
            plan.append((label, seed, key, run))
            finished[label, seed] = store.load(key, label)
    missing = [entry for entry in plan if finished[entry[:2]] is None]
    reused = len(plan) - len(missing)
    criterion = trainer.criterion(labels[(missing or plan)[0][0]])

    steps = trainer.routine.steps
    total, unit = (len(missing), "runs") if steps is None else (steps * len(missing), "steps")
    with Progress(total, progress, unit=unit) as bar:
        if reused:
            bar.say(f"{reused} of {len(plan)} runs were finished before and are not done again.")
        for number, (label, seed, key, run) in enumerate(missing, start=1):
            bar.describe(f"{label}, seed {seed}")
            result = trainer.train_once(
                labels[label],
                seed,
                label=label,
                key=key,
                on_step=None if steps is None else bar.advance,
            )
            bar.advance(1 if steps is None else steps - result.steps)
            store.save(result, run)
            finished[label, seed] = result
            value = criterion.text((getattr(result, part) or {}).get(criterion.metric, np.nan))
            bar.say(
                f"{number + reused}/{len(plan)}  {label}, seed {seed}: {part} {criterion.metric} "
                f"{value}{', diverged' if result.diverged else ''}, {result.seconds:.0f} s"
            )

    comparison = Comparison(
        activations=tuple(labels),
        seeds=seeds,
        runs=tuple(done for entry in plan if (done := finished[entry[:2]]) is not None),
        settings=settings,
        reused=reused,
        criterion=criterion,
        part=part,
    )
    if output is not None:
        comparison.save(output)
        if plots:
            comparison.plot(output)
    return comparison


def _labels(activations):
    """Activations by the label that tables show, in order."""
    if isinstance(activations, str) or not hasattr(activations, "__iter__"):
        raise ValueError(
            f"activations is a list of at least one activation. Received: {activations!r}."
        )
    labels = {}
    for activation in activations:
        name = getattr(activation, "name", None) or getattr(activation, "__name__", None)
        label = " ".join((name or str(activation)).split())
        if label in labels:
            raise ValueError(f"Every activation is compared once. Received twice: '{label}'.")
        labels[label] = activation
    if not labels:
        raise ValueError("activations is a list of at least one activation. Received: none.")
    return labels


def _seeds(seeds: int | Iterable[int]) -> tuple[int, ...]:
    """Distinct non-negative seeds from their number or a list."""
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        check_positive("the number of seeds", seeds)
        seeds = range(seeds)
    found = tuple(seeds) if hasattr(seeds, "__iter__") and not isinstance(seeds, str) else ()
    whole = all(isinstance(seed, int | np.integer) and seed >= 0 for seed in found)
    if not found or not whole or len(set(found)) < len(found):
        raise ValueError(
            "seeds is their number or a list of different non-negative integers. Received: "
            f"{seeds!r}."
        )
    return tuple(int(seed) for seed in found)
