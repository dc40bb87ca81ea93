"""The base class of predictive distributions: what is the same for all; see `distributions`.

Vocabulary: *mean* is the mean of R, of shape (N, …, C); *positions* are the axes between batch and
classes; *columns* have shape (N, …, columns, C).
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

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

    def from_probabilities(self, output: Any) -> Any:
        """Return logits of the distribution with this mean, by `keras.ops`."""
        raise NotImplementedError

    def mean(self, logits: np.ndarray) -> np.ndarray:
        """Return the mean of R in float64."""
        raise NotImplementedError

    def draw(self, mean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Draw one label per example and position, as `gradient` takes them."""
        raise NotImplementedError

    def labels(
        self, y: np.ndarray, shape: tuple[int, ...], weights: np.ndarray | None = None
    ) -> np.ndarray:
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

    def logits_of(self, output: Any, final: Any = None) -> Any:
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
        self,
        logits: np.ndarray,
        mode: str,
        y: np.ndarray | None = None,
        seed: int | None = None,
        weights: np.ndarray | None = None,
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
