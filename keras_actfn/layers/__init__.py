"""Activation layers."""

from .base import LearnableActivation
from .crrelu import CRReLU
from .expression import ExpressionActivation
from .hull import AffineHullActivation, ConvexHullActivation
from .piecewise_linear import PWL
from .segmented_linear import SegmentedLinear
from .spline import Spline

__all__ = [
    "AffineHullActivation",
    "CRReLU",
    "ConvexHullActivation",
    "ExpressionActivation",
    "LearnableActivation",
    "PWL",
    "SegmentedLinear",
    "Spline",
]
