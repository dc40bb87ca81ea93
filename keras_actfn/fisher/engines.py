"""The engines by name, and `fisher_spectrum`, which checks its arguments and calls one."""

import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from .distribution import MODES
from .native import Request, native_spectrum
from .spectrum import FisherSpectrum


def _kfac_jax(model, x, y, request):
    from .kfac_jax import kfac_jax_spectrum

    return kfac_jax_spectrum(model, x, y, request)


#: Functions of (model, x, y, request) by the name of the engine.
ENGINES = {"native": native_spectrum, "kfac_jax": _kfac_jax}


def fisher_spectrum(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    mode: str = "exact",
    engine: str = "native",
    seed: int | None = None,
    loss: Any = None,
    training: bool = False,
    batch_size: int | None = None,
    include_normalization: bool = False,
    include_activations: bool = False,
    sample_weight: np.ndarray | None = None,
    class_weight: Mapping[int, float] | None = None,
) -> FisherSpectrum:
    """Compute the eigenvalue spectrum of a model's Fisher information, layer by layer.

    F = E_x E_{y ~ R} [∇θ L ∇θ Lᵀ] (AQuaSurF, Eq. 1), with R the model's predictive
    distribution and L its negative log-likelihood. Each weighted layer is one block,
    F_l ≈ Ω_{l−1} ⊗ Γ_l; `keras_actfn.fisher` states the scaling. The model is not changed:
    not its weights, seeds, moving statistics nor metrics.

    L is the loss itself, of one example: a sum over outputs and positions. Masks, label smoothing,
    ignored classes and loss weights are honoured, other options refused; `fisher.losses` has the
    table. What Keras divides by (outputs, positions, examples) does not enter, nor do
    regularisers.

    Modes, for N examples with logits z_n (softmax or sigmoid cross-entropy, or ½‖y − z‖²):

    * `"exact"`: Γ sums p_c · Ds_c Ds_cᵀ over all labels c, by one backward pass per column of
      a root of E[∇z L ∇z Lᵀ]: classes − 1 for the softmax;
    * `"ggn"`: the generalized Gauss-Newton matrix; equal to `"exact"` for a loss without options;
    * `"sampled"`: one label per example drawn from R with `seed`;
    * `"empirical"`: the labels `y`. This is not the Fisher information, but often called so.

    Args:
        model: A built Keras model with one output. Functional, Sequential and subclassed
            models are treated alike.
        x: A batch of inputs: an array, or a list or dictionary of arrays.
        y: Labels, needed by `mode="empirical"` only.
        mode: See above.
        engine: `"native"`, on every backend, or `"kfac_jax"`, on JAX.
        seed: Seed of `mode="sampled"`.
        loss: A Keras loss, or `"softmax_crossentropy"`, `"sigmoid_crossentropy"` or
            `"squared_error"`. By default the compiled loss; for a model that is not compiled,
            the cross-entropy of its final softmax or sigmoid.
        training: Run in training mode: BatchNormalization then uses the batch's statistics, so
            that gradients of one example depend on the others, and Dropout drops. By default
            the inference mode, in which the Fisher information is defined.
        batch_size: Examples treated at once, to bound the memory. By default all.
        include_normalization: Also treat scale and shift of normalisation layers (the paper
            excludes them), exactly, by per-example gradients.
        include_activations: Also treat the parameters of learnable activations, likewise.
        sample_weight: Factors of the loss, one for each example or for each position, as in
            `Model.fit`. Where they are zero, labels do not matter.
        class_weight: Factors of the loss by the label's number, as in `Model.fit`; 1 for labels
            that are left out.

    Returns:
        The spectrum. Exploding or vanishing activations make it invalid (`.valid`), they do not
        raise.

    Raises:
        ValueError: If the model is not built or has more than one output, if there are no
            examples, if no Fisher information is defined for the loss or for one of its options,
            or if labels or weights are missing, of another shape or out of range.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
        >>> fisher_spectrum(model, np.ones((8, 4))).summary()["parameters"]
        15
    """
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}; received {engine!r}.")
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}; received {mode!r}.")
    x, y, sample_weight = check_batch(model, x, y, sample_weight)
    if mode == "empirical" and y is None:
        raise ValueError("mode='empirical' needs the labels: pass y.")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be a positive number; received {batch_size}.")
    chosen = {
        "include_normalization": include_normalization,
        "include_activations": include_activations,
    }
    options = frozenset(name for name, value in chosen.items() if value)
    request = Request(mode, loss, seed, training, batch_size, sample_weight, class_weight, options)
    spectrum = ENGINES[engine](model, x, y, request)
    if spectrum.uncovered:
        reasons = "; ".join(f"{name}: {why}" for name, why in spectrum.uncovered.items())
        warnings.warn(
            f"The Fisher spectrum leaves out {len(spectrum.uncovered)} layer(s) with weights "
            f"({reasons}). They are listed in spectrum.uncovered.",
            stacklevel=2,
        )
    return spectrum


def check_batch(
    model: keras.Model, x: Any, y: Any = None, sample_weight: Any = None
) -> tuple[Any, np.ndarray | None, np.ndarray | None]:
    """Return the inputs, labels and weights of samples as NumPy arrays.

    Raises:
        ValueError: If the model is not built, or the batch is empty or of unequal lengths.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"model must be a keras.Model; received {type(model).__name__}.")
    if not model.built or (not model.weights and model.count_params() == 0):
        raise ValueError(
            f"The model '{model.name}' has no weights yet. Build it first: call it on a batch, or "
            "give it an Input."
        )
    x = keras.tree.map_structure(_array, x)
    y, sample_weight = (None if a is None else _array(a) for a in (y, sample_weight))
    arrays = [*keras.tree.flatten(x), *(a for a in (y, sample_weight) if a is not None)]
    lengths = {len(a) for a in arrays}
    if len(lengths) != 1:
        raise ValueError(
            "Inputs, labels and weights must have the same number of examples; received "
            f"{sorted(lengths)}."
        )
    if lengths == {0}:
        raise ValueError("A Fisher spectrum needs at least one example; received an empty batch.")
    return x, y, sample_weight


def _array(value):
    array = value if isinstance(value, np.ndarray) else keras.ops.convert_to_numpy(value)
    if array.ndim == 0:
        raise ValueError("Inputs must have a batch axis; received a number.")
    return array
