"""Spectra of the Fisher information of Keras models.

Conventions, fixed here for the whole package:

* **Fisher information.** F = E_x E_{y ~ R(·|x)} [∇θ L ∇θ Lᵀ], L the loss and R the model's
  predictive distribution (AQuaSurF, Eq. 1): L is −log R(y|x), but for the options of a loss. The
  expectation over x is the mean over the N examples of the batch. Gradients are those of one
  example's L: the loss is *summed* over the batch before it is differentiated, and the mean is
  taken in the factors. For outputs
  with several positions, L of an example is the sum over positions.
* **Blocks.** One per weighted layer; correlations between layers are dropped. A layer with
  weights W and bias b is F_l ≈ Ω ⊗ Γ, with the bias as the first input: ā = (1, a).
* **Locations.** A layer that applies its weights at T places of one example (pixels, sequence
  positions, several uses) has, after Grosse & Martens (2016),

      Ω = (1/N) Σ_n Σ_t ā_nt ā_ntᵀ        summed over locations,
      Γ = (1/(N·T)) Σ_n Σ_t Ds_nt Ds_ntᵀ  averaged over locations,

  also known as K-FAC *expand*. Ds is the gradient by the layer's output before its fused
  activation. Dense layers on vectors have T = 1. Where T is the same for both, how the scale
  is shared between the factors does not change their product.
* **Convolutions.** ā is the patch under the kernel, with a one in front. *Grouped*: each group
  has its own Ω_g ⊗ Γ_g; correlations between groups are dropped. *Depthwise*: patches of all
  channels share one Ω, averaged over channels; Γ couples the output channels. *Separable*: a
  depthwise block and a pointwise block. *Transposed*: the convolution of the input with zeros
  between its values. *Embedding*: one-hot inputs.
* **Exactness.** Blocks equal those of the dense Fisher information (`exact_fisher`) when ā and
  Ds are independent: for one example with one location, and for linear networks under the
  squared error whose layers have one location or act on each location alone.
* **Eigenvalues.** Those of Ω ⊗ Γ are all products of the factors' eigenvalues. Logarithms are
  natural. Zeros have log −∞ and are counted in the first bin.

Nothing here changes a model or a global setting, but that layers which exist only after a first
call, such as a PWL inside a Dense layer, are built. Other threads may run the same model, or
compute its spectrum, meanwhile.
"""

from .block_spectrum import BlockSpectrum
from .engines import ENGINES, fisher_spectrum
from .exact import ExactFisher, exact_fisher
from .factors import LinearBlock
from .parameters import ParameterTreatment
from .registry import TREATMENTS, register_treatment
from .spectrum import FisherSpectrum
from .treatments import NotTreated, Treatment

__all__ = [
    "ENGINES",
    "TREATMENTS",
    "BlockSpectrum",
    "ExactFisher",
    "FisherSpectrum",
    "LinearBlock",
    "NotTreated",
    "ParameterTreatment",
    "Treatment",
    "exact_fisher",
    "fisher_spectrum",
    "register_treatment",
]
