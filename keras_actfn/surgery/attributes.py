"""What a model of the user's class has beside its graph, for its copy."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ..models import _keras, graph

_PLAIN = (bool, float, str, bytes, type(None))


class Attributes:
    """Copies the attributes of models.

    Layers, models and variables become copies, the same wherever they occur; metrics and
    optimizers start afresh; everything else, functions and losses too, is the same object.

    Args:
        copies: Copies of layers by the `id` of the old ones.
        tensors: The new symbolic tensors by the `id` of the old ones.
        copy_layer: Function that copies another layer or model and remembers it.
    """

    def __init__(self, copies: Any, tensors: Any, copy_layer: Callable):
        self._copies = copies
        self._tensors = tensors
        self._copy_layer = copy_layer
        self._others: dict[int, Any] = {}  # id of a variable, metric or optimizer: its copy
        self._made: list[tuple] = []  # pairs of a variable or optimizer and its copy

    def copy(self, old: keras.Model, new: keras.Model) -> None:
        """Set the attributes of `old` that Keras did not set on `new`.

        Raises:
            ValueError: If one can't be copied, with its name.
        """
        for name, value in _keras.own_attributes(old, new).items():
            try:
                setattr(new, name, self._copy(value))
            except Exception as error:
                raise ValueError(
                    f"The model '{old.name}' keeps its class {type(old).__name__} and its "
                    f"attributes, but the attribute '{name}' can't be copied: {error}"
                ) from error

    def copy_exclusions(self, variables: list[tuple]) -> None:
        """Let optimizers exclude from their weight decay what the old ones exclude.

        Args:
            variables: Pairs of the variables of the old layers and the new ones.
        """
        own = [pair for pair in self._made if isinstance(pair[0], keras.Variable)]
        for old, new in self._made:
            if isinstance(old, keras.optimizers.Optimizer):
                _keras.copy_exclusions(old, new, [*variables, *own])

    def _copy(self, value):
        if isinstance(value, int) and not isinstance(value, bool):
            # Keras Hub remembers layers by their id.
            return id(self._copies[value]) if value in self._copies else value
        if isinstance(value, _PLAIN):
            return value
        if isinstance(value, dict):
            return {key: self._copy(entry) for key, entry in value.items()}
        if isinstance(value, (list, set, frozenset)):
            kind = next(k for k in (list, set, frozenset) if isinstance(value, k))
            return kind(self._copy(entry) for entry in value)
        if type(value) is tuple:
            return tuple(self._copy(entry) for entry in value)
        if isinstance(value, keras.Operation):
            return self._copy_layer(value)
        if isinstance(value, keras.KerasTensor):
            if id(value) not in self._tensors:
                made_by = graph.operation_of(value).name
                raise ValueError(
                    f"it is a symbolic tensor, an output of '{made_by}' outside the graph."
                )
            return self._tensors[id(value)]
        if id(value) not in self._others:
            made = self._others[id(value)] = self._copy_other(value)
            if isinstance(value, (keras.Variable, keras.optimizers.Optimizer)):
                self._made.append((value, made))
        return self._others[id(value)]

    def _copy_other(self, value):
        if isinstance(value, keras.Variable):
            return keras.Variable(
                np.array(keras.ops.convert_to_numpy(value)),
                trainable=value.trainable,
                dtype=value.dtype,
                name=value.name,
            )
        if isinstance(value, (keras.metrics.Metric, keras.optimizers.Optimizer)):
            return type(value).from_config(value.get_config())
        if isinstance(value, keras.random.SeedGenerator):
            made = keras.random.SeedGenerator(0)
            made.state.assign(np.array(keras.ops.convert_to_numpy(value.state)))
            return made
        return value
