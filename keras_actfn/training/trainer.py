"""One training run: the same for `compare`, for a search and for a search that stops runs early."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..models.curves import GRID, activation_curves
from ..models.seeds import batch_order, seeds_drawn_from
from .monitor import RunMonitor
from .network import Network, Reference
from .run_store import RunResult
from .setup import Setup
from .threads import threads_for

#: What a diverged run measures: no finished run has a lower accuracy or a higher loss.
DIVERGED = {"accuracy": 0.0, "loss": math.inf}


class Trainer:
    """Trains the models of a `Setup`, one run at a time.

    Runs of one activation that follow each other share its compiled training step, and all
    runs of a seed start from the same weights.

    Args:
        setup: A `Setup`.

    Example:
    ```python
    trainer = Trainer(Setup.of(build_model, data, epochs=2, batch_size=16))
    result = trainer.train_once("relu", seed=0)
    ```
    """

    def __init__(self, setup: Setup):
        self.setup = setup
        self._reference = Reference(setup)
        self._activation: Any = None
        self._network: Network | None = None

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

        A run whose training loss, validation loss or test loss is not finite has diverged: its
        accuracies are 0 and its losses infinite, so that no finished run ranks behind it.

        Args:
            activation: What `build_model` takes.
            seed: Seed of weights, images' order, dropout and augmentation.
            label: Name of the activation in the result; its text if None.
            key: Key of the result.
            on_step: Function that is called after each step with the epoch's mean loss so far.
            after_epoch: Function of the epoch, from 1, and the validation part's
                `{"loss": …, "accuracy": …}`, which is called unless the training diverged. It may
                raise, which ends the training.
            validate_every_epoch: Whether the validation part is measured after each epoch, or
                at the end only. `after_epoch` needs each.

        Returns:
            A `RunResult`. `arrays` has `validation_loss` and `validation_accuracy` where there
            is a validation part; `test_accuracy` and `test_loss` are None without a test part.

        Raises:
            ValueError: If the model is not one that `compare` trains.
        """
        if self._network is None or activation is not self._activation:
            self._activation, self._network = activation, Network(self.setup, activation)
        network, setup, split = self._network, self.setup, self.setup.split
        network.start_from(seed, self._reference)
        started = time.perf_counter()
        monitor = RunMonitor(on_step)
        used = setup.steps_per_epoch * setup.batch_size
        validations = []
        with seeds_drawn_from(seed), threads_for(network.trained, setup.batch_size):
            for epoch in range(setup.epochs):
                order = batch_order(seed, epoch, len(split.x_train))[:used]
                network.trained.fit(
                    **network.batches(
                        split.x_train[order], split.y_train[order], seed * setup.epochs + epoch
                    ),
                    initial_epoch=epoch,
                    epochs=epoch + 1,
                    shuffle=False,
                    verbose=0,
                    callbacks=[monitor],
                )
                diverged = monitor.diverged
                last = diverged or epoch == setup.epochs - 1
                if split.x_validation is not None and (last or validate_every_epoch):
                    validations.append(_measured(network, split.validation, diverged))
                    diverged = not math.isfinite(validations[-1]["loss"])
                    if after_epoch and not diverged:
                        after_epoch(epoch + 1, validations[-1])
                if diverged:
                    break
            test = None
            if split.x_test is not None:
                test = _measured(network, split.test, diverged)
                diverged = not math.isfinite(test["loss"])
        if diverged and validations:
            validations[-1] = DIVERGED
        return RunResult(
            activation=str(activation) if label is None else label,
            seed=seed,
            key=key,
            test_accuracy=test and test["accuracy"],
            test_loss=test and test["loss"],
            validation_accuracy=validations[-1]["accuracy"] if validations else None,
            parameters=network.model.count_params(),
            steps=monitor.steps,
            step_seconds=monitor.step_seconds(),
            seconds=time.perf_counter() - started,
            diverged=diverged,
            arrays=_arrays(monitor, validations, activation_curves(network.model)),
        )


def _measured(network, part, diverged):
    """Loss and accuracy on (x, y), or those of a diverged run."""
    measured = DIVERGED if diverged else network.measure(*part)
    return measured if math.isfinite(measured["loss"]) else DIVERGED


def _arrays(monitor, validations, curves):
    """The curves of a run by name."""
    step, loss, accuracy = monitor.curves()
    arrays = {"step": step, "loss": loss, "accuracy": accuracy, "x": GRID}
    for name in ("accuracy", "loss") if validations else ():
        arrays[f"validation_{name}"] = np.array([measured[name] for measured in validations])
    return arrays | {f"slot_{number}": curve for number, curve in enumerate(curves, start=1)}
