"""Spectra of the Fisher information of Keras models.

Conventions, fixed here for the whole package:

* **Fisher information.** F = E_x E_{y ~ R(·|x)} [∇θ L ∇θ Lᵀ], L the negative log-likelihood of
  the model's predictive distribution R (AQuaSurF, Eq. 1). The expectation over x is the mean
  over the N examples of the batch. Gradients are those of one example's L: the loss is *summed*
  over the batch before it is differentiated, and the mean is taken in the factors. For outputs
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

Nothing here changes a model or a global setting. While a spectrum is computed the `call` of
the model's layers is replaced and put back: do not run the same model in another thread.
"""

from .engines import ENGINES, fisher_spectrum
from .exact import ExactFisher, exact_fisher
from .spectrum import BlockSpectrum, FisherSpectrum

__all__ = [
    "ENGINES",
    "BlockSpectrum",
    "ExactFisher",
    "FisherSpectrum",
    "exact_fisher",
    "fisher_spectrum",
]
