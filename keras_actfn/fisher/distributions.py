"""Predictive distributions: a loss, its gradients, and roots of its Fisher information.

For one example with logits z, a distribution R(y | z) gives the labels y, and L(y, z) is the
loss. The Fisher information of z is H(z) = E_{y ~ R}[∇z L ∇z Lᵀ]. A root of H is a matrix B with
B Bᵀ = H; each of its columns costs one backward pass. Sequence outputs have one distribution per
position; their labels are independent and their losses add.

| class | R | L | H |
|---|---|---|---|
| `Categorical` | categorical, p = softmax(z) | −Σ t_c log p_c | diag(p) − p pᵀ |
| `Bernoulli` | Bernoulli each, p = σ(z) | −Σ (t log p + (1 − t) log(1 − p)) | diag(p (1 − p)) |
| `Normal` | normal with mean z, unit variance | ½ ‖y − z‖² | I |

t are the targets: the labels as one-hot rows (categorical) or as they are. The options of Keras's
losses change L and with it H:

* `label_smoothing` ε: t = (1 − ε) y + ε / C (categorical) or (1 − ε) y + ε / 2 (Bernoulli).
* `ignore_class` k: L is zero at the label k. Drawn labels may be k too, if k is a class.
* `class_weight` w: L at a label c is multiplied by w_c.

Weights of positions (masks, sample weights) and of the loss multiply L as well; `cotangents` takes
them. With such an option E[∇z L] is not zero, and the gradients of two positions are correlated
through their means ḡ. H is then the covariance, one block for each position, plus ḡ ḡᵀ.

Keras averages losses over outputs or positions, and its squared error has no ½. These constants
belong to the optimiser's objective: they and the `reduction` do not enter here.
"""

from typing import Any

import keras
import numpy as np

from .distribution import Distribution

SOFTMAX = "softmax_crossentropy"
SIGMOID = "sigmoid_crossentropy"
SQUARED = "squared_error"


class Categorical(Distribution):
    """Softmax cross-entropy: p = softmax(z), L = −Σ t_c log p_c, ∇z L = (Σ t) p − t."""

    name = SOFTMAX
    activation = "softmax"

    def from_probabilities(self, output: Any) -> Any:
        """Return logits of the distribution with this mean, by `keras.ops`."""
        return keras.ops.log(output + float(np.finfo(np.float32).tiny))

    def mean(self, logits: np.ndarray) -> np.ndarray:
        """Return the mean of R in float64."""
        z = np.asarray(logits, np.float64)
        with np.errstate(all="ignore"):
            e = np.exp(z - z.max(axis=-1, keepdims=True))
            return e / e.sum(axis=-1, keepdims=True)

    def _one_hot(self, classes):
        """Each label's row; that of the ignored class is zero, which makes L zero."""
        rows = np.eye(classes)
        if self.ignore_class is not None and 0 <= self.ignore_class < classes:
            rows[self.ignore_class] = 0.0
        return rows

    def draw(self, mean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Draw one label per example and position, as `gradient` takes them."""
        uniform = generator.random(mean.shape[:-1])
        label = (np.cumsum(mean, axis=-1) < uniform[..., None]).sum(axis=-1)
        return self._one_hot(mean.shape[-1])[np.minimum(label, mean.shape[-1] - 1)]

    def labels(
        self, y: np.ndarray, shape: tuple[int, ...], weights: np.ndarray | None = None
    ) -> np.ndarray:
        """Return one-hot rows from class numbers, or shares as they are.

        Class numbers have the shape of the positions, with or without the axis of classes of size
        one; shares have the shape of the output.
        """
        *positions, classes = shape
        axis = self.axis % len(shape)
        with_axis = (*positions[:axis], 1, *positions[axis:])
        if y.shape in (tuple(positions), with_axis) and (classes > 1 or y.dtype.kind in "iub"):
            return self._rows_of_numbers(y.reshape(positions), classes, weights)
        moved = (*positions[:axis], classes, *positions[axis:])
        if y.shape != moved:
            raise _wrong_shape(y, moved, f" (shares), or {tuple(positions)} (class numbers)")
        if self.ignore_class is not None:
            raise ValueError(
                "ignore_class needs class numbers as labels. Received: labels of shape "
                f"{y.shape}, one share for each class. Pass y.argmax(axis={self.axis})."
            )
        return _shares(np.moveaxis(y, axis, -1), weights)

    def _rows_of_numbers(self, labels, classes, weights):
        skipped = np.zeros(labels.shape, bool) if weights is None else weights == 0
        if self.ignore_class is not None:
            skipped = skipped | (labels == self.ignore_class)
        labels = np.where(skipped, 0, labels)
        with np.errstate(invalid="ignore"):
            whole = labels.astype(np.int64)
        if np.any(whole != labels) or np.any((whole < 0) | (whole >= classes)):
            raise ValueError(
                f"Labels must be whole numbers from 0 to {classes - 1}, the model has {classes} "
                f"outputs; received values from {labels.min()} to {labels.max()}."
            )
        return np.where(skipped[..., None], 0.0, np.eye(classes)[whole])

    def gradient(self, mean: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return ∇z L."""
        targets, classes = labels, mean.shape[-1]
        if self.label_smoothing:
            targets = (1 - self.label_smoothing) * labels + self.label_smoothing / classes
        found = targets.sum(axis=-1, keepdims=True) * mean - targets
        weights = self.weights_of_classes(classes)
        return found if weights is None else found * weights[labels.argmax(axis=-1)][..., None]

    def _gradients(self, mean):
        """∇z L at every label, as (N, …, labels, C)."""
        classes = mean.shape[-1]
        rows = np.broadcast_to(self._one_hot(classes), (*mean.shape[:-1], classes, classes))
        return self.gradient(np.broadcast_to(mean[..., None, :], rows.shape), rows)

    def _ignores_a_class(self, classes):
        return self.ignore_class is not None and 0 <= self.ignore_class < classes

    def mean_gradient(self, mean: np.ndarray) -> np.ndarray | None:
        """Return E[∇z L]; `None` where it is zero."""
        classes = mean.shape[-1]
        if self.class_weight is None and not self._ignores_a_class(classes):
            if not self.label_smoothing:
                return None
            return self.label_smoothing * (mean - 1 / classes)
        return np.einsum("...c,...ck->...k", mean, self._gradients(mean))

    def root(self, mean: np.ndarray) -> np.ndarray:
        """Return columns of a root of the covariance.

        Without options the covariance is diag(p) − p pᵀ, of rank C − 1. Its root
        diag(√p)(I − √p √pᵀ) is rotated by the Householder reflection that sends the first axis to
        √p, which leaves C − 1 columns. Label smoothing multiplies it by 1 − ε. With weights of
        classes or an ignored class there is a column √p_c (∇z L(c) − E[∇z L]) for each label c.
        """
        if self.class_weight is None and not self._ignores_a_class(mean.shape[-1]):
            return (1 - self.label_smoothing) * _softmax_root(mean)
        gradients = self._gradients(mean)
        average = np.einsum("...c,...ck->...k", mean, gradients)
        centred = gradients - average[..., None, :]
        return np.sqrt(mean)[..., None] * centred

    def hessian_root(self, mean: np.ndarray) -> np.ndarray:
        """Return columns whose outer products sum to E[∇²z L]."""
        columns = _softmax_root(mean)
        classes = mean.shape[-1]
        if self.class_weight is None and not self._ignores_a_class(classes):
            return columns
        weights = self._one_hot(classes).sum(axis=-1)
        if self.class_weight is not None:
            weights = weights * self.weights_of_classes(classes)
        return columns * np.sqrt(mean @ weights)[..., None, None]


def _softmax_root(mean):
    v = np.sqrt(mean)
    u = v.copy()
    u[..., 0] += 1.0
    columns = -u[..., None, :] * (v / (1.0 + v[..., :1]))[..., 1:, None]
    columns = columns + np.eye(mean.shape[-1])[1:]
    return columns * v[..., None, :]


class Bernoulli(Distribution):
    """Sigmoid cross-entropy: p = σ(z) for each output, ∇z L = p − t."""

    name = SIGMOID
    activation = "sigmoid"

    def from_probabilities(self, output: Any) -> Any:
        """Return logits of the distribution with this mean, by `keras.ops`."""
        tiny = float(np.finfo(np.float32).tiny)
        return keras.ops.log(output + tiny) - keras.ops.log1p(tiny - output)

    def mean(self, logits: np.ndarray) -> np.ndarray:
        """Return the mean of R in float64."""
        with np.errstate(all="ignore"):
            return np.exp(-np.logaddexp(0.0, -np.asarray(logits, np.float64)))

    def draw(self, mean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Draw one label per example and position, as `gradient` takes them."""
        return (generator.random(mean.shape) < mean).astype(np.float64)

    def labels(
        self, y: np.ndarray, shape: tuple[int, ...], weights: np.ndarray | None = None
    ) -> np.ndarray:
        """Return given labels as `gradient` takes them."""
        return _shares(_values(y, shape, self.axis), weights)

    def gradient(self, mean: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return ∇z L."""
        smoothing = self.label_smoothing
        found = mean - ((1 - smoothing) * labels + smoothing / 2)
        weights = self.weights_of_classes(mean.shape[-1])
        return found if weights is None else found * weights[np.round(labels).astype(np.int64)]

    def weights_of_classes(self, classes: int) -> np.ndarray | None:
        """Return the weights of the labels 0 and 1, or `None`."""
        if self.class_weight is not None and classes != 1:
            raise ValueError(
                "class_weight needs one distribution of classes: a softmax, or one sigmoid. "
                f"Received: a loss of {classes} sigmoids. Pass sample_weight instead."
            )
        return super().weights_of_classes(2)

    def _both(self, mean):
        """∇z L at the labels 0 and 1."""
        return self.gradient(mean, np.zeros(mean.shape)), self.gradient(mean, np.ones(mean.shape))

    def mean_gradient(self, mean: np.ndarray) -> np.ndarray | None:
        """Return E[∇z L]; `None` where it is zero."""
        if not self.label_smoothing and self.class_weight is None:
            return None
        zero, one = self._both(mean)
        return mean * one + (1 - mean) * zero

    def root(self, mean: np.ndarray) -> np.ndarray:
        """Return √(p (1 − p)) (∇z L(1) − ∇z L(0)) for each output."""
        zero, one = self._both(mean)
        return _diagonal(np.sqrt(mean * (1.0 - mean)) * np.abs(one - zero))

    def hessian_root(self, mean: np.ndarray) -> np.ndarray:
        """Return columns whose outer products sum to E[∇²z L]."""
        scale = mean * (1.0 - mean)
        weights = self.weights_of_classes(mean.shape[-1])
        if weights is not None:
            scale = scale * (mean * weights[1] + (1 - mean) * weights[0])
        return _diagonal(np.sqrt(scale))


class Normal(Distribution):
    """Squared error: R is normal with mean z and unit variance, ∇z L = z − y."""

    name = SQUARED

    def mean(self, logits: np.ndarray) -> np.ndarray:
        """Return the mean of R in float64."""
        return np.asarray(logits, np.float64)

    def weights_of_classes(self, classes: int) -> None:
        """Refuse weights of classes: a squared error has no classes."""
        if self.class_weight is not None:
            raise ValueError(
                "class_weight needs a loss with classes. Received: the squared error. Pass "
                "sample_weight instead."
            )

    def draw(self, mean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Draw one label per example and position, as `gradient` takes them."""
        return mean + generator.standard_normal(mean.shape)

    def labels(
        self, y: np.ndarray, shape: tuple[int, ...], weights: np.ndarray | None = None
    ) -> np.ndarray:
        """Return given labels as `gradient` takes them."""
        y = _values(y, shape, self.axis).astype(np.float64)
        return y if weights is None else np.where(weights[..., None] == 0, 0.0, y)

    def gradient(self, mean: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return ∇z L."""
        return mean - labels

    def mean_gradient(self, mean: np.ndarray) -> np.ndarray | None:
        """Return E[∇z L]; `None` where it is zero."""
        return None

    def root(self, mean: np.ndarray) -> np.ndarray:
        """Return columns whose outer products sum to the covariance of ∇z L."""
        return _diagonal(np.ones_like(mean))

    hessian_root = root


#: The distributions by the name of their loss.
DISTRIBUTIONS = {kind.name: kind for kind in (Categorical, Bernoulli, Normal)}


def _diagonal(scale):
    return scale[..., None, :] * np.eye(scale.shape[-1])


def _values(y, shape, axis):
    """Labels of the output's shape, or without its axis of size one; classes moved last."""
    *positions, classes = shape
    axis %= len(shape)
    moved = (*positions[:axis], classes, *positions[axis:])
    if y.shape != moved and _squeezed(y.shape) != _squeezed(moved):
        raise _wrong_shape(y, moved)
    return np.moveaxis(y.reshape(moved), axis, -1)


def _squeezed(shape):
    """A shape without its last axis, if that has size one; the batch stays."""
    return tuple(shape[:-1]) if len(shape) > 1 and shape[-1] == 1 else tuple(shape)


def _shares(y, weights):
    y = y.astype(np.float64)
    if weights is not None:
        y = np.where(weights[..., None] == 0, 0.0, y)
    if not np.all((y >= 0) & (y <= 1)):
        raise ValueError(
            f"Labels of a cross-entropy must lie from 0 to 1; received values from {y.min()} to "
            f"{y.max()}."
        )
    return y


def _wrong_shape(y, shape, alternatives=""):
    return ValueError(
        f"Labels must match the model's output: shape {tuple(shape)}{alternatives}; received an "
        f"array of shape {y.shape}."
    )
