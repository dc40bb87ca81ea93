"""What reaches chosen layers of a model during training, without touching the training.

A callback sees no batches and, under JAX, a model whose state lives elsewhere. `LayerInputs`
therefore runs the model on batches of its own: one compiled function of the weights and a
batch, traced once, which records the inputs of the chosen layers wherever they sit (nested
and subclassed models included), reduces them on the device and hands back small arrays.
The run is stateless: batch-normalisation statistics, seeds and weights stay as they were.
"""

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from .. import backend
from ..layers import LearnableActivation
from ._keras import mask_of, without_rematerialization
from .taps import intercepted


def find_layers(model: keras.Model, kind: type = LearnableActivation, layers: Any = None) -> list:
    """Layers of one kind in a model, in the order of the model, nested ones included.

    Args:
        model: A built Keras model.
        kind: Layer class.
        layers: Names or layers to keep; all of them when `None`.

    Raises:
        ValueError: If a name is unknown or of another kind, or the model has no such layer.
    """
    found: list[Any] = [layer for layer in model._flatten_layers() if isinstance(layer, kind)]
    if layers is not None:
        wanted = [layer if isinstance(layer, str) else layer.name for layer in layers]
        names = [layer.name for layer in found]
        unknown = [name for name in wanted if name not in names]
        if unknown:
            raise ValueError(
                f"`layers` must name {kind.__name__} layers of the model. Unknown: {unknown}. "
                f"The model has: {names}"
            )
        found = [layer for layer in found if layer.name in wanted]
    if not found:
        raise ValueError(
            f"The model has no {kind.__name__} layer. Build it with an activation such as "
            "'pwl', or put one in with keras_actfn.surgery.replace_activations."
        )
    return found


def label_names(layers: Any) -> list[str]:
    """A label for each layer, no two alike: its name, numbered where two layers share one."""
    names = [layer.name for layer in layers]
    labels: list[str] = []
    for i, name in enumerate(names):
        label = name
        while label in labels or (names.count(name) > 1 and label in names):
            label = f"{label}_{i}"
        labels.append(label)
    return labels


@contextlib.contextmanager
def _recorded(layers, owners):
    """Within this context, the inputs of every call of each layer are kept, each with its mask.

    Keras puts masks on what it passes from layer to layer, not on what a layer computes inside: an
    activation in a `Dense` layer has the mask of that layer's inputs.
    """
    records: list[list] = [[] for _ in layers]
    outer: list[Any] = []  # masks of the layers that are being called

    def recording(record):
        def function(call, inputs, *args, **kwargs):
            masks = [mask_of(inputs), *reversed(outer)]
            record.append((inputs, next((m for m in masks if _fits(m, inputs)), None)))
            return call(inputs, *args, **kwargs)

        return function

    def holding(owner):
        def function(call, *args, **kwargs):
            given = keras.tree.flatten((args, kwargs))
            mask = mask_of(given[0]) if given else None
            if mask is not None and isinstance(owner, keras.layers.TimeDistributed):
                raise ValueError(
                    "Where inputs are masked, they are read of layers that see all time steps. "
                    f"Received: '{owner.name}' of class TimeDistributed with masked inputs. "
                    "Replace it by the layer that it holds, if that takes sequences as Dense does."
                )
            outer.append(mask)
            try:
                return call(*args, **kwargs)
            finally:
                outer.pop()

        return function

    replacements = [(layer, recording(r)) for layer, r in zip(layers, records, strict=True)]
    with intercepted([*((owner, holding(owner)) for owner in owners), *replacements]):
        yield records


def _fits(mask, x):
    """Whether a mask has one entry for each position of some inputs, such as tokens."""
    rank = 0 if mask is None else len(mask.shape)
    return 0 < rank < len(x.shape) and tuple(x.shape[:rank]) == tuple(mask.shape)


def _owners(model, layers):
    """The layers of a model that hold one of some layers, at any depth.

    Raises:
        ValueError: If one of them calls what it holds in a loop that backends compile.
    """
    owners = []
    for owner in model._flatten_layers():
        inside = {id(layer) for layer in owner._flatten_layers(include_self=False)}
        held = [layer for layer in layers if id(layer) in inside]
        if held and isinstance(owner, keras.layers.RNN):
            raise ValueError(
                "Inputs are read of layers that a model calls once a batch. Received: "
                f"'{held[0].name}' in the recurrent layer '{owner.name}', whose loop over the "
                "time steps calls it. Leave it out by naming the other layers."
            )
        if held and owner is not model:
            owners.append(owner)
    return owners


def _valid(x, mask):
    """Where the inputs of a layer are not masked, in the shape of the inputs."""
    if mask is None:
        return ops.ones(x.shape, "bool")
    mask = ops.reshape(
        ops.cast(mask, "bool"), (*mask.shape, *[1] * (len(x.shape) - len(mask.shape)))
    )
    return ops.broadcast_to(mask, x.shape)


def unit_view(layer: keras.Layer, x: Any) -> Any:
    """Inputs of a layer as (batch, positions, units), one unit for each of its functions.

    A layer with shared parameters is one unit and every other axis is a position; with
    `axis` set, the entries of those axes are the units.
    """
    rank = len(x.shape)
    given = [] if layer.axis is None else np.atleast_1d(layer.axis).tolist()
    own = sorted(axis % rank for axis in given)
    rest = [axis for axis in range(1, rank) if axis not in own]
    x = ops.transpose(x, (0, *rest, *own))
    units = int(np.prod([x.shape[1 + len(rest) + i] for i in range(len(own))], initial=1))
    return ops.reshape(x, (x.shape[0], -1, units))


def take_positions(x: Any, limit: int | None) -> Any:
    """A fixed random subset of the positions of (batch, positions, units)."""
    positions = x.shape[1]
    if limit is None or positions <= limit:
        return x
    # Random, since a regular stride could always hit the same channel; fixed, so that the
    # compiled function has no state.
    chosen = np.random.default_rng(0).permutation(positions)[:limit]
    return ops.take(x, np.sort(chosen), axis=1)


def training_option(model: keras.Model, training: bool) -> dict[str, bool]:
    """The argument `training` for a call of the model; none if its `call` does not take it."""
    parameters = inspect.signature(model.call).parameters.values()
    takes_it = any(p.name == "training" or p.kind == p.VAR_KEYWORD for p in parameters)
    return {"training": training} if takes_it else {}


class LayerInputs:
    """A compiled function from a batch to a reduction of the inputs of some layers.

    Args:
        model: The model that is being trained.
        layers: Layers of it.
        reduce: `reduce(layer, x, valid, *extra)` on inputs of shape (batch, positions, units),
            float32, and booleans of the same shape: where they are not masked. Masked inputs are
            0. It returns a tensor or a tuple of tensors. A layer called several times is reduced
            over all its calls.
        max_positions: Random subset of the positions per sample that is looked at.
        training: Whether the model runs as in training (batch statistics, dropout). As in
            `fit`, a subclassed model whose `call` has no such argument runs without it.

    Raises:
        ValueError: If a layer is called by the loop of a recurrent layer, or when the model runs,
            if it is not called.
    """

    def __init__(
        self,
        model: keras.Model,
        layers: Any,
        reduce: Any,
        max_positions: int | None,
        training: bool = True,
    ):
        self.model = model
        options = training_option(model, training)
        owners = _owners(model, layers)

        def run(trainable, non_trainable, x, *extra):
            # Nothing is differentiated here, so that nothing needs to be computed again.
            with _recorded(layers, owners) as records, without_rematerialization(model):
                model.stateless_call(trainable, non_trainable, x, **options)
            results = []
            for layer, record in zip(layers, records, strict=True):
                if not record:
                    raise ValueError(
                        f"Layer '{layer.name}' belongs to the model but is not called by it; "
                        "leave it out with `layers`."
                    )
                both = [(x, _valid(x, mask)) for x, mask in record]
                views = [
                    [take_positions(unit_view(layer, each), max_positions) for each in pair]
                    for pair in zip(*both, strict=True)
                ]
                seen, valid = (v[0] if len(v) == 1 else ops.concatenate(v, axis=1) for v in views)
                seen = ops.where(valid, ops.cast(seen, "float32"), 0.0)
                results.append(reduce(layer, seen, valid, *extra))
            return results

        self._run = backend.compiled(run)

    def __call__(self, x: Any, *extra: Any) -> list:
        """The reductions for one batch as NumPy arrays, one entry a layer."""
        if keras.backend.backend() == "jax":
            # While `fit` runs under JAX the current weights live in the trainer.
            self.model.jax_state_sync()
        trainable = [ops.convert_to_tensor(v) for v in self.model.trainable_variables]
        rest = [ops.convert_to_tensor(v) for v in self.model.non_trainable_variables]
        x = keras.tree.map_structure(ops.convert_to_tensor, x)
        results = self._run(trainable, rest, x, *(ops.convert_to_tensor(e) for e in extra))
        return [
            tuple(ops.convert_to_numpy(r) for r in result)
            if isinstance(result, (tuple, list))
            else ops.convert_to_numpy(result)
            for result in results
        ]


class Batches:
    """An endless stream of (x, y) batches with integer labels.

    Args:
        x: Inputs: arrays, tensors or DataFrames, one or a structure of them; or an iterable of
            (x, y) batches that can be gone through again, such as a `keras.utils.PyDataset` or a
            `tf.data.Dataset`.
        y: Labels of the arrays: integers, or one row of class scores each. May be `None`
            where labels are not needed.
        batch_size: Size of the batches cut from arrays; the last, smaller one is left out
            so that nothing is compiled twice.
        seed: Seed of the shuffling of arrays.
    """

    def __init__(self, x: Any, y: Any = None, batch_size: int = 128, seed: int = 0):
        x = keras.tree.map_structure(_indexed_by_row, x)
        leaves = keras.tree.flatten(x)
        self._arrays = all(hasattr(leaf, "shape") for leaf in leaves)
        self._x, self._y = x, y
        self._generator = np.random.default_rng(seed)
        self._iterator: Iterator[tuple] = iter(())
        if self._arrays:
            self._size = leaves[0].shape[0]
            self._batch = min(batch_size, self._size)
            if any(leaf.shape[0] != self._size for leaf in leaves):
                raise ValueError("All arrays of `x` must have the same number of samples.")
            if y is not None:
                self._y = class_indices(y)
                if self._y.size != self._size:
                    raise ValueError(
                        f"`x` and `y` must have the same length. Received {self._size} inputs "
                        f"and {self._y.size} labels."
                    )
        elif y is not None or not (hasattr(x, "__iter__") or hasattr(x, "__getitem__")):
            raise ValueError(
                "`x` must be arrays with their labels in `y`, or an iterable of (x, y) batches "
                f"with `y` left out. Received x of type {type(x).__name__}."
            )

    @property
    def labels(self) -> np.ndarray | None:
        """All labels, where the data are arrays."""
        return self._y if self._arrays else None

    def _epoch(self):
        if self._arrays:
            order = self._generator.permutation(self._size)
            for start in range(0, self._size - self._batch + 1, self._batch):
                index = np.sort(order[start : start + self._batch])
                batch = keras.tree.map_structure(lambda a, i=index: np.asarray(a[i]), self._x)
                yield batch, None if self._y is None else self._y[index]
        else:
            count = len(self._x) if hasattr(self._x, "__getitem__") else None
            source = self._x if count is None else (self._x[i] for i in range(count))
            for batch in source:
                labels = batch[1] if isinstance(batch, (tuple, list)) and len(batch) > 1 else None
                inputs = batch[0] if isinstance(batch, (tuple, list)) else batch
                yield inputs, None if labels is None else class_indices(labels)

    def __next__(self) -> Any:
        """The next batch; starts again at the end."""
        for _ in range(2):
            for batch in self._iterator:
                return batch
            self._iterator = self._epoch()
        raise ValueError("`x` gave no batch. It must hold data and be iterable more than once.")


def _indexed_by_row(leaf):
    """Tensors and DataFrames as arrays; anything else, such as an array in a file, as given."""
    if ops.is_tensor(leaf):
        return ops.convert_to_numpy(leaf)
    return leaf.to_numpy() if hasattr(leaf, "iloc") else leaf


def class_indices(y: Any) -> np.ndarray:
    """Labels as class indices: integers pass, rows of class scores give their argmax."""
    y = np.asarray(ops.convert_to_numpy(y) if ops.is_tensor(y) else y)
    if y.ndim == 2 and y.shape[1] > 1:
        return y.argmax(axis=1).astype("int32")
    flat = y.reshape(-1)
    if y.ndim > 2 or not np.array_equal(flat, np.round(flat)) or (flat < 0).any():
        raise ValueError(
            "`y` must hold one class index per sample, or one row of class scores. "
            f"Received shape {y.shape}, dtype {y.dtype}."
        )
    return flat.astype("int32")
