"""What the activations of a model compute, and what reaches them on data."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from ..layers import LearnableActivation
from ..models import activations
from ..models.graph import plain_policy
from ..models.layer_inputs import LayerInputs
from .rebuild import rebuild

#: Inputs of a site that are looked at for each sample; a fixed random part of more.
_POSITIONS = 512


class Probe(keras.layers.Layer):
    """Applies what the old model applies at a site; `LayerInputs` sees its inputs.

    Args:
        function: The old function, of tensors; it stays the old model's.
        **kwargs: `keras.layers.Layer`'s.
    """

    axis = None

    def __init__(self, function: Callable, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Not tracked, so that an old layer stays the old model's.
        object.__setattr__(self, "_function", function)
        self.supports_masking = True

    def call(self, x: Any) -> Any:
        """The old function."""
        return self._function(x)


def checked(x: Any, batch_size: Any, model: keras.Model) -> Any:
    """Inputs of a model as arrays, or the error for what is none."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size is a positive integer. Received: {batch_size!r}.")
    arrays = keras.tree.map_structure(np.asarray, x)
    sizes = {len(array) for array in keras.tree.flatten(arrays) if array.ndim}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(
            "x holds arrays of one number of samples, at least one. Received: "
            f"{sorted(sizes) or 'no array'}."
        )
    count, inputs = len(keras.tree.flatten(arrays)), len(getattr(model, "inputs", None) or ())
    if inputs and count != inputs and not isinstance(x, dict):  # a dict may hold more
        raise ValueError(
            f"x holds an array for each of the model's inputs, {inputs}. Received: {count} "
            f"array{'s' * (count != 1)}. Targets do not belong to x."
        )
    return arrays


def function_of(owner: keras.Operation) -> tuple[Any, str | None]:
    """The activation of a site as a function of tensors, and the reason why there is none."""
    if not isinstance(owner, keras.layers.Layer):
        return activations.applied_by(owner), None
    return _function(owner.activation if activations.takes_activation(owner) else owner)


def _function(activation):
    """`function_of` for an activation layer or a function."""
    kind = type(activation)
    if isinstance(activation, keras.layers.Activation) and (
        kind.call is keras.layers.Activation.call
    ):
        return _function(activation.activation)
    if isinstance(activation, LearnableActivation) and activation.axis is not None:
        return None, "it has a function for each channel"
    if activations.is_learned(activation) and not activation.built:
        return None, "it has no parameters before its first batch: call the model once"
    if isinstance(activation, keras.layers.PReLU):
        alpha = ops.convert_to_numpy(activation.alpha)
        if alpha.size > 1:
            return None, "it has a slope for each channel"
        slope = float(alpha.reshape(-1)[0])
        return (lambda x: ops.where(x > 0, x, slope * x)), None
    return activation, None


def batches(arrays: Any, batch_size: int) -> Iterator[Any]:
    """Successive batches of a structure of arrays."""
    count = len(keras.tree.flatten(arrays)[0])
    for start in range(0, count, batch_size):
        yield keras.tree.map_structure(lambda a, s=start: a[s : s + batch_size], arrays)


def inputs_of(
    model: keras.Model,
    pairs: list,
    functions: dict[str, Callable],
    arrays: Any,
    batch_size: int,
) -> dict[str, np.ndarray]:
    """What reaches each site on the data, by path, float64. Masked inputs do not count.

    Args:
        model: A built Sequential or functional model.
        pairs: Pairs of site and owner, as `survey` gives them.
        functions: The function of each site, by path.
        arrays: Inputs of the model.
        batch_size: Samples in a forward pass.

    Raises:
        ValueError: If there are none, or they are not finite, or all the same.
    """
    owners = {site.path: owner for site, owner in pairs}
    found = probed_inputs(model, owners, functions, arrays, batch_size, _POSITIONS)
    for path, inputs in found.items():
        _check_inputs(path, inputs)
    return found


def probed_inputs(
    model: keras.Model,
    owners: dict[str, keras.Operation],
    functions: dict[str, Callable],
    arrays: Any,
    batch_size: int,
    max_positions: int,
) -> dict[str, np.ndarray]:
    """What reaches each site on the data, by path, float64. Masked inputs do not count.

    Args:
        model: A built Sequential or functional model.
        owners: The layer or operation of each site, by path.
        functions: The function of each site, by path.
        arrays: Inputs of the model.
        batch_size: Samples in a forward pass.
        max_positions: Inputs that are looked at for each sample; a fixed random part of more.

    Raises:
        ValueError: If all inputs of a site are masked.
    """
    probes = {}

    def maker(path):
        def make(old, name):
            probes[path] = Probe(functions[path], name=name, dtype=plain_policy(old))
            return probes[path]

        return make

    exchange = {id(owner): maker(path) for path, owner in owners.items()}
    probed = rebuild(model, exchange, compile=False)
    layers = [probes[path] for path in owners]
    read = LayerInputs(probed, layers, lambda _, *both: both, max_positions, training=False)
    seen: dict[str, list] = {path: [] for path in owners}
    for batch in batches(arrays, batch_size):
        for path, (values, valid) in zip(owners, read(batch), strict=True):
            seen[path].append(values[valid])
    found = {path: np.concatenate(parts).astype(np.float64) for path, parts in seen.items()}
    for path, inputs in found.items():
        if not len(inputs):
            raise ValueError(
                f"Something reaches an activation. Received: only masked inputs of '{path}'. Give "
                "data that is not all masked, or leave the site out with `sites`."
            )
    return found


def _check_inputs(path, inputs):
    if not np.isfinite(inputs).all():
        bad = inputs[~np.isfinite(inputs)]
        raise ValueError(
            f"What reaches an activation is finite. Received: {bad[0]} and {len(bad) - 1} more "
            f"among {len(inputs)} inputs of '{path}'. Look at the weights and the data."
        )
    if inputs.min() == inputs.max():
        raise ValueError(
            f"What reaches an activation varies. Received: {inputs[0]:g} for every input of "
            f"'{path}'. Give data that reaches it, or leave the site out with `sites`."
        )


def evaluate(function: Callable, points: np.ndarray) -> np.ndarray:
    """A function of tensors on a row of points, float64; a layer's policy rounds nothing."""
    dtype = "float32"
    if isinstance(function, keras.layers.Layer):
        if not function.built:
            function.build(points[None].shape)
        dtype = "float64" if function.variable_dtype == "float64" else dtype
        function = function.call  # a layer itself casts what it is given
    values = function(ops.convert_to_tensor(points[None], dtype))
    return ops.convert_to_numpy(values)[0].astype(np.float64)
