"""Keys of runs: two runs share a key only if nothing that decides their result differs."""

import functools
import hashlib
import inspect
import json
import re
import types
from typing import Any

import keras
import numpy as np

from ..expressions import Expression
from ..models import _keras

#: The entries of a configuration in which Keras refers to layers by name.
_NAMING = ("name", "keras_history", "input_layers", "output_layers")


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

    Functions and classes by name and code, Keras objects by their configuration without names
    that are counted up, others by their class and attributes.

    Args:
        value: Any object.
        depth: How deep attributes of attributes are looked at.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return value.item() if value.ndim == 0 else data_fingerprint(np.asarray(value))
    if depth == 0:
        return _by_type(value)
    deeper = functools.partial(described, depth=depth - 1)
    if isinstance(value, dict):
        return {str(key): deeper(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [deeper(entry) for entry in value]
    if isinstance(value, functools.partial):
        return [deeper(part) for part in (value.func, value.args, value.keywords)]
    if inspect.ismethod(value):
        return [deeper(value.__func__), deeper(value.__self__)]
    if inspect.isfunction(value):
        return _described_function(value, deeper)
    if isinstance(value, type):
        functions = {n: f.__code__ for n, f in vars(value).items() if inspect.isfunction(f)}
        return [_qualified(value), {name: _code(code) for name, code in functions.items()}]
    if isinstance(value, Expression):
        return str(value)
    if isinstance(value, keras.Model):
        return model_fingerprint(value)
    if hasattr(value, "get_config") and not isinstance(value, keras.Layer):
        try:
            config = _without_counted_names(keras.saving.serialize_keras_object(value))
            return [config, deeper(_keras.loss_arguments(value))]  # which Huber's config lacks
        except Exception:  # of any kind: the configuration is the user's code
            pass
    if hasattr(value, "detach"):
        return data_fingerprint(value.detach().cpu().numpy())
    return [_qualified(type(value)), _attributes(value, deeper)]


def _described_function(function, deeper):
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    known = [deeper(part) for part in (cells, function.__defaults__, function.__kwdefaults__)]
    return [_qualified(function), _code(function.__code__), known]


def _is_filled(cell):
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _attributes(value, deeper):
    """An object's own public attributes; not what it computed, nor where it writes to."""
    found = getattr(value, "__dict__", {})
    return {
        name: deeper(entry)
        for name, entry in sorted(found.items())
        if not name.startswith("_")
        and not re.search("path|dir|file|^model$|params", name)
        and not isinstance(getattr(type(value), name, None), functools.cached_property)
    }


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
    return config if isinstance(config, str | int | float | bool | None) else described(config)


def _dense(array):
    """An array whose bytes are its values: of a sparse matrix or of objects, a stand-in."""
    if not isinstance(array, np.ndarray):
        array = array.toarray()
    return array if array.dtype != object else array.astype(str)


def model_fingerprint(model: keras.Model) -> str:
    """SHA-256 of a model's structure, the same for every build of it, hexadecimal.

    It covers all layers with their configurations and wiring, and the shapes and dtypes of
    the weights. Names that Keras counts up from build to build are replaced by their order.
    Functions inside are known by their names, subclassed models by their layers: a change of
    their code alone does not show.
    """
    try:
        config = model.get_config()
    except (NotImplementedError, TypeError, ValueError):
        config = [layer.get_config() for layer in model.layers]
    weights = [(list(weight.shape), str(weight.dtype)) for weight in model.weights]
    structure = [type(model).__name__, _without_names(config), weights]
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
