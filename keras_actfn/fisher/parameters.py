"""Normalisation parameters, learnable activations and users' layers: exact blocks.

These vectors are short and have no Kronecker structure. For each example n and cotangent k
the layer is run again on that example alone, and g_nk is the gradient of its parameters;
the block is F = (1/N) Σ_n Σ_k g_nk g_nkᵀ. The cost is one small gradient per example and
cotangent.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np

from ..backend import vector_jacobian_product
from .factors import Block, VectorBlock
from .treatments import NotTreated, Treatment, first_argument, own_weights


class ParameterTreatment(Treatment):
    """One exact block for all trainable weights of a layer, by per-example gradients.

    Fits any layer of one input whose output for one example depends on that example only.
    """

    @classmethod
    def covers(cls, layer: keras.Layer, registered: type) -> bool:
        """Return whether the treatment takes this layer."""
        return True

    def make_blocks(self) -> list[Block]:
        """Return the blocks of this layer."""
        variables = [w for w in own_weights(self.layer) if w.trainable]
        return [ParameterBlock(self.name, self.layer, variables)]

    def run(self, call: Callable, recorder: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the layer's output, its blocks' tensors tapped."""
        return recorder.tap(self.blocks, first_argument(args, kwargs), call(*args, **kwargs))


class NormalizationTreatment(ParameterTreatment):
    """Scale and shift of a normalisation layer."""

    option = "include_normalization"

    def make_blocks(self) -> list[Block]:
        """Return the blocks of this layer."""
        if self.training and isinstance(self.layer, keras.layers.BatchNormalization):
            raise NotTreated(
                "in training mode its output mixes the examples, so that there are no "
                "per-example gradients; use training=False"
            )
        return super().make_blocks()


class LearnedActivationTreatment(ParameterTreatment):
    """Parameters of a learnable activation."""

    option = "include_activations"


class ParameterBlock(VectorBlock):
    """The exact block of all trainable variables of one layer, concatenated."""

    def __init__(self, name: str, layer: keras.Layer, variables: Sequence):
        super().__init__(name, sum(int(np.prod(v.shape)) for v in variables))
        self._layer, self._variables = layer, variables

    def example_gradients(self, x: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Return each example's parameter gradient, of shape (N, parameters)."""

        def run(example, *values):
            with keras.StatelessScope(zip(self._variables, values, strict=True)):
                return self._layer(example)

        values = [keras.ops.convert_to_tensor(v.value) for v in self._variables]
        rows = []
        for example, ds in zip(x, gradient, strict=True):
            one = keras.ops.convert_to_tensor(example[None])
            found = vector_jacobian_product(
                partial(run, one), keras.ops.convert_to_tensor(ds[None]), *values
            )
            rows.append(np.concatenate([keras.ops.convert_to_numpy(g).reshape(-1) for g in found]))
        return np.stack(rows).astype(np.float64)
