"""What shape an activation should have, from class statistics or input densities.

`correlation` holds the correlation objective for one unit and its exact optimum;
`entropy` the entropy of an activation's output and the step that lowers it (EAFO);
`shapes` the fits that name what was found. NumPy and SciPy in float64, no Keras.
"""

from . import correlation, shapes
from .class_statistics import ClassStatistics
from .correlation import (
    CorrelationObjective,
    TwoClassOptimum,
    UnrestrictedOptimum,
    two_class_optimum,
)
from .gaussian_mixture import GaussianMixture
from .knot_training import Training
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
    "GaussianMixture",
    "Optimum",
    "ShapeComparison",
    "ShapeFit",
    "Training",
    "TwoClassOptimum",
    "UnrestrictedOptimum",
    "compare_layer_shapes",
    "compare_shapes",
    "correlation",
    "fit_gelu",
    "fit_relu",
    "fit_shape",
    "fit_sigmoid",
    "fit_softplus",
    "fit_swish",
    "shapes",
    "two_class_optimum",
]
