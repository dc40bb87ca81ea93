"""Train one model with several activations and several seeds, and compare them in pairs.

What the runs of one seed share: every weight but the activations' own, at the start; the
order of the training images in every epoch; the random states of dropout and augmentation
layers at the start, so that every activation sees the same masks, flips and shifts. What
they do not share: the order of floating-point sums inside a backend, and whatever draws
random numbers without a Keras seed generator.

Each epoch drops the images that do not fill a batch (others every time), so that every step
has one shape and the backend compiles one training step for an activation. All seeds of an
activation use that step: model and optimiser are set back to their initial values instead
of built anew. Batches follow each other as they would in a single `fit`.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .._optional import require
from .._progress import Progress
from ..models.seeds import seeds_drawn_from
from . import fingerprints
from .classifier import check_classifier
from .results import Comparison
from .run_store import RunStore
from .setup import Setup
from .split import check_positive
from .trainer import Trainer


def compare(
    build_model: Callable[..., keras.Model],
    data: Any,
    activations: Any,
    *,
    epochs: int = 1,
    seeds: int | Sequence[int] = 3,
    batch_size: int = 128,
    recipe: Any = None,
    subset: int | None = None,
    validation: int | None = None,
    output: str | os.PathLike | None = None,
    plots: bool = True,
    progress: bool = False,
) -> Comparison:
    """Train `build_model(activation)` for every activation and seed, and compare.

    Test accuracy is measured once, at the end of training. With `output`, every finished
    run is a file there, and a call with the same settings reads it instead of training
    again: a comparison that was killed goes on where it was, and one more activation or
    seed costs only its own runs. A run whose settings, data or model differ in anything is
    trained. A run that diverges ends there and counts with an accuracy of 0.

    Args:
        build_model: Function of an activation that returns a new uncompiled classifier with
            probabilities as its output; it changes nothing but the activation and accepts
            `"relu"`.
        data: A `keras_actfn.datasets.Dataset`, or `((x_train, y_train), (x_test, y_test))`
            with integer labels.
        activations: What `build_model` takes, usually specifications of
            `keras_actfn.activation`; the others are compared to the first.
        epochs: Epochs of training, at least 1.
        seeds: The number n of seeds (then 0 to n − 1), or the seeds themselves.
        batch_size: Images a step, at most the training images.
        recipe: A name of `keras_actfn.training.RECIPES` (None for `"adam"`), or a `Recipe`.
        subset: Train on this many training images, classes in balance; None for all.
        validation: Hold out this many training images (before the subset is drawn) and
            report accuracy on them after each epoch; None for none.
        output: Folder for finished runs, tables and pictures; None writes nothing.
        plots: Whether to draw pictures into `output`; needs matplotlib.
        progress: Whether to show a progress bar on standard error; needs rich.

    Returns:
        A `Comparison`: `print` shows its table.

    Raises:
        ValueError: If an argument is not what it should be, or the models for two
            activations differ in more than the activation.
        ImportError: If a library for the intervals, pictures or progress bar is missing.

    Example:
    ```python
    from keras_actfn import applications, datasets, training

    result = training.compare(
        lambda activation: applications.LeNet5(activation=activation),
        datasets.digits(image_size=28),
        ["relu", "aff(identity,relu,tanh)"],
        epochs=2,
        seeds=3,
    )
    print(result)
    ```
    """
    labels = _labels(activations)
    seeds = _seeds(seeds)
    setup = Setup.of(
        build_model,
        data,
        epochs=epochs,
        batch_size=batch_size,
        recipe=recipe,
        subset=subset,
        validation=validation,
    )
    if output is not None:
        output = Path(output)
        output.mkdir(parents=True, exist_ok=True)
        if plots:
            require("matplotlib.figure", extra="plot")
    if len(seeds) > 1:
        require("scipy.stats", extra="cli")

    settings = setup.settings()
    store = RunStore(output)
    plan, finished = [], {}
    for label, activation in labels.items():
        with seeds_drawn_from(seeds[0]):
            built = check_classifier(build_model(activation), setup.classes)
        model = fingerprints.model_fingerprint(built)
        for seed in seeds:
            run = {**settings, "model": model, "activation": label, "seed": seed}
            # The model's structure tells activations apart; their label is for people.
            key = fingerprints.key_of({k: v for k, v in run.items() if k != "activation"})
            plan.append((label, seed, key, run))
            finished[label, seed] = store.load(key, label)
    missing = [entry for entry in plan if finished[entry[:2]] is None]
    reused = len(plan) - len(missing)

    steps = setup.epochs * setup.steps_per_epoch
    trainer = Trainer(setup)
    with Progress(steps * len(missing), progress, unit="steps") as bar:
        if reused:
            bar.say(f"{reused} of {len(plan)} runs were finished before and are not done again.")
        for number, (label, seed, key, run) in enumerate(missing, start=1):
            bar.describe(f"{label}, seed {seed}")
            result = trainer.train_once(
                labels[label], seed, label=label, key=key, on_step=lambda loss: bar.advance()
            )
            bar.advance(steps - result.steps)
            store.save(result, run)
            finished[label, seed] = result
            accuracy = 100 * (result.test_accuracy or 0.0)
            bar.say(
                f"{number + reused}/{len(plan)}  {label}, seed {seed}: test accuracy "
                f"{accuracy:.2f} %{', diverged' if result.diverged else ''}, "
                f"{result.seconds:.0f} s"
            )

    comparison = Comparison(
        activations=tuple(labels),
        seeds=seeds,
        runs=tuple(done for entry in plan if (done := finished[entry[:2]]) is not None),
        settings=settings,
        reused=reused,
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
