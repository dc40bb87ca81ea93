"""The metrics that the atlas's tasks are judged by, for arrays and as Keras metrics.

accuracy      share of the examples whose largest logit is that of their class
rmse          √mean (ŷ − y)²
crossentropy  mean cross-entropy, in nats
bits          mean cross-entropy of the next character, −log₂ p
psnr          −10 log₁₀ mean (ŷ − y)², in decibels, for values in [0, 1]
log10_error   log₁₀ of the relative error, √(Σ (ŷ − y)² / Σ y²)
"""

import dataclasses
import math
from collections.abc import Callable

import keras
import numpy as np
from keras import ops


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        mode: `"max"` or `"min"`: whether more or less is better.
        value: Function of the mean loss, of outputs and of targets, as arrays.
        of_keras: Function that makes the Keras metric, whose name is the metric's.
    """

    mode: str
    value: Callable[[float, np.ndarray, np.ndarray], float]
    of_keras: Callable[[], keras.metrics.Metric]


class _FromSquares(keras.metrics.Metric):
    """A function of the sums Σ (ŷ − y)², Σ y² and of the number of values."""

    def __init__(self, name, function):
        super().__init__(name=name)
        self.function = function
        self.sums = [
            self.add_variable((), "zeros", name=sum_) for sum_ in ("errors", "squares", "count")
        ]

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch."""
        y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        for total, more in zip(
            self.sums,
            (
                ops.sum(ops.square(y_true - y_pred)),
                ops.sum(ops.square(y_true)),
                ops.sum(ops.ones_like(y_pred)),
            ),
            strict=True,
        ):
            total.assign_add(more)

    def result(self):
        """The metric."""
        return self.function(*self.sums)


def _log10(x):
    return ops.log(x) / math.log(10)


def _bits(y_true, y_pred):
    nats = keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
    return nats / math.log(2)


def _accuracy(loss, outputs, targets):
    return float((outputs.argmax(-1) == targets).mean())


def _relative(loss, outputs, targets):
    errors = np.square(outputs.astype("float64") - targets).sum()
    return float(0.5 * np.log10(errors / np.square(targets.astype("float64")).sum()))


#: The metrics by name.
METRICS = {
    "accuracy": Metric(
        "max", _accuracy, lambda: keras.metrics.SparseCategoricalAccuracy("accuracy")
    ),
    "rmse": Metric(
        "min",
        lambda loss, outputs, targets: math.sqrt(loss),
        lambda: keras.metrics.RootMeanSquaredError("rmse"),
    ),
    "crossentropy": Metric(
        "min",
        lambda loss, outputs, targets: loss,
        lambda: keras.metrics.SparseCategoricalCrossentropy("crossentropy", from_logits=True),
    ),
    "bits": Metric(
        "min",
        lambda loss, outputs, targets: loss / math.log(2),
        lambda: keras.metrics.MeanMetricWrapper(_bits, "bits"),
    ),
    "psnr": Metric(
        "max",
        lambda loss, outputs, targets: -10 * math.log10(max(loss, 1e-30)),
        lambda: _FromSquares("psnr", lambda errors, squares, n: -10 * _log10(errors / n)),
    ),
    "log10_error": Metric(
        "min",
        _relative,
        lambda: _FromSquares(
            "log10_error", lambda errors, squares, n: _log10(errors / squares) / 2
        ),
    ),
}
