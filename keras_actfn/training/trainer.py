"""One training run: the same for `compare`, for a search and for a search that stops runs early."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras

from .._version import __version__
from ..models.curves import GRID, activation_curves
from ..models.seeds import seeds_drawn_from
from . import fingerprints
from .by_fit import ByFit
from .by_recipe import ByRecipe
from .criterion import Criterion, unknown_direction, unknown_metric
from .network import REFERENCE, Network, Reference, Routine
from .run_store import RunResult
from .setup import Setup
from .task import Task


class Trainer:
    """Trains the models of a `Task`, one run at a time.

    Runs of one activation that follow each other share its compiled training step, and all
    runs of a seed start from the same weights.

    Args:
        task: A `Task` without an objective.
        seed: A seed to look at a model with, before the first run.

    Raises:
        ValueError: If the task can't be trained.

    Example:
    ```python
    trainer = Trainer(Task(build_model, (x, y), epochs=2, batch_size=16))
    result = trainer.train_once("relu", seed=0)
    ```
    """

    def __init__(self, task: Task, seed: int = 0):
        if task.objective is not None:
            raise ValueError(
                "A task with an objective trains by itself, without seeds and tests. Received: the "
                f"objective '{task.data_name}'. Use it in ActivationSearch, or give train data "
                "instead."
            )
        self.task = task
        self._seed = seed
        self.routine = _routine(task, seed)
        self._reference = Reference(self.routine)
        self._activation: Any = None
        self._network: Network | None = None
        self._criterion: Criterion | None = None

    def build(self, activation: Any, seed: int) -> keras.Model:
        """A checked model with an activation, before any training."""
        with seeds_drawn_from(seed):
            return self.routine.build(activation)[0]

    def settings(self, model: keras.Model) -> dict:
        """What decides a result besides the model's structure and the seed, for JSON."""
        data = self.task.data
        sizes = {f"{name}_examples": size for name, size in data.sizes().items()}
        return {
            "keras_actfn": __version__,
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "dtype_policy": keras.config.dtype_policy().name,
            "epochs": self.task.epochs,
            **sizes,
            **self.routine.settings(model),
            "data": {
                name: fingerprints.part_fingerprint(part) for name, part in data.parts().items()
            },
        }

    def criterion(self, activation: Any = REFERENCE) -> Criterion:
        """What runs are ordered by, found before any of them.

        Args:
            activation: One that is trained next, so that what is compiled for it is used again.

        Raises:
            ValueError: If the task's metric is not reported, or has no direction and no mode.
        """
        if self._criterion is None:
            network = self._network_for(activation)
            names = network.reported(self._seed, self._reference)
            metric = self.task.metric or network.default_metric()
            if metric not in names:
                raise unknown_metric(metric, names)
            mode = self.task.mode or network.direction(metric)
            if mode is None:
                raise unknown_direction(metric)
            self._criterion = Criterion(metric, mode)
        return self._criterion

    def _network_for(self, activation):
        if self._network is None or activation is not self._activation:
            self._activation, self._network = activation, self.routine.network(activation)
        return self._network

    def train_once(
        self,
        activation: Any,
        seed: int,
        *,
        label: str | None = None,
        key: str = "",
        on_step: Callable | None = None,
        after_epoch: Callable | None = None,
        validate_every_epoch: bool = True,
    ) -> RunResult:
        """Train with one activation from the start of one seed, and measure.

        A run whose training loss, validation loss or test loss is not finite has diverged, and no
        finished run ranks behind it: its losses are infinite, and its
        accuracies 0 by a recipe; other metrics are NaN.

        Args:
            activation: What `build_model` takes.
            seed: Seed of weights, of the order of arrays, of dropout and augmentation.
            label: Name of the activation in the result; its text if None.
            key: Key of the result.
            on_step: Function of the number of steps taken since its last call.
            after_epoch: Function of the epoch, from 1, and the validation part's metrics by name,
                which is called unless the training diverged. It may raise, which ends the training.
            validate_every_epoch: Whether the validation part is measured after each epoch, or
                at the end only. `after_epoch` needs each.

        Returns:
            A `RunResult`.

        Raises:
            ValueError: If the model is not one that can be trained, or the data ends early.
        """
        network, data = self._network_for(activation), self.task.data
        network.start_from(seed, self._reference)
        started = time.perf_counter()
        trained = network.train(
            seed,
            on_step=on_step,
            after_epoch=after_epoch,
            validate_every_epoch=validate_every_epoch,
        )
        validation, test, diverged = trained.validation, None, trained.diverged
        if data.test is not None:
            test = network.measured(data.test, diverged)
            diverged = diverged or not math.isfinite(test.get("loss", 0.0))
        if diverged and validation is not None:
            validation = network.failed()
            for name, value in validation.items():
                if f"validation_{name}" in trained.arrays:
                    trained.arrays[f"validation_{name}"][-1:] = value
        curves = activation_curves(network.model)
        sites = {f"site_{number}": curve for number, curve in enumerate(curves, start=1)}
        return RunResult(
            activation=str(activation) if label is None else label,
            seed=seed,
            key=key,
            validation=validation,
            test=test,
            parameters=network.model.count_params(),
            steps=trained.steps,
            step_seconds=trained.step_seconds,
            seconds=time.perf_counter() - started,
            diverged=diverged,
            arrays={**trained.arrays, "x": GRID, **sites},
        )


def _routine(task: Task, seed: int) -> Routine:
    """How a task's models are trained: what the first one asks for."""
    with seeds_drawn_from(seed):
        model = task.build_model(REFERENCE)
    if getattr(model, "compiled", False):
        return ByFit(task)
    return ByRecipe(Setup.of(task))
