"""Trainings of compiled models by `fit`, as they are compiled.

All seeds of an activation use one model and so one compiled training step, set back to the start of
each seed. A model whose class trains in its own way, or whose optimiser averages its weights, is
built anew for each run: it may hold what can't be set back.
"""

import math
import re
import weakref
from collections.abc import Callable
from typing import Any

import keras

from ..models import _keras
from ..models.seeds import (
    all_seeds_from,
    set_state,
    state_of,
)
from . import fingerprints
from .data import Arrays, Opened, Part, first_examples
from .fit_monitor import FitMonitor, numbers_of
from .network import Network, Reference, Routine, Starts, Training
from .run_callbacks import RunCallbacks, sees_steps
from .task import Task
from .threads import threads_for

#: Keras's batch size where nobody says.
BATCH_SIZE = 32


class ByFit(Routine):
    """How compiled models are trained.

    Args:
        task: A `Task`.
    """

    def __init__(self, task: Task):
        if task.recipe is not None:
            raise ValueError(
                "A compiled model is trained as it is compiled, an uncompiled one by a recipe. "
                f"Received: a compiled model and the recipe '{task.recipe.name}'. Leave out one."
            )
        self.task = task
        self._models: Any = weakref.WeakKeyDictionary()  # by the optimizer that they were given

    @property
    def steps(self) -> int | None:
        """Steps of a run that does not end early, where the data is arrays."""
        asked, train = self.task.fit.get("steps_per_epoch"), self.task.data.train
        if asked is not None:
            return self.task.epochs * asked
        if not isinstance(train, Arrays):
            return None
        return self.task.epochs * math.ceil(len(train) / (self.task.batch_size or BATCH_SIZE))

    def check(self, model: keras.Model) -> keras.Model:
        """Return a compiled model with an optimiser of its own."""
        if not getattr(model, "compiled", False):
            raise ValueError(
                "build_model compiles the models of all activations or of none. Received: "
                f"'{getattr(model, 'name', model)}', which is not compiled, beside compiled ones."
            )
        optimizer = model.optimizer
        if optimizer is None:
            return model
        if self._models.setdefault(optimizer, weakref.ref(model))() is not model:
            raise ValueError(
                "build_model makes a new model with a new optimizer at each call. Received: "
                f"'{model.name}', compiled with the optimizer of another model. Make the optimizer "
                "inside build_model."
            )
        return model

    def build(self, activation: Any) -> tuple[keras.Model, keras.Model]:
        """A new model with its weights, twice."""
        model = self.check(self.task.build_model(activation))
        if not model.built:
            x = first_examples(self.task.data.train, 2).x
            model(keras.tree.map_structure(keras.ops.convert_to_tensor, x))
        _keras.number_metrics_anew(model)
        return model, model

    def network(self, activation: Any) -> "FitNetwork":
        """What trains the models of an activation."""
        return FitNetwork(self, activation)

    def settings(self, model: keras.Model) -> dict:
        """What decides how a model is trained, for JSON."""
        task = self.task
        return {
            "batch_size": task.batch_size or BATCH_SIZE,
            "compiled": fingerprints.described(_keras.compile_arguments(model)),
            "own_code": [fingerprints.described(kind) for kind in _keras.own_classes(model)],
            "callbacks": fingerprints.described(task.callbacks and task.callbacks()),
            "fit": fingerprints.described(task.fit),
        }

    def as_the_model_sees(self, inputs: Any) -> Any:
        """The same: nothing is put in front of a compiled model."""
        return inputs


class FitNetwork(Network):
    """One activation's compiled model, set back for every seed.

    Args:
        routine: A `ByFit`.
        activation: What the builder takes.
    """

    def __init__(self, routine: ByFit, activation: Any):
        self._routine = routine
        self._task = routine.task
        self._activation = activation
        self._starts = Starts(routine, activation)
        self._optimizer_start: Any = None
        self._flags: list[bool] = []
        self._changed = False
        self._seed = 0
        self._names: list[str] = []

    def start_from(self, seed: int, reference: Reference) -> None:
        """Set weights, random states and optimiser to the start of `seed`."""
        kept = self._can_be_set_back()
        start, built = self._starts.of(seed, reference, kept)
        if kept:
            set_state(self.model.optimizer, self._optimizer_start)
        else:
            model, _ = built
            self.model, self._seed = model, seed
            self._flags = [variable.trainable for variable in model.variables]
            if not isinstance(self._task.data.train, Arrays):
                # Keras looks at a first batch before it trains a model that has seen none, and a
                # dataset that shuffles anew for each reader is in another order after it.
                self._look()
            if _is_plain(model):
                model.optimizer.build(model.trainable_variables)
                self._optimizer_start = state_of(model.optimizer)
        set_state(self.model, start)
        self._seed = seed

    def _can_be_set_back(self):
        """Whether there is a model whose every state is in its variables and its optimiser's."""
        if self._optimizer_start is None or self._changed:
            return False
        return [variable.trainable for variable in self.model.variables] == self._flags

    def train(
        self,
        seed: int,
        *,
        on_step: Callable | None = None,
        after_epoch: Callable | None = None,
        validate_every_epoch: bool = True,
    ) -> Training:
        """Train by one `fit`; see `Trainer.train_once`."""
        task = self._task
        callbacks = self._callbacks()
        # A callback of the user's may change what is in no variable: the rate of a Dropout.
        self._changed = any(
            fingerprints.is_own(type(each)) or isinstance(each, keras.callbacks.LambdaCallback)
            for each in callbacks
        )
        with all_seeds_from(seed), self._threads():
            train = task.data.train.open()
            arguments = train.arguments()
            if task.data.validation is not None and (validate_every_epoch or callbacks):
                held_out = task.data.validation.open()
                arguments["validation_data"] = (
                    _trimmed(held_out) if isinstance(held_out, Arrays) else held_out.batches_of
                )
            monitor = FitMonitor(
                seed,
                train.batches_of if isinstance(train, Opened) else None,
                task.fit.get("steps_per_epoch"),
                on_step,
                after_epoch and self._renamed_for(after_epoch),
            )
            options = dict(task.fit)
            if isinstance(train, Opened) and not isinstance(
                train.batches_of, keras.utils.PyDataset
            ):
                options.setdefault("shuffle", False)  # what Keras does, without its warning
            self.model.fit(
                **arguments,
                batch_size=task.batch_size,
                epochs=task.epochs,
                verbose=0,
                callbacks=self._listed(monitor, callbacks),
                **options,
            )
        curves = monitor.curves()
        validation = None
        diverged = monitor.diverged
        if task.data.validation is not None:
            last = monitor.epochs[-1][1] if monitor.epochs else {}
            known = {self._renamed(n[4:]): v for n, v in last.items() if n.startswith("val_")}
            if known and not callbacks and not diverged and self._optimizer_start is not None:
                validation = known  # the weights are those that were measured
            else:
                validation = self.measured(task.data.validation, diverged)
            diverged = diverged or not math.isfinite(validation.get("loss", 0.0))
        arrays = {self._renamed(name): values for name, values in curves.items()}
        return Training(monitor.steps, monitor.step_seconds(), diverged, arrays, validation)

    def _listed(self, monitor, callbacks):
        """What `fit` takes as callbacks: no step waits unless somebody reads its numbers."""
        steps, epochs = self._routine.steps, self._task.epochs
        if _keras.decides_training(self.model) or any(map(sees_steps, callbacks)):
            return [monitor, *callbacks]
        if steps is None and callbacks:
            return [monitor, *callbacks]  # they are told the number of steps, which Keras knows
        told = {"verbose": 0, "epochs": epochs, "steps": steps and steps // epochs}
        return RunCallbacks(monitor, callbacks, self.model, **told)

    def _callbacks(self):
        """New callbacks of the user's."""
        if self._task.callbacks is None:
            return []
        made = self._task.callbacks()
        made = [made] if isinstance(made, keras.callbacks.Callback) else made
        if not isinstance(made, list | tuple) or not all(
            isinstance(callback, keras.callbacks.Callback) for callback in made
        ):
            raise ValueError(
                "callbacks is a function that returns a list of Keras callbacks. Received: "
                f"{made!r}."
            )
        return list(made)

    def _threads(self):
        return threads_for(self.model, self._task.batch_size or BATCH_SIZE)

    def measure(self, part: Part) -> dict[str, float]:
        """What `evaluate` reports on a part of the data."""
        with all_seeds_from(self._seed):
            return self._evaluate(part.open(), self._task.fit.get("validation_steps"))

    def _evaluate(self, opened, steps=None):
        batch_size = self._task.fit.get("validation_batch_size") or self._task.batch_size
        with self._threads():
            found = self.model.evaluate(
                **opened.arguments(),
                batch_size=batch_size,
                steps=steps,
                verbose=0,
                return_dict=True,
            )
        return {self._renamed(name): value for name, value in numbers_of(found).items()}

    def reported(self, seed: int, reference: Reference) -> list[str]:
        """The names that `evaluate` reports, from a first batch of the training data.

        Arrays of the other parts are looked at as well, so that what does not fit the model is
        seen before any training.
        """
        self.start_from(seed, reference)
        return self._look()

    def _look(self):
        for name, part in reversed(self._task.data.parts().items()):
            if name != "train" and not isinstance(part, Arrays):
                continue
            with all_seeds_from(self._seed):
                opened = part.open()
                if isinstance(opened, Arrays):
                    opened = opened.take(slice(0, self._task.batch_size or BATCH_SIZE))
                self._names = list(self._evaluate(opened, steps=1))
        return self._names

    def failed(self) -> dict[str, float]:
        """An infinite loss, and NaN for everything else that is reported."""
        names = self._names or self._look()
        return {name: math.inf if name == "loss" else math.nan for name in names}

    def default_metric(self) -> str:
        """The first metric given to `compile`, else the loss."""
        own = getattr(self.model, "output_names", None) or ()
        outputs = [self._outputs().get(name, name) for name in own]
        for metric in _keras.reported_metrics(self.model, compiled=True):
            for name in (metric.name, *(f"{output}_{metric.name}" for output in outputs)):
                if name in self._names:
                    return name
            if not numbers_of({metric.name: metric.result()}):
                raise ValueError(
                    "Runs are ordered by a metric of one number, the first one given to compile "
                    f"if none is named. Received: '{metric.name}', which gives several. Pass "
                    f"metric=… to the task, one of {', '.join(sorted(self._names))}, or let it "
                    "average."
                )
        return "loss" if "loss" in self._names else self._names[0]

    def direction(self, metric: str) -> str | None:
        """The direction of a metric by Keras's own rule."""
        for name in (
            metric,
            *(f"{own}{metric[len(new) :]}" for own, new in self._outputs().items()),
        ):
            found = _keras.metric_direction(self.model, name)
            if found is not None:
                return found
        return None

    def _outputs(self):
        """Names of several outputs that Keras has numbered, and the same without the number."""
        names = list(getattr(self.model, "output_names", None) or ())
        counts: dict[str, int] = {}
        found = {}
        for name in names if len(names) > 1 else ():
            stem = re.sub(r"_\d+$", "", name)
            if _keras.to_snake_case(type(self.model.get_layer(name)).__name__) != stem:
                continue  # a name of the user's
            count = counts.get(stem, 0)
            found[name] = f"{stem}_{count}" if count else stem
            counts[stem] = count + 1
        return found

    def _renamed(self, name):
        """A reported name with the outputs' names that are the same for every model."""
        for prefix in ("validation_", ""):
            if name.startswith(prefix):
                rest = name[len(prefix) :]
                for own, new in self._outputs().items():
                    if rest.startswith(f"{own}_"):
                        return f"{prefix}{new}{rest[len(own) :]}"
                return name
        return name

    def _renamed_for(self, after_epoch):
        return lambda epoch, found: after_epoch(
            epoch, {self._renamed(name): value for name, value in found.items()}
        )


def _is_plain(model):
    """Whether all that a training changes is in variables of the model and of its optimiser."""
    optimizer = model.optimizer
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if optimizer is None or getattr(inner, "use_ema", False):
        return False
    return not _keras.decides_training(model)


def _trimmed(part):
    """(x, y, sample_weight) without what is missing at the end."""
    x, y, weight = part.as_tuple()
    if weight is not None:
        return x, y, weight
    return (x,) if y is None else (x, y)
