"""Keys of runs: two runs share a key only if nothing that decides their result differs."""

import dis
import functools
import hashlib
import inspect
import json
import math
import re
import types
from typing import Any

import keras
import numpy as np

from ..expressions import Expression
from ..models import _keras, graph

#: The entries of a configuration in which Keras refers to layers by name.
_NAMING = ("name", "keras_history", "input_layers", "output_layers")
#: Packages whose code has a version, not a user's.
_LIBRARIES = {
    *("abc", "builtins", "collections", "functools", "typing"),
    *("jax", "jaxlib", "keras", "keras_actfn", "numpy", "scipy", "tensorflow", "torch"),
}
#: What a function may keep notes in.
_NOTES = (int, float, str, list, set, dict)
#: Methods that change a list, a set or a dictionary.
_CHANGES = {
    *("add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove"),
    *("reverse", "setdefault", "sort", "update"),
}
#: Names of attributes in which callbacks keep where they write to.
_PLACE = re.compile(r"(^|_)(file|log)?(path|dir|directory|file|filename|folder)s?$")


def key_of(settings: dict) -> str:
    """A short hexadecimal key of JSON-able settings, whatever the order of their entries."""
    text = json.dumps(settings, sort_keys=True, default=_by_type)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def data_fingerprint(*arrays: np.ndarray) -> str:
    """SHA-256 of the arrays' shapes, dtypes and bytes, hexadecimal."""
    digest = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        digest.update(f"{array.shape} {array.dtype.str};".encode())
        digest.update(array.data)
    return digest.hexdigest()


def part_fingerprint(part: Any) -> Any:
    """What is known of a part of a task's data, for JSON.

    Arrays by all their values. Of anything else only what can be known without reading it: a
    function by its name, code and what it closes over, a `PyDataset` or a loader's dataset by its
    class and attributes, a `tf.data.Dataset` by its shapes and number of batches.
    """
    if part is None:
        return None
    if hasattr(part, "as_tuple"):
        structure = keras.tree.map_structure(lambda leaf: 0, part.as_tuple())
        arrays = [a for a in keras.tree.flatten(part.as_tuple()) if a is not None]
        return [data_fingerprint(*map(_dense, arrays)), str(structure)]
    origin = part.origin
    if hasattr(origin, "element_spec"):
        return ["tf.data.Dataset", str(origin.element_spec), int(origin.cardinality())]
    found = described(origin)
    if hasattr(origin, "dataset"):  # a loader of PyTorch
        return [found, described(origin.dataset)]
    return found


def described(value: Any, depth: int = 4) -> Any:
    """What decides how an object works, as far as it can be known, for JSON.

    Functions and classes by name and code, with the values and functions that the code refers to;
    Keras objects by their configuration without names that are counted up; objects of classes that
    are not a library's by their attributes and code as well. What a function notes itself, in a
    number, text, list, set or dictionary outside of it, does not count.

    Args:
        value: Any object.
        depth: How deep attributes of attributes are looked at.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return _plain(value)
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.item()) if value.ndim == 0 else data_fingerprint(_dense(value))
    if depth == 0:
        return _by_type(value)
    deeper = functools.partial(described, depth=depth - 1)
    if isinstance(value, dict):
        return {str(key): deeper(entry) for key, entry in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((deeper(entry) for entry in value), key=str)
    if isinstance(value, list | tuple):
        return [deeper(entry) for entry in value]
    if isinstance(value, functools.partial):
        return [deeper(part) for part in (value.func, value.args, value.keywords)]
    if inspect.ismethod(value):
        return [deeper(value.__func__), deeper(value.__self__)]
    if inspect.isfunction(value):
        return _described_function(value, deeper)
    if isinstance(value, type):
        return [_qualified(value), _own_members(value)]
    if isinstance(value, Expression):
        return str(value)
    if isinstance(value, keras.Model):
        return model_fingerprint(value)
    if isinstance(value, keras.Layer):
        return _without_names(_described_layer(value))
    if isinstance(value, keras.Variable | keras.KerasTensor):
        return [list(value.shape), str(value.dtype)]
    if hasattr(value, "get_config"):
        try:
            config = _without_counted_names(keras.saving.serialize_keras_object(value))
            known = [config, deeper(_keras.loss_arguments(value))]  # which Huber's config lacks
        except Exception:  # of any kind: the configuration is the user's code
            known = [_qualified(type(value))]
        return [*known, *_own_part(value, deeper)]
    if hasattr(value, "detach"):
        return data_fingerprint(value.detach().cpu().numpy())
    if hasattr(value, "__array__"):
        return data_fingerprint(_dense(np.asarray(value)))
    return [_qualified(type(value)), _attributes(value, deeper), *_own_part(value, deeper)]


def _plain(value):
    """A plain value that JSON has: infinities and NaN as words."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _described_function(function, deeper):
    """Name, code, defaults, and what the code refers to outside of it."""
    code = function.__code__
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    held = {name: cell.cell_contents for name, cell in cells if _is_filled(cell)}
    names = [n for part in _codes(code) for n in part.co_names if n in function.__globals__]
    held |= {n: v for n in names if _is_known(v := function.__globals__[n])}
    noted = set().union(*map(_changed_names, _codes(code)))
    held = {n: type(v) if n in noted and isinstance(v, _NOTES) else v for n, v in held.items()}
    known = [deeper(part) for part in (function.__defaults__, function.__kwdefaults__)]
    known.append({name: deeper(held[name]) for name in sorted(held)})
    return [_qualified(function), _code(code), known]


def _is_filled(cell):
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _is_known(value):
    """Whether a global name stands for what decides a result: no module, no library's function."""
    if inspect.isfunction(value) or isinstance(value, type):
        return is_own(value)
    return not inspect.ismodule(value) and not inspect.isbuiltin(value)


def _codes(code):
    """A function's code and that of the functions made inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _changed_names(code):
    """Names that code changes: `name = …`, `name.append(…)`, and all in a line `name[…] = …`."""
    found: set[str | None] = set()
    lines: dict[int | None, set] = {}
    loaded = None
    for each in dis.get_instructions(code):
        line = lines.setdefault(each.positions and each.positions.lineno, set())
        if each.opname in ("STORE_GLOBAL", "STORE_DEREF"):
            found.add(each.argval)
        elif each.opname in ("LOAD_METHOD", "LOAD_ATTR") and each.argval in _CHANGES:
            found.add(loaded)
        elif each.opname == "STORE_SUBSCR":
            found |= line
        loaded = each.argval if each.opname in ("LOAD_GLOBAL", "LOAD_DEREF") else None
        line.add(loaded)
    return found


def is_own(kind: Any) -> bool:
    """Whether a class or function is not one of the libraries that compute."""
    return kind.__module__.partition(".")[0] not in _LIBRARIES


def _own_members(kind):
    """Code and plain values of a class and of its bases that are no library's, by name."""
    found = {}
    for each in filter(is_own, kind.__mro__):
        for name, value in vars(each).items():
            parts = (value.fget, value.fset) if isinstance(value, property) else (value,)
            for number, part in enumerate(parts):
                function = getattr(part, "__func__", part)
                function = inspect.unwrap(function) if inspect.isfunction(function) else None
                if inspect.isfunction(function):
                    found[f"{each.__qualname__}.{name}.{number}"] = _code(function.__code__)
            if isinstance(value, bool | int | float | str) and not name.startswith("__"):
                found[f"{each.__qualname__}.{name}"] = _plain(value)
    return found


def _own_part(value, deeper):
    """Of an object whose class is not a library's: the class's code and what its methods set."""
    kinds = list(filter(is_own, type(value).__mro__))
    if not kinds:
        return []
    stored = _keras.stored_by(kinds)
    held = _keras.held_attributes(value)
    known = {
        name: deeper(held[name])
        for name in sorted(stored & set(held))
        if _counts(value, name) and not _is_counted_name(value, name, held[name])
    }
    return [deeper(type(value)), known]


def _is_counted_name(value, name, entry):
    """Whether an attribute is a name that Keras counts up."""
    return name in ("name", "_name") and hasattr(value, "get_config") and isinstance(entry, str)


def _attributes(value, deeper):
    """An object's public attributes."""
    found = getattr(value, "__dict__", {})
    return {
        name: deeper(entry)
        for name, entry in sorted(found.items())
        if not name.startswith("_") and _counts(value, name)
    }


def _counts(value, name):
    """Whether an attribute is no computed one, nor, of a callback, what `fit` sets or a place."""
    if isinstance(getattr(type(value), name, None), functools.cached_property):
        return False
    if not isinstance(value, keras.callbacks.Callback):
        return True
    return name not in ("model", "params") and not _PLACE.search(name)


def _described_layer(layer):
    """Of a layer and of all within it: configuration, own code, and what own classes hold.

    A configuration is not always the whole of it: it may be missing, and a subclassed model's or a
    layer's of one's own may leave out what the layer holds.
    """
    found = []
    for each in graph.nested(layer):
        try:
            config = each.get_config()
        except Exception:  # of any kind: the configuration is the user's code
            config = None
        functions = [f for f in vars(each).values() if inspect.isfunction(f) and is_own(f)]
        code = [described(function, depth=3) for function in functions]
        found.append([type(each).__name__, config, code, _own_part(each, _described_part)])
    return found


def _described_part(entry):
    """What a layer of one's own holds; the layers among it are described beside it."""
    if isinstance(entry, keras.Layer):
        return type(entry).__name__
    if isinstance(entry, dict):
        return {str(key): _described_part(value) for key, value in entry.items()}
    if isinstance(entry, list | tuple):
        return [_described_part(value) for value in entry]
    return described(entry, depth=2)


def _code(code):
    """A key of compiled code, constants and names included, whatever file it is in."""
    constants = [c if not isinstance(c, types.CodeType) else _code(c) for c in code.co_consts]
    constants = [sorted(map(str, c)) if isinstance(c, frozenset) else c for c in constants]
    parts = (code.co_code.hex(), code.co_names, code.co_varnames, list(map(repr, constants)))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:20]


def _qualified(value):
    return f"{value.__module__}.{value.__qualname__}"


def _without_counted_names(config):
    """A serialized object without the names that Keras counts up, and without object numbers."""
    if isinstance(config, dict):
        kind = str(config.get("class_name", ""))
        found = {k: v for k, v in config.items() if k != "shared_object_id"}
        inner = found.get("config")
        if isinstance(inner, dict) and isinstance(inner.get("name"), str):
            stem = re.sub(r"_\d+$", "", inner["name"]).replace("_", "")
            if stem == kind.lower():
                found["config"] = {k: v for k, v in inner.items() if k != "name"}
        return {k: _without_counted_names(v) for k, v in found.items()}
    if isinstance(config, list | tuple):
        return [_without_counted_names(entry) for entry in config]
    return described(config)


def _dense(array):
    """An array whose bytes are its values: of a sparse matrix or of objects, a stand-in."""
    if not isinstance(array, np.ndarray):
        array = array.toarray()
    return array if array.dtype != object else array.astype(str)


def model_fingerprint(model: keras.Model) -> str:
    """SHA-256 of a model's structure, the same for every build of it, hexadecimal.

    It covers all layers with their configurations and wiring, and the shapes and dtypes of
    the weights. Names that Keras counts up from build to build are replaced by their order.
    Layers and functions of the user's are known by their code as well.
    """
    weights = [(list(weight.shape), str(weight.dtype)) for weight in model.weights]
    structure = [_without_names(_described_layer(model)), weights]
    return hashlib.sha256(
        json.dumps(structure, sort_keys=True, default=_by_type).encode()
    ).hexdigest()


def recipe_settings(recipe: Any) -> dict[str, Any]:
    """What decides how a recipe trains, for JSON."""
    # Any length of training: it is among the run's settings.
    optimizers = []
    for optimizer in recipe.optimizers(steps_per_epoch=1000, epochs=100):
        optimizers.append(None if optimizer is None else keras.optimizers.serialize(optimizer))
        if optimizers[-1]:
            optimizers[-1]["config"].pop("name", None)
    augmentation = []
    for layer in recipe.augmentation():
        config = {k: v for k, v in layer.get_config().items() if k not in ("name", "seed")}
        augmentation.append([type(layer).__name__, config])
    together = recipe.batch_augmentation
    # Named where a recipe has them, so that the keys of other recipes' runs stay.
    further = {
        "bias_optimizer": optimizers[2],
        "subtract_mean": recipe.subtract_mean,
        "crop": recipe.crop,
    }
    return {
        "name": recipe.name,
        "optimizer": optimizers[0],
        "activation_optimizer": optimizers[1],
        "augmentation": augmentation,
        "batch_augmentation": together and f"{together.__module__}.{together.__qualname__}",
        "standardize": recipe.standardize,
        "autoinit": recipe.autoinit,
        **{name: value for name, value in further.items() if value},
    }


def _without_names(config):
    """`config` with every layer's name replaced by the order of its first appearance."""
    names: dict[str, str] = {}

    def collect(part):
        if isinstance(part, dict):
            if isinstance(part.get("name"), str) and {"trainable", "batch_shape"} & set(part):
                names.setdefault(part["name"], f"#{len(names)}")
            for value in part.values():
                collect(value)
        elif isinstance(part, list | tuple):
            for value in part:
                collect(value)

    def replace(part, inside=False):
        if isinstance(part, dict):
            return {key: replace(value, inside or key in _NAMING) for key, value in part.items()}
        if isinstance(part, list | tuple):
            return [replace(value, inside) for value in part]
        return names.get(part, part) if inside and isinstance(part, str) else part

    collect(config)
    return replace(config)


def _by_type(value):
    """How `json` writes what it does not know."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return f"{type(value).__module__}.{type(value).__qualname__}"
