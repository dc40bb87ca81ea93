"""What a layer holds itself, copied as it is: variables, random states, vocabularies."""

import os
import tempfile
from typing import Any

import keras
import numpy as np

from ..models import _keras, graph


def copy_layer(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """Copy what a layer holds itself, without the layers that it holds, and how it is called.

    Keras saves a layer with low-rank adapters (LoRA) as if it had none, the adapters merged into
    the kernel, or not at all. So the variables themselves are copied, after what other layers save.

    Args:
        old: The layer.
        new: Its copy, of the same configuration.

    Raises:
        ValueError: If what the old layer holds does not fit the new one.
    """
    _keras.copy_rematerialization(old, new)
    if old.built and not new.built:
        new.build_from_config(old.get_build_config())
    adapted = getattr(old, "lora_enabled", False)
    if adapted:
        _adapt(old, new)
    weights: dict[str, Any] = {}
    if not adapted:
        old.save_own_variables(weights)
        weights = {key: _values(value) for key, value in weights.items()}
    try:
        if weights:
            new.load_own_variables(weights)
        for one, other in variable_pairs(old, new):
            if keras.backend.is_float_dtype(one.dtype) != keras.backend.is_float_dtype(other.dtype):
                raise ValueError(f"'{one.name}' is {one.dtype} here and {other.dtype} there.")
            other.assign(_values(one))
    except ValueError as error:
        raise ValueError(
            f"The weights of the layer '{old.name}' of class {type(old).__name__} do not fit "
            f"its copy through get_config and from_config: {error}"
        ) from error
    generators = zip(graph.seed_generators(old), graph.seed_generators(new), strict=False)
    for one, other in generators:
        other.state.assign(_values(one.state))
    if hasattr(old, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            old.save_assets(folder)
            if os.listdir(folder):
                new.load_assets(folder)


def variable_pairs(
    old: keras.layers.Layer, new: keras.layers.Layer
) -> list[tuple[keras.Variable, keras.Variable]]:
    """Pairs of the variables that a layer and its copy hold themselves.

    They belong together by name, as a layer that was quantized after it was built has its
    variables in another order than one that is built from its configuration; in order only
    where names don't tell.

    Raises:
        ValueError: If one holds more than the other.
    """
    olds, news = graph.own_variables(old), graph.own_variables(new)
    if not old.built and len(olds) < len(news):  # an activation that is built late
        return []
    by_name = {variable.name: variable for variable in news}
    names = {variable.name for variable in olds}
    if names == set(by_name) and len(names) == len(olds) == len(news):
        return [(variable, by_name[variable.name]) for variable in olds]
    if len(olds) != len(news):
        raise ValueError(
            f"The layer '{old.name}' of class {type(old).__name__} holds the variables "
            f"{[v.name for v in olds]}, and its copy through get_config and from_config "
            f"{[v.name for v in news]}."
        )
    return list(zip(olds, news, strict=True))


def _adapt(old, new):
    """Give a copy the low-rank adapters of a layer."""
    if not new.lora_enabled:  # a layer inside another one, whose configuration does not tell
        new.enable_lora(old.lora_rank)
    new.lora_rank, new.lora_alpha = old.lora_rank, old.lora_alpha  # build() leaves alpha out


def _values(variable):
    # NumPy copies: the JAX trainer may donate, and so delete, a buffer that two models share.
    return np.array(keras.ops.convert_to_numpy(variable))
