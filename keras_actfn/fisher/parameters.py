"""Normalisation parameters and learnable activations: exact blocks by per-example gradients.

These vectors are short and have no Kronecker structure. For each example n and cotangent k
the layer is run again on that example alone, and g_nk is the gradient of its parameters;
the block is F = (1/N) Σ_n Σ_k g_nk g_nkᵀ. The cost is one small gradient per example and
cotangent, so these blocks are optional.
"""

from functools import partial

import keras
import numpy as np

from ..backend import vector_jacobian_product
from .factors import VectorBlock
from .treatments import NotTreated, Treatment

_NORMALIZATION = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.RMSNormalization,
)


def parameter_option(layer) -> str | None:
    """Return the option that covers a layer: normalisation, learnable activation, or none."""
    if isinstance(layer, _NORMALIZATION):
        return "include_normalization"
    module = type(layer).__module__
    if isinstance(layer, keras.layers.PReLU) or module.startswith("keras_actfn.layers"):
        return "include_activations"
    return None


class ParameterTreatment(Treatment):
    """Taps a layer's output and keeps its input, to differentiate example by example."""

    def __init__(self, layer, name, variables, training):
        if training and isinstance(layer, keras.layers.BatchNormalization):
            raise NotTreated(
                "in training mode its output mixes the examples, so that there are no "
                "per-example gradients; use training=False"
            )
        self._variables = variables
        super().__init__(layer, name)

    def make_blocks(self):  # noqa: D102
        return [ParameterBlock(self.name, self.layer, self._variables)]

    def run(self, call, recorder, *args, **kwargs):  # noqa: D102
        inputs = args[0] if args else kwargs["inputs"]
        return recorder.tap(self.blocks, inputs, call(*args, **kwargs))


class ParameterBlock(VectorBlock):
    """The exact block of all trainable variables of one layer, concatenated."""

    def __init__(self, name, layer, variables):
        super().__init__(name, sum(int(np.prod(v.shape)) for v in variables))
        self._layer, self._variables = layer, variables

    def example_gradients(self, x, gradient):  # noqa: D102
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
