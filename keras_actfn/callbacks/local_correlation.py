"""Train the knots of PWL layers by the correlation objective, the rest by the loss.

The paper's second mode (correlation objectives, Section 3.2): two optimisers, one for the
backbone by the loss, one for the activations by the objective

    L = −Σ_k ρ_k |ρ_k|,    ρ_k = Corr(f(x), 1[y = k])        (Eqs. 1, 2)

of each activation's own inputs x. For every layer, and every channel of one with `axis` set,
exponential moving averages of the per-class hat-basis statistics are kept; L and its
gradient in the knots follow from them exactly (`keras_actfn.theory.ClassStatistics`), at a
cost that does not depend on the batch.
"""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from ..constraints import anchored_unit_norm
from ..layers import PWL
from ..models import _keras
from ..models.layer_inputs import Batches, LayerInputs, find_layers, label_names
from ..models.moving_averages import renew_moving_averages
from ..theory import ClassStatistics
from ..theory.knot_training import Adam
from ..theory.sign_patterns import TWO_CLASSES, solve

PROJECTIONS = (None, "anchored_unit_norm", "unit_variance")


def segment_sums(layer: PWL, x: Any, valid: Any, labels: Any, classes: int) -> Any:
    """Per-class sums of 1, t, t² on every segment, t the position within it.

    Args:
        layer: A `PWL` layer.
        x: Its inputs, (batch, positions, units).
        valid: Booleans of that shape: the inputs that enter the sums.
        labels: Class index of each sample, (batch,).
        classes: K.

    Returns:
        Tensor of shape (classes, units, knots − 1, 3).
    """
    segments, units = layer.knots - 1, x.shape[2]
    position = (x - layer.low) * (segments / (layer.high - layer.low))
    index = ops.clip(ops.floor(position), 0, segments - 1)
    t = position - index
    if layer.extrapolation == "clamp":
        t = ops.clip(t, 0.0, 1.0)
    group = ops.reshape(ops.cast(labels, "int32") * units, (-1, 1, 1)) + np.arange(units)
    cell = ops.cast(group, "int32") * segments + ops.cast(index, "int32")
    ones = ops.cast(valid, t.dtype)
    powers = ops.reshape(ops.stack([ones, ones * t, ones * t * t], axis=-1), (-1, 3))
    sums = ops.segment_sum(powers, ops.reshape(cell, (-1,)), classes * units * segments)
    return ops.reshape(sums, (classes, units, segments, 3))


def freeze(model: keras.Model, variables: Iterable) -> None:
    """Take `variables` away from the model's optimiser before its first step.

    Args:
        model: A compiled model.
        variables: Variables of it.

    Raises:
        ValueError: If the optimiser has already made steps with them.
    """
    if not any(variable.trainable for variable in variables):
        return
    optimizer = model.optimizer
    if optimizer is not None and optimizer.built and int(optimizer.iterations) > 0:
        raise ValueError(
            "LocalCorrelation trains the knots itself, but this model's optimizer has already "
            "trained them. Call model.compile again (a new optimizer) before this fit."
        )
    for variable in variables:
        variable.trainable = False
    if optimizer is not None and optimizer.built:
        # `fit` builds the optimiser before callbacks see the model. It has made no step, so
        # a copy built on the remaining variables loses nothing.
        model.optimizer = type(optimizer).from_config(optimizer.get_config())
        same = [(variable, variable) for variable in model.variables]
        _keras.copy_exclusions(optimizer, model.optimizer, same)
        model.optimizer.build(model.trainable_variables)
    model.train_function = None


class LocalCorrelation(keras.callbacks.Callback):
    """Trains PWL knots by their correlation with the classes during any `fit`.

    The knots are taken out of the loss's optimiser (`values.trainable` becomes False and
    stays so); the objective is never part of the model's computation, so no gradient of it
    can reach the backbone. The callback reads the inputs of the PWL layers by running
    the model on batches of its own, because callbacks see no data, statelessly and as in
    training (batch statistics of BatchNormalization, dropout); see
    `keras_actfn.models.layer_inputs`. An update costs one forward pass over `batch_size`
    samples, the sums of its statistics, and arithmetic on classes × knots numbers per function;
    `every` makes updates rarer.

    Args:
        x: Inputs for the statistics, usually the training data: arrays, or an iterable of
            (x, y) batches that can be gone through again. Masked positions do not count.
        y: Class labels of the arrays.
        classes: K; read off `y` when `None`. Needed for iterables.
        batch_size: Samples per update.
        every: Training batches between updates.
        learning_rate: Adam's, for the knots (the paper's 1e-2); with `solve`, the share of the way
            to the optimum, in [0, 1].
        momentum: Of the moving averages: the weight of the past at each update. The paper names
            none; 0.9 averages about ten updates.
        solve: Move towards the exact optimum of the averaged statistics at each update instead of
            taking a gradient step. Mean and standard deviation of each function's output are
            kept, which L leaves free. Moves of more than a few hundredths of the way change the
            functions faster than the other weights can follow.
        projection: `None`; `"anchored_unit_norm"`, the paper's optional one (leftmost knot zero,
            L2 norm one); or `"unit_variance"`, leftmost knot zero and Var f = 1 (Section 2.1).
            Both turn a constant function into zeros.
        layers: Names of the PWL layers to train; all when `None`.
        max_positions: At most this many positions of each sample, chosen at random once,
            enter the statistics.
        renew: Batches that the finished network sees to make the moving averages of its
            BatchNormalization layers again: training leaves averages over functions that have
            moved since. 0 leaves those. Callbacks that put weights back belong before this one.
        seed: Seed of the batches.

    Logs, per epoch and layer: `<layer>_correlation`, the mean of L over its functions.

    Raises:
        ValueError: For two classes, bad arguments, a model without PWL layers, or an optimiser
            that has already trained the knots.

    Example:
        >>> callback = LocalCorrelation(x, y)
        >>> history = model.fit(x, y, verbose=0, callbacks=[callback])
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        *,
        classes: int | None = None,
        batch_size: int = 128,
        every: int = 1,
        learning_rate: float = 1e-2,
        momentum: float = 0.9,
        solve: bool = False,
        projection: str | None = None,
        layers: Any = None,
        max_positions: int | None = 1024,
        renew: int = 40,
        seed: int = 0,
    ):
        super().__init__()
        if projection not in PROJECTIONS:
            raise ValueError(f"`projection` must be one of {PROJECTIONS}. Received: {projection!r}")
        if not 0 <= momentum < 1:
            raise ValueError(f"`momentum` must lie in [0, 1). Received: {momentum!r}")
        if solve and not 0 <= learning_rate <= 1:
            raise ValueError(
                "With `solve`, `learning_rate` is the share of the way to the optimum, in [0, 1]. "
                f"Received: {learning_rate!r}"
            )
        if every < 1:
            raise ValueError(f"`every` must be at least 1. Received: {every!r}")
        if renew < 0:
            raise ValueError(f"`renew` must not be negative. Received: {renew!r}")
        self._batches = Batches(x, y, batch_size, seed)
        if classes is None:
            labels = self._batches.labels
            if y is None or labels is None:
                raise ValueError("`classes` is needed where `x` is an iterable of batches.")
            classes = int(labels.max()) + 1
        if classes < 3:
            raise ValueError(TWO_CLASSES)
        self.classes = classes
        self.every, self.learning_rate, self.momentum = every, learning_rate, momentum
        self.solve, self.projection = solve, projection
        self._names, self._max_positions, self.renew = layers, max_positions, renew
        self._steps = 0
        self.layers: list = []

    def set_model(self, model: keras.Model) -> None:
        """Find the layers and take their knots away from the loss's optimiser."""
        super().set_model(model)
        layers = find_layers(model, PWL, self._names)
        if layers == self.layers:
            return
        self.layers, self.labels = layers, label_names(layers)
        freeze(model, [layer.values for layer in layers])
        self._inputs = LayerInputs(model, layers, self._reduce, self._max_positions)
        self._sums: list[Any] = [0.0] * len(layers)
        self._counts = [0.0] * len(layers)
        self._optimizers: list[Any] = [None] * len(layers)

    def _reduce(self, layer, x, valid, labels):
        return segment_sums(layer, x, valid, labels, self.classes)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Update averages and knots."""
        self._steps += 1
        if self._steps % self.every == 0:
            self.update()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Make the moving averages of BatchNormalization again."""
        renew_moving_averages(self.model, (next(self._batches)[0] for _ in range(self.renew)))

    def update(self) -> None:
        """Read one batch, update the averages, move the knots."""
        x, labels = next(self._batches)
        if labels.max() >= self.classes:
            raise ValueError(f"Label {labels.max()} is not below `classes`={self.classes}.")
        for i, sums in enumerate(self._inputs(x, labels)):
            # Sums and counts decay alike: a class absent from a batch keeps its averages.
            sums = sums.astype(np.float64)
            counts = sums[:, 0, :, 0].sum(axis=-1)
            self._sums[i] = self.momentum * self._sums[i] + (1 - self.momentum) * sums
            self._counts[i] = self.momentum * self._counts[i] + (1 - self.momentum) * counts
            statistics = self.statistics(i)
            if statistics is not None:
                self._move(i, statistics)

    def statistics(self, index: int) -> ClassStatistics | None:
        """Averaged statistics of layer `index`; `None` before three classes were seen."""
        counts = np.asarray(self._counts[index])
        seen = np.flatnonzero(counts > 0) if counts.ndim else np.empty(0, int)
        if len(seen) < 3:
            return None
        moments = self._sums[index][seen] / counts[seen, None, None, None]
        priors = counts[seen] / counts[seen].sum()
        return ClassStatistics.from_segment_moments(priors, np.swapaxes(moments, 0, 1))

    def _values(self, layer: PWL) -> np.ndarray:
        """Knot values as (units, knots)."""
        values = ops.convert_to_numpy(layer.values).astype(np.float64)
        return values.reshape(layer.knots, -1).T

    def _move(self, index: int, statistics: ClassStatistics) -> None:
        layer = self.layers[index]
        old = self._values(layer)
        if self.solve:
            share = self.learning_rate
            new = np.stack([_towards(statistics.unit(u), y, share) for u, y in enumerate(old)])
        else:
            if self._optimizers[index] is None:
                self._optimizers[index] = Adam(old.shape, self.learning_rate)
            new = old + self._optimizers[index].step(statistics.gradient(old))
        new = self._projected(statistics, new)
        layer.values.assign(new.T.reshape(layer.values.shape).astype("float32"))

    def _projected(self, statistics: ClassStatistics, values: np.ndarray) -> np.ndarray:
        if self.projection is None:
            return values
        if self.projection == "anchored_unit_norm":
            return anchored_unit_norm(values, axis=1)
        return statistics.unit_variance(values)

    def objectives(self) -> list[np.ndarray]:
        """L of every function of every layer, on the averaged statistics."""
        statistics = (self.statistics(i) for i in range(len(self.layers)))
        return [
            np.zeros(0) if s is None else s.value(self._values(layer))
            for layer, s in zip(self.layers, statistics, strict=True)
        ]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Put the mean objective of each layer into the logs."""
        if logs is not None:
            for name, values in zip(self.labels, self.objectives(), strict=True):
                if values.size:
                    logs[f"{name}_correlation"] = float(values.mean())


def _towards(statistics: ClassStatistics, y: np.ndarray, share: float) -> np.ndarray:
    """Part of the way to the exact optimum, with the mean and variance of the present function."""
    try:
        best = solve(statistics).values
    except ValueError:
        return y  # No function of this unit's inputs correlates with any class yet.
    mean = statistics.priors @ statistics.means
    deviation = _deviation(statistics, y) or 1.0
    best = deviation / _deviation(statistics, best) * (best - mean @ best) + mean @ y
    moved = y + share * (best - y)
    spread = _deviation(statistics, moved)
    return moved if spread == 0 else deviation / spread * (moved - mean @ moved) + mean @ y


def _deviation(statistics: ClassStatistics, values: np.ndarray) -> float:
    return float(np.sqrt(max(float(statistics.variance(values)), 0.0)))
