"""One layer copied through its configuration, without loss of what it shares or refers to.

Keras's configurations name functions and describe layers. A function of the user's has no name
that leads back to it, and a layer that two others hold would become two. As the old model is
in memory, the copy gets the same functions and the copies of the same layers.
"""

import contextlib
import copy
import functools
import inspect
import types
import warnings
from collections.abc import Mapping
from typing import Any

import keras

from .._keras_activations import keras_activation
from ..expressions import Expression, NamedFunction
from ..models import _keras, graph


def copy_operation(old: keras.Operation, known: Mapping[int, object], **changes: Any) -> tuple:
    """Copy a layer or operation.

    Args:
        old: The layer or operation.
        known: Copies of layers by the `id` of the old ones. Where `old` holds one of those,
            its copy holds the copy.
        **changes: Arguments of the constructor that are others in the copy; None as an
            `activity_regularizer` leaves it out.

    Returns:
        The new operation, and a dictionary from the `id` of each layer that `old` holds to
        the copy of it that the new one holds.

    Raises:
        ValueError: If it can't be copied, by name and with the reason.
    """
    try:
        new, made = _copy(old, known, changes)
        lost = _lost(old, new, changes)
        if lost:  # by a get_config that leaves them out
            new, made = _copy(old, known, {**changes, **lost})
            lost = _lost(old, new, changes)
        if lost:
            raise ValueError(f"its configuration does not keep {', '.join(lost)}.")
    except Exception as error:
        own = not type(old).__module__.startswith("keras.")
        reason = str(error).rstrip(". \n")
        advice = "Define get_config in that class." if own else "Give it what can be copied."
        raise ValueError(
            f"Layers are copied one by one through get_config and from_config, and "
            f"'{old.name}' of class {type(old).__name__} does not allow it: {reason}. {advice}"
        ) from error
    new.name = old.name
    return new, made


def _copy(old, known, changes):
    arguments = _arguments_in_memory(old)
    if arguments is not None:
        common = {"name": old.name, "trainable": old.trainable, "dtype": old.dtype_policy}
        return type(old)(**{**arguments, **common, **changes}), {}
    held = graph.nested(old)[1:] if isinstance(old, keras.layers.Layer) else []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*includes a `lambda`")
        with _keras.serializing() as configs:
            config = _config(old)
    custom: dict[str, Any] = {}
    for part in held:
        if id(part) in configs:
            configs[id(part)]["shared_object_id"] = id(part)
            if not type(part).__module__.startswith("keras."):
                configs[id(part)]["registered_name"] = _key(custom, type(part))
    made = {id(part): known[id(part)] for part in held if id(part) in known}
    for part in held:
        if id(part) not in made and _arguments_in_memory(part) is not None:
            made[id(part)] = copy_operation(part, known)[0]
    for owner in (old, *held):
        values = config if owner is old else configs.get(id(owner), {}).get("config")
        if isinstance(values, dict):
            _hand_over(owner, values, configs, custom, made)
    config.update(changes)
    for name, value in changes.items():
        if name == "activity_regularizer" and value is None:
            del config[name]
    with keras.saving.custom_object_scope(custom), _keras.deserializing(made) as objects:
        new = type(old).from_config(config)
    if isinstance(old, keras.layers.Layer):
        made.update({id(part): objects[id(part)] for part in held if id(part) in objects})
        _hold_the_same(old, new, known)
        present = {id(part) for part in graph.nested(new)}
        made = {number: part for number, part in made.items() if id(part) in present}
    return new, made


def _arguments_in_memory(layer):
    """The own arguments of a layer whose configuration Keras reads from files that are trusted."""
    if type(layer) is keras.layers.Lambda:
        return _keras.lambda_arguments(layer)
    if type(layer) is keras.layers.TorchModuleWrapper:
        return {"module": copy.deepcopy(layer.module), "output_shape": layer.output_shape}
    return None


def _lost(old, new, changes):
    """Plain arguments of the constructor whose attributes differ between a layer and its copy."""
    return {
        name: vars(old)[name]
        for name in _parameters(old)
        if name in vars(old)
        and name in vars(new)
        and name not in changes
        and isinstance(vars(old)[name], (bool, int, float, str, type(None)))
        and vars(old)[name] != vars(new)[name]
        and name != "name"
    }


def _parameters(layer):
    """Names of the constructor's arguments."""
    parameters = inspect.signature(type(layer).__init__).parameters.values()
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [p.name for p in parameters if p.kind not in variable][1:]


def _config(old):
    """The configuration, also where Keras can't describe an argument or get_config fails."""
    try:
        return dict(old.get_config())
    except Exception:
        own = _own_functions(old)
        if own:
            twin = object.__new__(type(old))  # a view of the old layer, which stays as it is
            vars(twin).update({**vars(old), **dict.fromkeys(own, keras.activations.linear)})
            with contextlib.suppress(Exception):
                return dict(twin.get_config())
        parameters = _parameters(old)
        named = {name: getattr(old, name) for name in parameters if name in vars(old)}
        common = {"name": old.name, "trainable": old.trainable, "dtype": old.dtype_policy}
        if set(parameters) - set(named) - set(common):
            raise  # not all arguments are attributes of the same name
        parameters = inspect.signature(type(old).__init__).parameters.values()
        takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
        return {**(common if takes_all else {}), **named}


def _hand_over(owner, values, configs, custom, made):
    """Put functions of the user's, and layers given as activations, into a configuration."""
    reads = _keras.has_own_from_config(type(owner))
    for function in _own_functions(owner).values():  # that from_config may have to find
        if id(function) in configs:
            configs[id(function)].update(_reference(custom, function))
    for name in values:
        value = getattr(owner, name, None)
        if _is_own_function(value):
            values[name] = _reference(custom, value) if reads else value
        elif name == "activation" and isinstance(value, keras.layers.Layer) and not reads:
            if id(value) not in made:
                made[id(value)], inner = copy_operation(value, made)
                made.update(inner)
            values[name] = made[id(value)]


def _own_functions(layer):
    """Functions of the user's that hang on a layer, by attribute; Keras wraps methods as such."""
    return {
        name: value
        for name, value in vars(layer).items()
        if _is_own_function(value) and not hasattr(type(layer), name)
    }


def _is_own_function(value):
    """Whether a value is a function that a configuration may not lead back to."""
    if isinstance(value, (type, types.MethodType, keras.layers.Layer, Expression)):
        return False
    if isinstance(value, NamedFunction):
        return True
    plain = isinstance(value, (types.FunctionType, types.BuiltinFunctionType, functools.partial))
    if not plain and (not callable(value) or hasattr(value, "get_config")):
        return False
    row = keras_activation(value)
    return row is None or row.function is not value


def _reference(custom, function):
    """The configuration of a function, for a scope with `custom`."""
    key = _key(custom, function)
    return {"class_name": "function", "config": key, "registered_name": key, "module": None}


def _key(custom, value):
    name = f"{getattr(value, '__name__', 'function')}#{id(value)}"
    custom[name] = value
    return name


def _hold_the_same(old, new, known):
    """Let `new` hold the copy of a layer that was set on `old` from outside."""
    for name, value in _keras.held_attributes(old).items():
        if isinstance(value, keras.layers.Layer) and id(value) in known:
            present = getattr(new, name, None)
            if present is None or isinstance(present, keras.layers.Layer):
                _keras.replace_held(new, name, known[id(value)])
