"""The model's predictive distribution: logits, and roots of the loss's Hessian.

For one example with logits z the loss is the negative log-likelihood of a predictive
distribution R(y | z), and the Fisher information of z is H(z) = E_y[∇z L ∇z Lᵀ]. A root
of H is a matrix B, one column a backward pass, with B Bᵀ = H. Sequence outputs have one
distribution per position; their log-likelihoods add.

| loss | R | L | H |
|---|---|---|---|
| softmax cross-entropy | categorical, p = softmax(z) | −log p_y | diag(p) − p pᵀ |
| sigmoid cross-entropy | Bernoulli each, p = σ(z) | −Σ log p(y_k) | diag(p (1 − p)) |
| squared error | normal with mean z, unit variance | ½ ‖y − z‖² | I |

Keras averages its losses over outputs and its squared error lacks the ½; these
constants belong to the optimiser's objective, not to R, and do not enter here.
"""

import keras
import numpy as np

SOFTMAX = "softmax_crossentropy"
SIGMOID = "sigmoid_crossentropy"
SQUARED = "squared_error"

_FAMILIES = {
    "softmaxcrossentropy": (SOFTMAX, None),
    "categoricalcrossentropy": (SOFTMAX, False),
    "sparsecategoricalcrossentropy": (SOFTMAX, False),
    "sigmoidcrossentropy": (SIGMOID, None),
    "binarycrossentropy": (SIGMOID, False),
    "squarederror": (SQUARED, True),
    "meansquarederror": (SQUARED, True),
    "mse": (SQUARED, True),
}
MODES = ("exact", "sampled", "empirical", "ggn")
_MAX_COLUMNS = 4096


def loss_family(loss) -> tuple[str, bool | None]:
    """Return the family of a loss, and whether it takes logits.

    Keras losses take probabilities unless made with `from_logits=True`. For the names of this
    module the answer is `None`: probabilities if the model ends in a softmax or sigmoid.

    Args:
        loss: A name, a Keras loss function or a Keras loss object.

    Raises:
        ValueError: If no Fisher information is defined here for the loss.
    """
    from_logits = None
    name = loss
    if isinstance(loss, keras.losses.Loss):
        name = type(loss).__name__
        settings = getattr(loss, "_fn_kwargs", None) or {}
        from_logits = settings.get("from_logits", getattr(loss, "from_logits", None))
        function = getattr(loss, "fn", None)
        if name == "LossFunctionWrapper" and function is not None:
            name = function.__name__
    elif callable(loss):
        name = getattr(loss, "__name__", repr(loss))
    elif isinstance(loss, (dict, list, tuple)):
        raise ValueError(
            "A Fisher spectrum is defined for one output and one loss; received the losses "
            f"{loss!r}. Build a keras.Model with the output of interest and pass its loss."
        )
    key = str(name).lower().replace("_", "")
    if key not in _FAMILIES:
        raise ValueError(
            f"No Fisher information is defined for the loss {name!r}: it must be the negative "
            f"log-likelihood of a known distribution. Pass loss={SOFTMAX!r}, {SIGMOID!r} or "
            f"{SQUARED!r}, or one of Keras's cross-entropies or mean_squared_error."
        )
    family, default = _FAMILIES[key]
    return family, default if from_logits is None or family == SQUARED else from_logits


def resolve_loss(model, loss, final_activation: str | None) -> tuple[str, bool | None]:
    """Return the loss family from the argument, the compiled model, or a final softmax.

    Args:
        model: The Keras model.
        loss: The `loss` argument, or `None`.
        final_activation: `"softmax"` or `"sigmoid"` when the model ends in one, else `None`.

    Raises:
        ValueError: If none of the three says what the predictive distribution is.
    """
    if loss is None:
        loss = getattr(model, "loss", None)
    if loss is not None:
        return loss_family(loss)
    if final_activation == "softmax":
        return SOFTMAX, False
    if final_activation == "sigmoid":
        return SIGMOID, False
    raise ValueError(
        "The predictive distribution is unknown: the model is not compiled with a loss, and it "
        f"does not end in a softmax or sigmoid. Pass loss={SOFTMAX!r}, {SIGMOID!r} or {SQUARED!r}."
    )


def find_logits(output, family: str, from_logits: bool | None, kind: str | None, logits):
    """Return the logits behind a model's output, by `keras.ops`.

    Where the output is of probabilities but the layer that made them was not seen, log p
    (softmax) or log p − log(1 − p) (sigmoid) is the same distribution's logits: exact, but less
    accurate when the probabilities are within rounding of 0 or 1.

    Args:
        output: The model's output.
        family: The loss family.
        from_logits: As `resolve_loss` returns it.
        kind: `"softmax"` or `"sigmoid"` if that made the output, else `None`.
        logits: The tensor that went into it.
    """
    if from_logits or family == SQUARED:
        return output
    if kind == {SOFTMAX: "softmax", SIGMOID: "sigmoid"}[family]:
        return logits
    if from_logits is None:
        return output
    ops = keras.ops
    tiny = float(np.finfo(np.float32).tiny)
    if family == SIGMOID:
        return ops.log(output + tiny) - ops.log1p(tiny - output)
    return ops.log(output + tiny)


def check_probabilities(output: np.ndarray, family: str, from_logits: bool | None) -> None:
    """Refuse an output that a loss takes for probabilities but that cannot be any.

    Raises:
        ValueError: If a value lies outside 0…1 (NaN is let through: it makes the spectrum invalid).
    """
    if from_logits is False and family != SQUARED and np.any((output < -1e-3) | (output > 1.001)):
        raise ValueError(
            "The loss takes probabilities, but the model's outputs range from "
            f"{np.nanmin(output):.4g} to {np.nanmax(output):.4g}. End the model in a softmax or "
            "sigmoid, or give the loss from_logits=True."
        )


def probabilities(logits: np.ndarray, family: str) -> np.ndarray:
    """Return the distribution's mean in float64: softmax, sigmoid or the logits themselves."""
    z = np.asarray(logits, np.float64)
    with np.errstate(all="ignore"):
        if family == SOFTMAX:
            e = np.exp(z - z.max(axis=-1, keepdims=True))
            return e / e.sum(axis=-1, keepdims=True)
        if family == SIGMOID:
            return np.exp(-np.logaddexp(0.0, -z))
    return z


def cotangents(logits: np.ndarray, family: str, mode: str, y=None, seed=None) -> np.ndarray:
    """Return the vectors to send backwards from the logits.

    * `exact`, `ggn`: the columns of a root of H, so that Σ_k v_k v_kᵀ = H. The softmax's H
      has rank C − 1; its root diag(√p)(I − √p √pᵀ) is rotated by the Householder reflection
      that sends the first axis to √p, which leaves C − 1 columns.
    * `sampled`: ∇z L at one label per example drawn from R, by NumPy's generator with
      `seed`: the same labels on every backend.
    * `empirical`: ∇z L at the labels `y`.

    Args:
        logits: Shape (N, …, C).
        family: One of the loss families.
        mode: One of `MODES`.
        y: Labels, for `empirical`.
        seed: Seed or NumPy generator, for `sampled`.

    Returns:
        Float64 array of shape (columns, N, …, C).
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}; received {mode!r}.")
    mean = probabilities(logits, family)
    if mode == "empirical":
        return (mean - targets(y, logits.shape, family))[None]
    if mode == "sampled":
        return (mean - draw(mean, family, np.random.default_rng(seed)))[None]
    return _root(mean, family)


def draw(mean: np.ndarray, family: str, generator: np.random.Generator) -> np.ndarray:
    """Draw one label per example from the predictive distribution with these means."""
    if family == SQUARED:
        return mean + generator.standard_normal(mean.shape)
    uniform = generator.random(mean.shape if family == SIGMOID else mean.shape[:-1])
    if family == SIGMOID:
        return (uniform < mean).astype(np.float64)
    label = (np.cumsum(mean, axis=-1) < uniform[..., None]).sum(axis=-1)
    return np.eye(mean.shape[-1])[np.minimum(label, mean.shape[-1] - 1)]


def _root(mean, family):
    classes = mean.shape[-1]
    positions = int(np.prod(mean.shape[1:-1], dtype=np.int64))
    if family == SOFTMAX:
        v = np.sqrt(mean)
        u = v.copy()
        u[..., 0] += 1.0
        columns = -u[..., None, :] * (v / (1.0 + v[..., :1]))[..., 1:, None]
        columns = columns + np.eye(classes)[1:]
        columns = columns * v[..., None, :]
    else:
        scale = np.sqrt(mean * (1.0 - mean)) if family == SIGMOID else np.ones_like(mean)
        columns = scale[..., None, :] * np.eye(classes)
    count = columns.shape[-2] * positions
    if count > _MAX_COLUMNS:
        raise ValueError(
            f"mode='exact' needs one backward pass for each of {count} columns of the loss "
            f"Hessian's root ({positions} positions of {classes} outputs), more than "
            f"{_MAX_COLUMNS}. Use mode='sampled'."
        )
    if positions == 1:
        return np.moveaxis(columns, -2, 0)
    samples = len(mean)
    columns = columns.reshape(samples, positions, -1, classes)
    result = np.zeros((columns.shape[2], positions, samples, positions, classes))
    for t in range(positions):
        result[:, t, :, t] = columns[:, t].transpose(1, 0, 2)
    return result.reshape(count, *mean.shape)


def targets(y, shape: tuple[int, ...], family: str) -> np.ndarray:
    """Return labels as an array of the logits' shape, one-hot for the softmax.

    Args:
        y: For the softmax, class numbers of shape (N, …) or (N, …, 1), or one-hot rows; for
            the others, values that reshape to the logits' shape.
        shape: The logits' shape.
        family: The loss family.

    Raises:
        ValueError: If the labels are missing, of another shape, or out of range.
    """
    if y is None:
        raise ValueError("mode='empirical' needs the labels: pass y.")
    y = np.asarray(keras.ops.convert_to_numpy(y))
    classes = shape[-1]
    if family == SOFTMAX and y.size == int(np.prod(shape[:-1])):
        labels = y.reshape(shape[:-1])
        whole = labels.astype(np.int64)
        if np.any(whole != labels) or whole.min() < 0 or whole.max() >= classes:
            raise ValueError(
                f"Labels must be whole numbers from 0 to {classes - 1}, the model has {classes} "
                f"outputs; received values from {labels.min()} to {labels.max()}."
            )
        return np.eye(classes)[whole]
    if y.size != int(np.prod(shape)):
        raise ValueError(
            f"Labels must match the model's output of shape {tuple(shape)}; received an array "
            f"of shape {y.shape}."
        )
    y = y.reshape(shape).astype(np.float64)
    if family != SQUARED and (np.any(y < 0) or np.any(y > 1)):
        raise ValueError(
            f"Labels of a cross-entropy must lie from 0 to 1; received values from {y.min()} to "
            f"{y.max()}."
        )
    return y
