"""Keys of runs: two runs share a key only if nothing that decides their result differs."""

import hashlib
import json
from typing import Any

import keras
import numpy as np

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
