"""Keras's private names, each behind a function that says what it does.

With `graph`, this is the only place that may use what Keras does not promise to keep. The test
of each function states what it relies on.
"""

import contextlib
import dis
import inspect
import random
import re
import threading
import types
from collections.abc import Iterable, Iterator
from typing import Any

import keras
from keras.src.backend import compute_output_spec, get_keras_mask
from keras.src.backend.common import global_state
from keras.src.models.functional import Functional, functional_like_constructor
from keras.src.random import seed_generator
from keras.src.saving import serialization_lib
from keras.src.trainers.compile_utils import CompileMetrics, MetricsList
from keras.src.trainers.trainer import Trainer
from keras.src.utils.naming import to_snake_case

__all__ = [
    "Functional",
    "build_late",
    "compile_arguments",
    "copy_exclusions",
    "decides_training",
    "default_seeds_from",
    "deserializing",
    "has_own_from_config",
    "held_attributes",
    "lambda_arguments",
    "loss_arguments",
    "mask_of",
    "metric_direction",
    "number_metrics_anew",
    "own_attributes",
    "own_classes",
    "replace_held",
    "reported_metrics",
    "serializing",
    "stored_by",
    "takes_the_arguments_of",
    "to_snake_case",
]

#: What decides how a model is trained, evaluated, compiled or asked for predictions.
_TRAINING = {name for name in vars(Trainer) if not name.startswith("_")} | {
    "train_step",
    "test_step",
    "predict_step",
    "fit",
    "evaluate",
    "predict",
    "losses",
    "add_loss",
    "metrics",
}

#: Set on a model by others than its own classes.
_SET_FROM_OUTSIDE = {"history"}


@contextlib.contextmanager
def serializing() -> Iterator[dict[int, dict]]:
    """Inside, Keras notes the configuration of each object that it serializes.

    Yields:
        The very dictionary that stands for an object in what was serialized, by its `id`.
    """
    with serialization_lib.ObjectSharingScope():
        yield global_state.get_global_attribute("shared_objects/id_to_config_map")


@contextlib.contextmanager
def deserializing(known: dict[int, object]) -> Iterator[dict[int, object]]:
    """Inside, configurations with a `"shared_object_id"` give one object for each number.

    Args:
        known: The objects of some numbers.

    Yields:
        The objects of all numbers so far.
    """
    with serialization_lib.ObjectSharingScope():
        objects = global_state.get_global_attribute("shared_objects/id_to_obj_map")
        objects.update(known)
        # Layers that clone others in their constructor, as Bidirectional does, share nothing.
        global_state.set_global_attribute("shared_objects/id_to_config_map", None)
        yield objects


class _DefaultSeeds(threading.local):
    """What Keras draws its default seeds from: a thread's own generator, or what it was before."""

    own: Any = None
    before: Any = random

    def randint(self, low, high):
        return (self.own or type(self).before).randint(low, high)


_default_seeds = _DefaultSeeds()
_scopes = 0
_scopes_lock = threading.Lock()


@contextlib.contextmanager
def default_seeds_from(generator: random.Random) -> Iterator[None]:
    """Inside, and in this thread, Keras draws the seeds that it is not given from a generator.

    Keras draws them from the module `random`, which all threads share. The module is put back
    when no thread is inside any more.
    """
    global _scopes
    with _scopes_lock:
        if not _scopes:
            _DefaultSeeds.before = seed_generator.python_random
            seed_generator.python_random = _default_seeds
        _scopes += 1
    outer, _default_seeds.own = _default_seeds.own, generator
    try:
        yield
    finally:
        _default_seeds.own = outer
        with _scopes_lock:
            _scopes -= 1
            if not _scopes:
                seed_generator.python_random = _DefaultSeeds.before


def lambda_arguments(layer: keras.layers.Lambda) -> dict[str, object]:
    """The constructor's arguments of a Lambda layer that are not those of every layer."""
    return {
        "function": layer.function,
        "output_shape": layer._output_shape,
        "mask": layer.mask,
        "arguments": layer.arguments,
    }


def has_own_from_config(kind: type) -> bool:
    """Whether a layer's class reads its configuration itself instead of handing it over."""
    defining = next(each for each in kind.__mro__ if "from_config" in vars(each))
    return defining not in (keras.Operation, keras.layers.Layer)


def own_classes(model: keras.Model) -> list[type]:
    """The classes of a model that are not Keras's or its backend's, the most derived first."""
    found = []
    for kind in type(model).__mro__:
        if kind is keras.Model or kind.__module__.startswith("keras."):
            break
        found.append(kind)
    return found


def takes_the_arguments_of(kind: type, base: type) -> bool:
    """Whether a class of models has the constructor of Sequential or of functional models."""
    if base is keras.Sequential:
        return kind.__init__ is base.__init__  # type: ignore[misc]
    return functional_like_constructor(kind)


def decides_training(model: keras.Model) -> list[str]:
    """Names in a model's own classes that change how it is trained, evaluated or compiled."""
    return sorted({name for kind in own_classes(model) for name in vars(kind)} & _TRAINING)


def own_attributes(model: keras.Model, fresh: keras.Model) -> dict[str, object]:
    """Attributes that neither Keras nor the backend set on a model.

    Args:
        model: The model.
        fresh: A model of the same class that only Keras's constructor has seen.
    """
    own = own_classes(model)
    stored = stored_by(own)
    by_keras = stored_by([kind for kind in type(model).__mro__ if kind not in own])
    by_keras |= _SET_FROM_OUTSIDE | set(held_attributes(fresh))
    return {
        name: value
        for name, value in held_attributes(model).items()
        if name not in by_keras and (name in stored or not name.startswith("_"))
    }


def held_attributes(layer: keras.layers.Layer) -> dict[str, object]:
    """Everything that hangs on a layer by a name; PyTorch keeps layers apart from the rest."""
    modules = vars(layer).get("_modules") or {}
    return {**vars(layer), **modules}


def replace_held(holder: keras.layers.Layer, name: str, new: keras.layers.Layer) -> None:
    """Let a layer hold another layer under a name, and the one that it held no more."""
    old = getattr(holder, name, None)
    if old is not new:
        holder._tracker.untrack(old)
        setattr(holder, name, new)


def build_late(model: keras.Model) -> None:
    """Run the code of a model's layers once on symbols, without computing anything.

    A layer that knows the shape of its outputs does not run its code while a model is built, so
    that an activation inside it may have no weights yet. Here it does run. Code that can't be
    traced for sizes that are unknown is traced for a size of 8.
    """
    inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    try:
        compute_output_spec(model.call, inputs)
    except Exception:  # of any kind: the code is the user's, and the backend's tracing
        sized = keras.tree.map_structure(
            lambda x: keras.KerasTensor([8 if n is None else n for n in x.shape], dtype=x.dtype),
            inputs,
        )
        compute_output_spec(model.call, sized)


def compile_arguments(model: keras.Model) -> dict[str, object]:
    """The arguments that a model was compiled with, as they were given."""
    return dict(model._compile_config.config)


def copy_exclusions(
    old: keras.optimizers.Optimizer, new: keras.optimizers.Optimizer, variables: Iterable[tuple]
) -> None:
    """Exclude from a new optimizer's weight decay what an old one excludes from its own.

    `get_config` leaves it out.

    Args:
        old: The old optimizer.
        new: A new one of the same configuration, not built.
        variables: Pairs of a variable of the old one and that of the new one in its place.
    """
    variables = list(variables)
    inner = getattr(old, "inner_optimizer", None)
    if inner is not None:
        copy_exclusions(inner, new.inner_optimizer, variables)
    keys = getattr(old, "_exclude_from_weight_decay", None) or ()
    pattern = getattr(old, "_exclude_from_weight_decay_pattern", None)
    if keys or pattern is not None:
        new.exclude_from_weight_decay(
            [other for one, other in variables if old._var_key(one) in keys],
            None if pattern is None else [pattern.pattern],
        )


def loss_arguments(loss: keras.losses.Loss) -> dict[str, object]:
    """The arguments with which a loss object calls its function.

    `get_config` leaves some out: the axis of `SparseCategoricalCrossentropy`, for one.
    """
    return dict(getattr(loss, "_fn_kwargs", None) or {})


def number_metrics_anew(model: keras.Model) -> None:
    """Give metrics without a name of their own the same names in every model.

    Keras counts such names up for the whole process: the `AUC()` of a second model is `"auc_1"`.
    Here the first one of a model is `"auc"`, the second `"auc_1"`.
    """
    config = model._compile_config.config
    given = [config.get("metrics"), config.get("weighted_metrics"), *model.metrics]
    counts: dict[str, int] = {}
    for metric in dict.fromkeys(keras.tree.flatten(given)):
        if not isinstance(metric, keras.Metric):
            continue
        stem = to_snake_case(type(metric).__name__)
        if metric.name == stem or re.fullmatch(rf"{stem}_\d+", metric.name):
            count = counts.get(stem, 0)
            metric.name = f"{stem}_{count}" if count else stem
            counts[stem] = count + 1


def reported_metrics(model: keras.Model, compiled: bool = False) -> list[keras.Metric]:
    """The metrics of a model, in order, without the lists that Keras keeps them in.

    Those given to `compile` are there from the first step on.

    Args:
        model: A compiled model.
        compiled: Whether only metrics given to `compile` are wanted.
    """
    found: list[keras.Metric] = []
    for metric in model.metrics:
        if isinstance(metric, CompileMetrics | MetricsList):
            found.extend(metric.metrics)
        elif not compiled:
            found.append(metric)
    return found


def metric_direction(model: keras.Model, name: str) -> str | None:
    """`"min"` or `"max"`, as `EarlyStopping` finds it by `mode="auto"`; None if it does not.

    Args:
        model: A model that was trained or evaluated.
        name: What `evaluate` reports.
    """
    if name == "loss":
        return "min"
    outputs = [f"{output}_" for output in getattr(model, "output_names", None) or ()]
    names = {name, *(name.removeprefix(output) for output in outputs)}
    for metric in reported_metrics(model):
        if metric.name in names and hasattr(metric, "_direction"):
            return "max" if metric._direction == "up" else "min"
    return "min" if any(name == f"{output}loss" for output in outputs) else None


def mask_of(tensor: object) -> object:
    """The mask that Keras attached to a tensor, or `None`."""
    return get_keras_mask(tensor)


@contextlib.contextmanager
def without_rematerialization(model: keras.Model) -> Iterator[None]:
    """Within this context, layers that were made in a `keras.RematScope` are called as others."""
    scoped = [layer for layer in model._flatten_layers() if layer._remat_mode is not None]
    modes = [layer._remat_mode for layer in scoped]
    try:
        for layer in scoped:
            object.__setattr__(layer, "_remat_mode", None)
        yield
    finally:
        for layer, mode in zip(scoped, modes, strict=True):
            object.__setattr__(layer, "_remat_mode", mode)


def copy_rematerialization(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """Call a layer as another one that may have been made in a `keras.RematScope`."""
    object.__setattr__(new, "_remat_mode", old._remat_mode)


def stored_by(classes: Iterable[type]) -> set[str]:
    """Names of attributes that methods of some classes set."""
    names: set[str] = set()
    for kind in classes:
        for value in vars(kind).values():
            parts = (value.fget, value.fset) if isinstance(value, property) else (value,)
            for part in parts:
                function: Any = getattr(part, "__func__", part)
                part = inspect.unwrap(function)
                if isinstance(part, types.FunctionType):
                    names |= _stored_by(part.__code__)
    return names


def _stored_by(code):
    names = {i.argval for i in dis.get_instructions(code) if i.opname == "STORE_ATTR"}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _stored_by(constant)
    return names
