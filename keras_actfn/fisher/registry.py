"""The table of layer classes and their treatments, open to users' layers."""

import keras

from ..models.activations import is_learned
from .parameters import LearnedActivationTreatment, NormalizationTreatment
from .treatments import (
    ConvolutionTreatment,
    DenseTreatment,
    DepthwiseTreatment,
    EinsumDenseTreatment,
    EmbeddingTreatment,
    SeparableTreatment,
    TransposeTreatment,
    Treatment,
)

layers = keras.layers

#: Layer classes and their treatments. Of a layer's base classes the nearest one in the table
#: counts, if its treatment covers the layer. Learnable activations are known by
#: `models.activations`.
TREATMENTS: dict[type, type[Treatment]] = {
    layers.Dense: DenseTreatment,
    layers.EinsumDense: EinsumDenseTreatment,
    layers.Conv1D: ConvolutionTreatment,
    layers.Conv2D: ConvolutionTreatment,
    layers.Conv3D: ConvolutionTreatment,
    layers.Conv1DTranspose: TransposeTreatment,
    layers.Conv2DTranspose: TransposeTreatment,
    layers.Conv3DTranspose: TransposeTreatment,
    layers.DepthwiseConv1D: DepthwiseTreatment,
    layers.DepthwiseConv2D: DepthwiseTreatment,
    layers.SeparableConv1D: SeparableTreatment,
    layers.SeparableConv2D: SeparableTreatment,
    layers.Embedding: EmbeddingTreatment,
    layers.BatchNormalization: NormalizationTreatment,
    layers.LayerNormalization: NormalizationTreatment,
    layers.GroupNormalization: NormalizationTreatment,
    layers.RMSNormalization: NormalizationTreatment,
}


def treatment_class(layer: keras.layers.Layer) -> type[Treatment] | None:
    """Return the treatment of a layer's class, or `None`."""
    for kind in type(layer).__mro__:
        treatment = TREATMENTS.get(kind)
        if treatment is not None and treatment.covers(layer, kind):
            return treatment
    return LearnedActivationTreatment if is_learned(layer) else None


def register_treatment(layer_class: type, treatment: type[Treatment]) -> None:
    """Give a layer class of your own a block in Fisher spectra.

    The layer's weights are covered by the spectra of all models that hold such a layer, on every
    backend. `ParameterTreatment` fits layers with few weights; its block is exact. For a weighted
    product write a subclass of `Treatment` that returns Kronecker blocks, such as `LinearBlock`.

    Args:
        layer_class: A subclass of `keras.layers.Layer`. Subclasses of it are treated alike, if
            `treatment.covers` says so.
        treatment: A subclass of `Treatment`.

    Raises:
        ValueError: If an argument is not such a class, or the class is registered already.

    Example:
    ```python
    import keras
    from keras_actfn.fisher import ParameterTreatment, register_treatment

    class Scale(keras.layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")

        def call(self, x):
            return x * self.scale

    register_treatment(Scale, ParameterTreatment)
    ```
    """
    for value, base in ((layer_class, keras.layers.Layer), (treatment, Treatment)):
        if not isinstance(value, type) or not issubclass(value, base):
            raise ValueError(
                f"register_treatment takes a subclass of keras.layers.Layer and one of Treatment. "
                f"Received: {value!r} where a subclass of {base.__name__} is needed."
            )
    if TREATMENTS.get(layer_class, treatment) is not treatment:
        raise ValueError(
            f"A layer class has one treatment. Received: {treatment.__name__} for "
            f"{layer_class.__name__}, which has {TREATMENTS[layer_class].__name__}. Register a "
            "subclass of the layer."
        )
    TREATMENTS[layer_class] = treatment
