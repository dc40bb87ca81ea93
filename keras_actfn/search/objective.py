"""What a search looks for: a training's validation metric, or a number of the user's function."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ..models.seeds import all_seeds_from
from ..training import Criterion, Task
from ..training.data import Arrays, first_examples
from ..training.fingerprints import described, key_of
from ..training.trainer import Trainer


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        value: The number that the task's `mode` orders; None if the evaluation failed. No number
            stands for a failure: it ranks behind every evaluation that ended, whatever their scale.
        details: More figures, for the trial's user attributes.
    """

    value: float | None
    details: dict = dataclasses.field(default_factory=dict)

    @property
    def diverged(self) -> bool:
        """Whether the evaluation failed."""
        return self.value is None


class TrainingObjective:
    """Train a task's model with an activation function, and judge it on the validation data.

    Every function starts from the same weights and sees the same data in the same order. Test data
    are not looked at.

    Args:
        task: A `keras_actfn.training.Task` with validation data.
        seed: Seed of weights, of the order of arrays, of dropout and augmentation.
        judged: Whether anything is trained and judged. If not, no validation data are needed.

    Raises:
        ValueError: If the task can't be trained, or has no validation data.

    Example:
    ```python
    task = keras_actfn.training.Task(build_model, data, epochs=2, batch_size=16)
    objective = TrainingObjective(task)
    objective("relu(x)").value
    ```
    """

    def __init__(self, task: Task, seed: int = 0, judged: bool = True):
        if judged and task.data.validation is None:
            raise ValueError(
                "A search judges functions on validation data. Received: a task without any. Pass "
                "validation=… to the task."
            )
        self.task = task
        self.seed = seed
        self._trainer = Trainer(task.without_test(), seed)
        self.criterion = self._trainer.criterion()

    @property
    def measure(self) -> str:
        """What a value is, for people."""
        return f"validation {self.criterion.metric}"

    @property
    def recipe(self) -> Any:
        """The `Recipe` of an uncompiled model, None of a compiled one."""
        return getattr(getattr(self._trainer.routine, "setup", None), "recipe", None)

    def inputs(self, count: int, seed: int) -> Arrays:
        """Examples of the training data as the model sees them, of a balanced draw if arrays."""
        with all_seeds_from(seed):
            found = first_examples(self.task.data.train, count, seed)
        return dataclasses.replace(found, x=self._trainer.routine.as_the_model_sees(found.x))

    def __call__(self, activation: object, report: Callable | None = None) -> Evaluation:
        """Train with an activation; an `Evaluation`.

        Args:
            activation: What `build_model` takes.
            report: Function of an epoch's number, from 1, and the value after it, which is called
                after each epoch but the last. It may raise, which ends the training.
        """
        metric = self.criterion.metric

        def report_value(epoch, measured):
            if report is not None and epoch < self.task.epochs and metric in measured:
                report(epoch, measured[metric])

        run = self._trainer.train_once(
            activation,
            self.seed,
            after_epoch=report and report_value,
            validate_every_epoch=report is not None,
        )
        value = math.nan if run.diverged else run.value(metric, "validation")
        metrics = {name: v for name, v in (run.validation or {}).items() if math.isfinite(v)}
        details = {"seconds": round(run.seconds, 3), "metrics": metrics}
        return Evaluation(None if math.isnan(value) else value, details)

    def settings(self, model: keras.Model) -> dict:
        """What decides a value besides the model's structure, for JSON."""
        found = self._trainer.settings(model)
        sizes = ("train_examples", "validation_examples")
        elsewhere = ("keras_actfn", "keras", "backend", "dtype_policy", "test_examples", *sizes)
        how = {k: v for k, v in found.items() if k not in (*elsewhere, "epochs", "data")}
        return {
            "metric": self.criterion.metric,
            "mode": self.criterion.mode,
            "epochs": found["epochs"],
            "batch_size": found["batch_size"],
            **{name: found[name] for name in sizes},
            "training": key_of(how),
            "data": key_of(found["data"]),
        }


class FunctionObjective:
    """A user's function from an activation to the number that `mode` orders.

    Args:
        task: A `Task` with an objective: called with the text of an expression, and with `report`
            where there is a pruner. A number that is not finite says that the evaluation failed.
    """

    recipe = None

    def __init__(self, task: Task) -> None:
        self.task = task
        self.function: Any = task.objective
        self.criterion = Criterion(task.metric or task.data_name, str(task.mode))

    @property
    def measure(self) -> str:
        """What a value is, for people."""
        return self.task.metric or "the objective's value"

    def inputs(self, count: int, seed: int) -> Arrays:
        """Examples of the task's data, of a balanced draw if arrays."""
        with all_seeds_from(seed):
            return first_examples(self.task.data.train, count, seed)

    def __call__(self, activation: object, report: Callable | None = None) -> Evaluation:
        """Call the function; an `Evaluation`."""
        value = self.function(activation) if report is None else self.function(activation, report)
        try:
            value = float(np.asarray(value))
        except (TypeError, ValueError):
            raise ValueError(
                f"An objective returns one number. Received: {value!r} for '{activation}'."
            ) from None
        return Evaluation(value if math.isfinite(value) else None)

    def settings(self, model: keras.Model) -> dict:
        """What decides a value, for JSON: the function's name and code."""
        return {
            "objective": self.task.data_name,
            "mode": self.criterion.mode,
            "code": key_of({"function": described(self.function, depth=3)}),
        }


def objective_of(
    task: Task, seed: int, judged: bool = True
) -> "TrainingObjective | FunctionObjective":
    """What a search asks for the value of a function.

    Args:
        task: The task.
        seed: As in `TrainingObjective`.
        judged: As in `TrainingObjective`.
    """
    if task.objective is not None:
        return FunctionObjective(task)
    return TrainingObjective(task, seed, judged)
