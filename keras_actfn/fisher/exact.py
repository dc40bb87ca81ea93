"""The dense Fisher information of tiny models, by per-example gradients: the reference.

F = (1/N) Σ_n Σ_k g_nk g_nkᵀ, with g_nk = Jᵀ v_nk, J the Jacobian of example n's logits by all
trainable variables, and v_nk the columns of a root of the Hessian of the loss (or the loss
gradient at a sampled or given label). Its cost is one backward pass per example and column and
a matrix of all parameters squared: use it for models of at most some thousand weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

from ..backend import compiled, vector_jacobian_product
from ..models.objective import mask_of
from .losses import distribution_of, position_weights
from .tapping import TappedLayers, build_all_layers


@dataclass
class ExactFisher:
    """The dense Fisher information matrix.

    Attributes:
        matrix: Float64 array of shape (parameters, parameters), in the order of
            `model.trainable_variables`, each in C order.
        paths: Path of each variable.
        shapes: Shape of each variable.
    """

    matrix: np.ndarray
    paths: list[str]
    shapes: list[tuple[int, ...]]

    def indices(self, path: str) -> np.ndarray:
        """Return the positions of a variable's entries in the matrix, in its own shape."""
        sizes = [int(np.prod(shape)) for shape in self.shapes]
        i = self.paths.index(path)
        start = sum(sizes[:i])
        return np.arange(start, start + sizes[i]).reshape(self.shapes[i])

    def block(self, *indices: np.ndarray) -> np.ndarray:
        """Return the submatrix of the given positions, in their order."""
        chosen = np.concatenate([np.asarray(i).reshape(-1) for i in indices])
        return self.matrix[np.ix_(chosen, chosen)]


def exact_fisher(
    model: keras.Model,
    x: np.ndarray,
    y: np.ndarray | None = None,
    *,
    mode: str = "exact",
    loss: Any = None,
    seed: int | None = None,
    sample_weight: np.ndarray | None = None,
    class_weight: Mapping[int, float] | None = None,
) -> ExactFisher:
    """Compute the dense Fisher information of a tiny model.

    Args:
        model: A built Keras model with one output.
        x: Inputs, an array.
        y: Labels, for `mode="empirical"`.
        mode: As in `fisher_spectrum`; `"sampled"` draws the same labels for the same seed.
        loss: As in `fisher_spectrum`.
        seed: Seed of `mode="sampled"`.
        sample_weight: As in `fisher_spectrum`.
        class_weight: As in `fisher_spectrum`.

    Returns:
        The matrix and the positions of each variable in it.
    """
    build_all_layers(model, x)
    variables = model.trainable_variables
    values = [keras.ops.convert_to_tensor(v.value) for v in variables]
    tapped = TappedLayers(model)
    seen: dict[str, Any] = {}

    def logits(x, *values):
        state = zip(variables, values, strict=True)
        output, recorder = tapped.run(model, x, state=state)
        final = recorder.final(output)
        distribution = distribution_of(model, loss, final, class_weight)
        seen.update(distribution=distribution, mask=mask_of(output))
        return distribution.logits_of(output, final)

    z = keras.ops.convert_to_numpy(logits(keras.ops.convert_to_tensor(x), *values))
    mask = None if seen["mask"] is None else keras.ops.convert_to_numpy(seen["mask"])
    factors = position_weights(z.shape, mask, sample_weight)
    columns = seen["distribution"].cotangents(z, mode, y, seed, factors)
    size = sum(int(np.prod(v.shape)) for v in variables)
    matrix = np.zeros((size, size))

    @compiled  # one program for all, as they have one shape
    def pull_back(example, cotangent, *values):
        return list(vector_jacobian_product(partial(logits, example), cotangent, *values))

    for n in range(len(x)):
        example = keras.ops.convert_to_tensor(x[n : n + 1])
        for column in columns[:, n : n + 1]:
            cotangent = keras.ops.convert_to_tensor(column.astype(z.dtype))
            gradients = pull_back(example, cotangent, *values)
            g = np.concatenate(
                [keras.ops.convert_to_numpy(part).reshape(-1) for part in gradients]
            ).astype(np.float64)
            matrix += np.outer(g, g)
    return ExactFisher(
        matrix / len(x), [v.path for v in variables], [tuple(v.shape) for v in variables]
    )
