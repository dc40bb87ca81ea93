"""`Task`: a model family, its data, and how it is trained and judged."""

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras

from ..datasets import Dataset
from . import recipes
from .criterion import check_mode
from .data import TaskData, check_positive, part_of

#: Arguments of `fit` that a task has by another name.
_OWN_NAMES = {
    "x": "train",
    "y": "train",
    "sample_weight": "train=(x, y, sample_weight)",
    "batch_size": "batch_size",
    "epochs": "epochs",
    "initial_epoch": "epochs",
    "callbacks": "callbacks",
    "validation_data": "validation",
    "validation_split": "validation",
    "verbose": "progress of compare or of the search",
}


class Task:
    """What a comparison or a search trains: one model family on one set of data.

    A compiled model is trained by `fit` as it is compiled, an uncompiled classifier by a recipe
    (see `Recipe`). All runs of a seed start from the same weights; see `compare`.

    Args:
        build_model: Function of an activation that returns a new model. It changes nothing but the
            activation and accepts `"relu"`.
        train: What `fit` takes: `(x, y)` or `(x, y, sample_weight)` of arrays or nested dicts,
            lists and tuples of them, `x` alone, a `tf.data.Dataset`, a `keras.utils.PyDataset`, a
            torch `DataLoader`; or a function that returns one of these or a generator, called for
            each run with the run's seeds set. Or a `keras_actfn.datasets.Dataset`, whose other
            parts are then `test`, and `validation` where it has such a part.
        validation: The same; or how many examples of `train` to hold out, or which share of them,
            where it is arrays, of each class the same share; 0 for none. None: the `Dataset`'s own
            part where it has one; else a tenth of arrays; else none.
        test: The same as `train`; None for none.
        metric: What runs are ordered by, a name that `evaluate` reports. None: the first metric
            that the model is compiled with, else the loss; the accuracy for a recipe. With an
            objective, what people read.
        mode: `"min"` or `"max"`: whether less or more of it is better. None: what the metric says,
            as for `EarlyStopping`. An objective needs one.
        epochs: Epochs of training, at least 1.
        batch_size: Examples per step, where the data is arrays. None: Keras's 32; 128 for a recipe.
        recipe: How an uncompiled model is trained: a name of `RECIPES` or a `Recipe`; None for
            `"adam"`. An error with a compiled one.
        subset: Train on this many examples of `train`, where it is arrays, of each class the same
            share, after the validation part was held out. None for all.
        callbacks: Function that returns a list of new callbacks for a run, for a compiled model.
        fit: Further arguments of `fit`, for a compiled model: `class_weight`, `shuffle`,
            `steps_per_epoch`, `validation_steps` (for the test part too),
            `validation_batch_size`, `validation_freq`.
        objective: Instead of `fit`: a function from an activation to the number that `mode` orders;
            of `report`, a function of a step and the value after it, as well, where a search has a
            pruner. `train` is then what spectra are computed on.

    Raises:
        ValueError: If an argument is not what it should be.

    Example:
    ```python
    def build(activation):
        model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
        model.add(keras.layers.Dense(8))
        model.add(keras_actfn.activation(activation))
        model.add(keras.layers.Dense(10, activation="softmax"))
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    task = Task(build, (x, y), validation=0.25, epochs=2)
    print(keras_actfn.training.compare(task, ["relu", "tanh"], seeds=1))
    ```
    """

    def __init__(
        self,
        build_model: Callable[..., keras.Model],
        train: Any = None,
        validation: Any = None,
        test: Any = None,
        *,
        metric: str | None = None,
        mode: str | None = None,
        epochs: int = 1,
        batch_size: int | None = None,
        recipe: Any = None,
        subset: int | None = None,
        callbacks: Callable[[], list] | None = None,
        fit: dict[str, Any] | None = None,
        objective: Callable | None = None,
    ):
        _check_function("build_model", build_model, "a function of an activation")
        check_positive("epochs", epochs)
        if batch_size is not None:
            check_positive("batch_size", batch_size)
        if metric is not None and not isinstance(metric, str):
            raise ValueError(f"metric is a name that evaluate() reports. Received: {metric!r}.")
        if objective is not None:
            _check_objective(
                objective,
                mode,
                epochs=epochs == 1,
                batch_size=batch_size is None,
                recipe=recipe is None,
                subset=subset is None,
                validation=validation is None,
                test=test is None,
                callbacks=callbacks is None,
                fit=fit is None,
            )
        elif train is None:
            raise ValueError("A task has train data or an objective. Received: neither.")
        if callbacks is not None:
            _check_function(
                "callbacks",
                callbacks,
                "a function that returns new callbacks, since a callback keeps what it saw",
                "Write callbacks=lambda: [...].",
            )
        self.build_model = build_model
        self.metric = metric
        self.mode = check_mode(mode)
        self.epochs = epochs
        self.batch_size = batch_size
        self.recipe = None if recipe is None else recipes.get(recipe)
        self.callbacks = callbacks
        self.fit = _checked_fit(fit)
        self.objective = objective
        #: Name of the data or of the objective, for people.
        self.data_name = _data_name(train, objective)
        self._data = None
        if objective is None:
            self._data = TaskData.of(train, validation, test, subset)
        elif train is not None:
            self._data = TaskData(part_of("train", _without_test(train)), None, None)

    @property
    def data(self) -> TaskData:
        """The parts of the data.

        Raises:
            ValueError: If there is an objective without `train`.
        """
        if self._data is None:
            raise ValueError(
                "Spectra are computed on inputs, and this task has an objective alone. Pass inputs "
                "as train=x beside it. Received: train=None."
            )
        return self._data

    def without_test(self) -> "Task":
        """The same without the test part, for a choice that must not look at it."""
        return self._with_data(test=None)

    def judged_by(self, metric: str | None = None, mode: str | None = None) -> "Task":
        """The same with another metric or mode; None keeps the task's own.

        Another metric without a mode has its own direction.
        """
        other = copy.copy(self)
        if metric is not None:
            other.metric, other.mode = metric, None if self.objective is None else self.mode
        if mode is not None:
            other.mode = check_mode(mode)
        return other

    def with_builder(self, build_model: Callable[..., keras.Model]) -> "Task":
        """The same with another model family."""
        other = copy.copy(self)
        other.build_model = build_model
        return other

    def _with_data(self, **parts):
        other = copy.copy(self)
        if self._data is not None:
            other._data = TaskData(**{**vars(self._data), **parts})
        return other


def _data_name(train, objective):
    if objective is not None:
        return getattr(objective, "__name__", type(objective).__name__)
    if isinstance(train, Dataset):
        return train.name
    name = getattr(train, "__name__", "data")
    return name if name.isidentifier() else "data"


def _without_test(train):
    return (train.x_train, train.y_train) if isinstance(train, Dataset) else train


def _check_function(name, value, what, fix=""):
    if not callable(value):
        raise ValueError(f"{name} is {what}. Received: {value!r}. {fix}".rstrip())


def _check_objective(objective, mode, **left_out):
    _check_function("objective", objective, "a function of an activation")
    if mode is None:
        raise ValueError(
            "An objective's numbers are ordered by mode. Received: mode=None. Pass mode='min' if "
            "less is better, mode='max' if more is."
        )
    given = [name for name, is_default in left_out.items() if not is_default]
    if given:
        raise ValueError(
            f"{', '.join(given)} set how data is trained on. An objective trains by itself: leave "
            "them out. Received: both."
        )


@functools.cache
def _fit_arguments():
    names = inspect.signature(keras.Model.fit).parameters
    return tuple(name for name in names if name != "self" and name not in _OWN_NAMES)


def _checked_fit(fit):
    if fit is None:
        return {}
    if not isinstance(fit, dict):
        raise ValueError(f"fit is a dict of arguments of Model.fit. Received: {fit!r}.")
    for name in fit:
        if name in _OWN_NAMES:
            raise ValueError(
                f"fit has what a task has no name for: {', '.join(_fit_arguments())}. Received: "
                f"'{name}'. Use {_OWN_NAMES[name]} instead."
            )
        if name not in _fit_arguments():
            raise ValueError(
                f"fit has arguments of Model.fit: {', '.join(_fit_arguments())}. Received: "
                f"'{name}'."
            )
    return dict(fit)
