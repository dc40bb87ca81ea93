"""What shape an activation should have, from class statistics or input densities.

`correlation` holds the correlation objective for one unit and its exact optimum;
`entropy` the entropy of an activation's output and the step that lowers it (EAFO);
`shapes` the fits that name what was found. NumPy and SciPy in float64, no Keras.
"""

from ..densities import GaussianMixture, kernel_bandwidth, kernel_estimate, smooth_density
from . import correlation, entropy, shapes
from .class_statistics import ClassStatistics
from .correlation import (
    CorrelationObjective,
    TwoClassOptimum,
    UnrestrictedOptimum,
    two_class_optimum,
)
from .entropy import (
    EafoStep,
    Wafbc,
    eafo_step,
    max_step,
    monotone_regions,
    output_entropy,
    wafbc,
)
from .knot_training import Training
from .monotone import SmoothedPWL
from .shapes import (
    ShapeComparison,
    ShapeFit,
    compare_layer_shapes,
    compare_shapes,
    fit_gelu,
    fit_relu,
    fit_shape,
    fit_sigmoid,
    fit_softplus,
    fit_swish,
)
from .sign_patterns import Optimum

__all__ = [
    "ClassStatistics",
    "CorrelationObjective",
    "EafoStep",
    "GaussianMixture",
    "Optimum",
    "ShapeComparison",
    "ShapeFit",
    "SmoothedPWL",
    "Training",
    "TwoClassOptimum",
    "UnrestrictedOptimum",
    "Wafbc",
    "compare_layer_shapes",
    "compare_shapes",
    "correlation",
    "eafo_step",
    "entropy",
    "fit_gelu",
    "fit_relu",
    "fit_shape",
    "fit_sigmoid",
    "fit_softplus",
    "fit_swish",
    "kernel_bandwidth",
    "kernel_estimate",
    "max_step",
    "monotone_regions",
    "output_entropy",
    "shapes",
    "smooth_density",
    "two_class_optimum",
    "wafbc",
]
