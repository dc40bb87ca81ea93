"""The distribution that a loss stands for, with its options, and the weights of positions.

Every option of an accepted loss is honoured or refused. What Keras's losses have, and what
becomes of it:

| option | |
|---|---|
| `from_logits`, `axis` | say where the logits are |
| `label_smoothing`, `ignore_class` | change the loss, and with it the spectrum |
| `loss_weights` of `compile` | multiplies the loss |
| masks (`Embedding(mask_zero=True)`, `Masking`) that reach the output | weigh the positions |
| `reduction`, `dtype`, `name` | do not enter: losses of one example are summed |
| anything else | refused |

Losses that are not the negative log-likelihood of a known distribution (focal and generalized
cross-entropies, hinges, …), classes and functions that are not Keras's own, and several losses
are refused.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from .._names import nearest
from ..models.objective import compiled_loss, computes_its_own_loss, loss_arguments
from .distribution import Distribution
from .distributions import DISTRIBUTIONS, SIGMOID, SOFTMAX, SQUARED

#: Names of Keras's losses, and what they are.
LOSSES = {
    "categorical_crossentropy": SOFTMAX,
    "sparse_categorical_crossentropy": SOFTMAX,
    "binary_crossentropy": SIGMOID,
    "mean_squared_error": SQUARED,
}
_HONOURED = ("from_logits", "axis", "label_smoothing", "ignore_class")


def read_loss(
    loss: Any, scale: float = 1.0, class_weight: Mapping[int, float] | None = None
) -> Distribution:
    """Return the distribution of a loss.

    Args:
        loss: A name, a Keras loss function or a Keras loss object; or a list or dictionary that
            holds one.
        scale: Factor of the loss.
        class_weight: Weights of labels, as in `Model.fit`.

    Raises:
        ValueError: If no Fisher information is defined here for the loss, or one of its options
            is unknown.
    """
    parts = keras.tree.flatten(loss)
    if len(parts) != 1:
        raise ValueError(
            "A Fisher spectrum is defined for one output and one loss; received the losses "
            f"{loss!r}. Build a keras.Model with the output of interest and pass its loss."
        )
    (loss,) = parts
    if isinstance(loss, str) and loss in DISTRIBUTIONS:
        return DISTRIBUTIONS[loss](scale=scale, class_weight=class_weight)
    name, settings = _keras_loss(loss)
    unknown = sorted(set(settings) - set(_HONOURED))
    if unknown:
        raise ValueError(
            f"The options of {name} that a Fisher spectrum honours are {', '.join(_HONOURED)}. "
            f"Received: {', '.join(unknown)}. Pass a loss without, or another loss=."
        )
    kind = DISTRIBUTIONS[LOSSES[name]]
    if kind.activation is not None:
        settings.setdefault("from_logits", False)
    return kind(**settings, scale=scale, class_weight=class_weight)


def _keras_loss(loss):
    """The name in `LOSSES` and the settings of one of Keras's losses."""
    given, settings = loss, {}
    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError:
            raise _no_distribution(given) from None
    if isinstance(loss, keras.losses.Loss):
        settings = loss_arguments(loss)
        own = type(loss).__module__.startswith("keras.")
        loss = getattr(loss, "fn", None) if own else None
    for name in LOSSES:
        if loss is getattr(keras.losses, name):
            return name, settings
    raise _no_distribution(given)


def _no_distribution(loss):
    if isinstance(loss, str):
        what = repr(loss)
    elif isinstance(loss, keras.losses.Loss):
        what = repr(type(loss).__name__)
    else:
        what = repr(getattr(loss, "__name__", loss))
    hint = nearest(loss, [*DISTRIBUTIONS, *LOSSES]) if isinstance(loss, str) else ""
    return ValueError(
        f"No Fisher information is defined for the loss {what}: it must be the negative "
        f"log-likelihood of a known distribution. Pass loss={SOFTMAX!r}, {SIGMOID!r} or "
        f"{SQUARED!r}, or one of Keras's {', '.join(LOSSES)}. {hint}".rstrip()
    )


def distribution_of(
    model: keras.Model,
    loss: Any = None,
    final: Any = None,
    class_weight: Mapping[int, float] | None = None,
) -> Distribution:
    """Return the distribution from the argument, the compiled model, or a final softmax.

    Args:
        model: The Keras model.
        loss: A loss, or `None`.
        final: The softmax or sigmoid that the model ends in (a `tapping.Final`), or `None`.
        class_weight: Weights of labels, as in `Model.fit`.

    Raises:
        ValueError: If none of the three says what the distribution is, if the compiled loss is not
            what the model minimises, or if a loss or one of its options is not known.
    """
    if loss is not None:
        return read_loss(loss, class_weight=class_weight)
    compiled, weights = compiled_loss(model)
    if compiled is not None:
        if computes_its_own_loss(model):
            raise ValueError(
                f"The class {type(model).__name__} computes its own loss, which need not be the "
                f"compiled one. Pass loss={SOFTMAX!r}, {SIGMOID!r} or {SQUARED!r}, or one of "
                "Keras's losses."
            )
        return read_loss(compiled, _scale(weights), class_weight)
    for kind in DISTRIBUTIONS.values():
        if final is not None and final.kind == kind.activation:
            return kind(from_logits=False, axis=final.axis, class_weight=class_weight)
    raise ValueError(
        "The predictive distribution is unknown: the model is not compiled with a loss, and it "
        f"does not end in a softmax or sigmoid. Pass loss={SOFTMAX!r}, {SIGMOID!r} or {SQUARED!r}."
    )


def _scale(loss_weights):
    if loss_weights is None:
        return 1.0
    weights = keras.tree.flatten(loss_weights)
    if len(weights) != 1 or not np.isfinite(weights[0]) or weights[0] < 0:
        raise ValueError(
            "A Fisher spectrum needs one loss weight, finite and not negative. Received: "
            f"loss_weights={loss_weights!r} in compile()."
        )
    return float(weights[0])


def position_weights(
    shape: tuple[int, ...], mask: np.ndarray | None, sample_weight: np.ndarray | None
) -> np.ndarray | None:
    """Return the factor of the loss at each position, or `None` where all are one.

    Args:
        shape: Shape of the logits, (N, …, C).
        mask: The mask of the output, of shape (N, …), or `None`.
        sample_weight: Weights of examples, of shape (N,), or of positions, of shape (N, …); both
            may have a last axis of size one.

    Returns:
        Float64 array of shape (N, …), or `None`.

    Raises:
        ValueError: If a shape does not fit, or a weight is negative or not finite.
    """
    positions = tuple(shape[:-1])
    if mask is None and sample_weight is None:
        return None
    weights = np.ones(positions)
    if mask is not None:
        if mask.shape not in (positions, (*positions, 1)):
            raise ValueError(
                "A mask on the model's output has one value for each of its losses, of shape "
                f"{positions}. Received: a mask of shape {mask.shape}. Remove the mask before the "
                "output, as GlobalAveragePooling1D does."
            )
        weights = weights * mask.reshape(positions).astype(bool)
    if sample_weight is not None:
        given = np.asarray(sample_weight, np.float64)
        if not np.isfinite(given).all() or np.any(given < 0):
            raise ValueError(
                "Sample weights are finite and not negative. Received: values from "
                f"{given.min()} to {given.max()}."
            )
        samples = positions[:1]
        if given.shape in (positions, (*positions, 1)):
            given = given.reshape(positions)
        elif given.shape in (samples, (*samples, 1)):
            given = given.reshape(*samples, *(1 for _ in positions[1:]))
        else:
            raise ValueError(
                f"Sample weights have the shape {samples} of the examples or {positions} of the "
                f"positions. Received: shape {given.shape}."
            )
        weights = weights * given
    return weights
