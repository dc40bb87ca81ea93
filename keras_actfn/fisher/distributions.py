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

Vocabulary: *mean* is the mean of R, of shape (N, …, C); *positions* are the axes between batch and
classes; *columns* have shape (N, …, columns, C).
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

SOFTMAX = "softmax_crossentropy"
SIGMOID = "sigmoid_crossentropy"
SQUARED = "squared_error"
MODES = ("exact", "sampled", "empirical", "ggn")
_MAX_COLUMNS = 4096


class Distribution:
    """A predictive distribution R with its loss L; subclasses write the formulas.

    Args:
        from_logits: Whether the model's outputs are logits. `None`: they are, unless the model
            ends in the activation of this distribution.
        axis: The outputs' axis of classes.
        label_smoothing: ε.
        ignore_class: The label whose loss is zero, or `None`.
        class_weight: Weights of labels by their number; labels that are left out weigh 1.
        scale: Factor of the loss.

    Attributes:
        name: The loss, as `fisher_spectrum(loss=…)` takes it.
        activation: The activation that turns logits into the mean; `None` for the identity.
    """

    name: str
    activation: str | None = None

    def __init__(
        self,
        from_logits: bool | None = None,
        axis: int = -1,
        label_smoothing: float = 0.0,
        ignore_class: int | None = None,
        class_weight: Mapping[int, float] | None = None,
        scale: float = 1.0,
    ):
        self.from_logits = from_logits
        self.axis = axis
        self.label_smoothing = float(label_smoothing or 0.0)
        self.ignore_class = ignore_class
        self.class_weight = None if class_weight is None else dict(class_weight)
        self.scale = float(scale)

    @property
    def options(self) -> dict[str, Any]:
        """What makes L differ from the negative log-likelihood; empty if nothing does."""
        values = {
            "label_smoothing": self.label_smoothing or None,
            "ignore_class": self.ignore_class,
            "class_weight": self.class_weight,
            "scale": None if self.scale == 1 else self.scale,
        }
        return {name: value for name, value in values.items() if value is not None}

    # Formulas: written by subclasses.

    def from_probabilities(self, output):
        """Return logits of the distribution with this mean, by `keras.ops`."""
        raise NotImplementedError

    def mean(self, logits: np.ndarray) -> np.ndarray:
        """Return the mean of R in float64."""
        raise NotImplementedError

    def draw(self, mean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Draw one label per example and position, as `gradient` takes them."""
        raise NotImplementedError

    def labels(self, y: np.ndarray, shape: tuple[int, ...], weights=None) -> np.ndarray:
        """Return given labels as `gradient` takes them.

        Args:
            y: The labels.
            shape: Shape of the logits.
            weights: Weights of the positions or `None`; where they are zero, labels may be
                anything.

        Raises:
            ValueError: If the labels are of another shape or out of range.
        """
        raise NotImplementedError

    def gradient(self, mean: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return ∇z L."""
        raise NotImplementedError

    def mean_gradient(self, mean: np.ndarray) -> np.ndarray | None:
        """Return E[∇z L]; `None` where it is zero."""
        raise NotImplementedError

    def root(self, mean: np.ndarray) -> np.ndarray:
        """Return columns whose outer products sum to the covariance of ∇z L."""
        raise NotImplementedError

    def hessian_root(self, mean: np.ndarray) -> np.ndarray:
        """Return columns whose outer products sum to E[∇²z L]."""
        raise NotImplementedError

    # The rest is the same for all.

    def logits_of(self, output, final=None):
        """Return the logits behind a model's output, classes last, by `keras.ops`.

        Where the output is of probabilities but the activation that made them was not seen, log p
        (softmax) or log p − log(1 − p) (sigmoid) is the same distribution's logits: exact, but
        less accurate when the probabilities are within rounding of 0 or 1.

        Args:
            output: The model's output.
            final: The softmax or sigmoid that made it (a `tapping.Final`), or `None`.

        Raises:
            ValueError: If the axis does not exist, or logits are expected where the model ends
                in a softmax or sigmoid.
        """
        rank = len(output.shape)
        if not -rank <= self.axis < rank or self.axis % rank == 0:
            raise ValueError(
                f"The loss's axis is one of the output's axes 1 to {rank - 1}, the output has the "
                f"shape {tuple(output.shape)}. Received: axis={self.axis}."
            )
        axis = self.axis % rank
        if self.label_smoothing and self.activation == "softmax" and axis != rank - 1:
            raise ValueError(
                "Label smoothing needs the classes on the last axis: on another one Keras divides "
                f"by the size of the wrong axis. Received: axis={self.axis}. Move the classes to "
                "the last axis of the model's output."
            )
        made_here = final is not None and final.kind == self.activation
        made_here = made_here and (final.kind == "sigmoid" or final.axis % rank == axis)
        if final is not None and self.activation is not None:
            self._check_end(final, made_here)
        if made_here:
            output = final.logits
        elif self.from_logits is False and self.activation is not None:
            output = self.from_probabilities(output)
        return output if axis == rank - 1 else keras.ops.moveaxis(output, axis, -1)

    def _check_end(self, final, made_here):
        """Refuse what TensorFlow computes otherwise: it looks for logits before an activation."""
        if made_here and self.from_logits:
            raise ValueError(
                f"The loss has from_logits=True, but the model ends in a {final.kind}: Keras "
                "applies it twice on some backends, once on others. Remove the activation, or "
                "pass a loss with from_logits=False."
            )
        if not made_here and self.from_logits is not None:
            raise ValueError(
                f"The loss {self.name!r} on axis {self.axis} does not fit the model's last "
                f"activation, a {final.kind} on axis {final.axis}: Keras uses the values before "
                "it on some backends, those after it on others. End the model in a "
                f"{self.activation} on axis {self.axis}, or pass another loss."
            )

    def check_output(self, output: np.ndarray) -> None:
        """Refuse an output that the loss takes for probabilities but that cannot be any.

        Raises:
            ValueError: If a value lies outside 0…1 (NaN is let through: it makes the spectrum
                invalid).
        """
        if self.activation is None or self.from_logits is not False:
            return
        if np.any((output < -1e-3) | (output > 1.001)):
            raise ValueError(
                "The loss takes probabilities, but the model's outputs range from "
                f"{np.nanmin(output):.4g} to {np.nanmax(output):.4g}. End the model in a softmax "
                "or sigmoid, or give the loss from_logits=True."
            )

    def weights_of_classes(self, classes: int) -> np.ndarray | None:
        """Return `class_weight` as an array of shape (classes,), or `None`.

        Raises:
            ValueError: If a key is not a class, or a weight is negative or not finite.
        """
        if self.class_weight is None:
            return None
        weights = np.ones(classes)
        for label, weight in self.class_weight.items():
            if label not in range(classes):
                raise ValueError(
                    f"class_weight has the classes 0 to {classes - 1} as keys. Received: {label!r}."
                )
            if not np.isfinite(weight) or weight < 0:
                raise ValueError(
                    "Class weights are finite and not negative. Received: "
                    f"{weight!r} for class {label!r}."
                )
            weights[label] = weight
        return weights

    def cotangents(
        self, logits: np.ndarray, mode: str, y=None, seed=None, weights: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the vectors to send backwards from the logits.

        * `exact`: the columns of a root of H, so that Σ_k v_k v_kᵀ = H.
        * `ggn`: those of a root of E[∇²z L]; the same where the loss has no options.
        * `sampled`: ∇z L at one label per example and position drawn from R, by NumPy's generator
          with `seed`: the same labels on every backend.
        * `empirical`: ∇z L at the labels `y`.

        Args:
            logits: Shape (N, …, C).
            mode: One of `MODES`.
            y: Labels, for `empirical`.
            seed: Seed or NumPy generator, for `sampled`.
            weights: Factors of the loss at each position, shape (N, …), or `None`.

        Returns:
            Float64 array of shape (columns, N, …, C).

        Raises:
            ValueError: If the labels are missing, of another shape or out of range, or if there
                are too many columns.
        """
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}; received {mode!r}.")
        self.weights_of_classes(logits.shape[-1])
        mean = self.mean(logits)
        if mode == "empirical":
            if y is None:
                raise ValueError("mode='empirical' needs the labels: pass y.")
            y = np.asarray(keras.ops.convert_to_numpy(y))
            found = self.gradient(mean, self.labels(y, logits.shape, weights))[None]
        elif mode == "sampled":
            found = self.gradient(mean, self.draw(mean, np.random.default_rng(seed)))[None]
        elif mode == "ggn":
            factor = None if weights is None else np.sqrt(weights)
            return np.sqrt(self.scale) * _apart(_weighted(self.hessian_root(mean), factor, -2))
        else:
            columns = _apart(_weighted(self.root(mean), weights, -2))
            shared = self.mean_gradient(mean)
            if shared is None:
                return self.scale * columns
            return self.scale * np.concatenate([columns, _weighted(shared, weights)[None]])
        return self.scale * _weighted(found, weights)


def _weighted(values, weights, *axes):
    """Values of shape (…, C), or (…, columns, C) with axis −2, times weights of shape (…)."""
    return values if weights is None else values * np.expand_dims(weights, (-1, *axes))


def _apart(columns):
    """Columns of each position, (N, …, columns, C), as columns of all positions together."""
    samples, *positions, width, classes = columns.shape
    count = int(np.prod(positions, dtype=np.int64))
    if width * count > _MAX_COLUMNS:
        raise ValueError(
            f"mode='exact' needs one backward pass for each of {width * count} columns of the loss "
            f"Hessian's root ({count} positions of {classes} outputs), more than "
            f"{_MAX_COLUMNS}. Use mode='sampled'."
        )
    if count == 1:
        return np.moveaxis(columns.reshape(samples, width, classes), 1, 0).reshape(
            width, samples, *positions, classes
        )
    columns = columns.reshape(samples, count, width, classes)
    result = np.zeros((width, count, samples, count, classes))
    for t in range(count):
        result[:, t, :, t] = columns[:, t].transpose(1, 0, 2)
    return result.reshape(width * count, samples, *positions, classes)


class Categorical(Distribution):
    """Softmax cross-entropy: p = softmax(z), L = −Σ t_c log p_c, ∇z L = (Σ t) p − t."""

    name = SOFTMAX
    activation = "softmax"

    def from_probabilities(self, output):  # noqa: D102
        return keras.ops.log(output + float(np.finfo(np.float32).tiny))

    def mean(self, logits):  # noqa: D102
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

    def draw(self, mean, generator):  # noqa: D102
        uniform = generator.random(mean.shape[:-1])
        label = (np.cumsum(mean, axis=-1) < uniform[..., None]).sum(axis=-1)
        return self._one_hot(mean.shape[-1])[np.minimum(label, mean.shape[-1] - 1)]

    def labels(self, y, shape, weights=None):
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

    def gradient(self, mean, labels):  # noqa: D102
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

    def mean_gradient(self, mean):  # noqa: D102
        classes = mean.shape[-1]
        if self.class_weight is None and not self._ignores_a_class(classes):
            if not self.label_smoothing:
                return None
            return self.label_smoothing * (mean - 1 / classes)
        return np.einsum("...c,...ck->...k", mean, self._gradients(mean))

    def root(self, mean):
        """Return columns of a root of the covariance.

        Without options the covariance is diag(p) − p pᵀ, of rank C − 1. Its root
        diag(√p)(I − √p √pᵀ) is rotated by the Householder reflection that sends the first axis to
        √p, which leaves C − 1 columns. Label smoothing multiplies it by 1 − ε. With weights of
        classes or an ignored class there is a column √p_c (∇z L(c) − E[∇z L]) for each label c.
        """
        if self.class_weight is None and not self._ignores_a_class(mean.shape[-1]):
            return (1 - self.label_smoothing) * _softmax_root(mean)
        centred = self._gradients(mean) - self.mean_gradient(mean)[..., None, :]
        return np.sqrt(mean)[..., None] * centred

    def hessian_root(self, mean):  # noqa: D102
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

    def from_probabilities(self, output):  # noqa: D102
        tiny = float(np.finfo(np.float32).tiny)
        return keras.ops.log(output + tiny) - keras.ops.log1p(tiny - output)

    def mean(self, logits):  # noqa: D102
        with np.errstate(all="ignore"):
            return np.exp(-np.logaddexp(0.0, -np.asarray(logits, np.float64)))

    def draw(self, mean, generator):  # noqa: D102
        return (generator.random(mean.shape) < mean).astype(np.float64)

    def labels(self, y, shape, weights=None):  # noqa: D102
        return _shares(_values(y, shape, self.axis), weights)

    def gradient(self, mean, labels):  # noqa: D102
        smoothing = self.label_smoothing
        found = mean - ((1 - smoothing) * labels + smoothing / 2)
        weights = self.weights_of_classes(mean.shape[-1])
        return found if weights is None else found * weights[np.round(labels).astype(np.int64)]

    def weights_of_classes(self, classes):
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

    def mean_gradient(self, mean):  # noqa: D102
        if not self.label_smoothing and self.class_weight is None:
            return None
        zero, one = self._both(mean)
        return mean * one + (1 - mean) * zero

    def root(self, mean):
        """Return √(p (1 − p)) (∇z L(1) − ∇z L(0)) for each output."""
        zero, one = self._both(mean)
        return _diagonal(np.sqrt(mean * (1.0 - mean)) * np.abs(one - zero))

    def hessian_root(self, mean):  # noqa: D102
        scale = mean * (1.0 - mean)
        weights = self.weights_of_classes(mean.shape[-1])
        if weights is not None:
            scale = scale * (mean * weights[1] + (1 - mean) * weights[0])
        return _diagonal(np.sqrt(scale))


class Normal(Distribution):
    """Squared error: R is normal with mean z and unit variance, ∇z L = z − y."""

    name = SQUARED

    def mean(self, logits):  # noqa: D102
        return np.asarray(logits, np.float64)

    def weights_of_classes(self, classes):  # noqa: D102
        if self.class_weight is not None:
            raise ValueError(
                "class_weight needs a loss with classes. Received: the squared error. Pass "
                "sample_weight instead."
            )

    def draw(self, mean, generator):  # noqa: D102
        return mean + generator.standard_normal(mean.shape)

    def labels(self, y, shape, weights=None):  # noqa: D102
        y = _values(y, shape, self.axis).astype(np.float64)
        return y if weights is None else np.where(weights[..., None] == 0, 0.0, y)

    def gradient(self, mean, labels):  # noqa: D102
        return mean - labels

    def mean_gradient(self, mean):  # noqa: D102
        return None

    def root(self, mean):  # noqa: D102
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
