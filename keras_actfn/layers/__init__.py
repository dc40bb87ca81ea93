"""Activation layers."""

from .acon import ACON
from .base import LearnableActivation
from .crrelu import CRReLU
from .dynamic_tanh import DynamicTanh
from .expression import ExpressionActivation
from .hull import AffineHullActivation, ConvexHullActivation
from .piecewise_linear import PWL
from .rational import Rational
from .scaled import ScaledActivation
from .segmented_linear import SegmentedLinear
from .spline import Spline
from .xielu import XIELU

__all__ = [
    "ACON",
    "AffineHullActivation",
    "CRReLU",
    "ConvexHullActivation",
    "DynamicTanh",
    "ExpressionActivation",
    "LearnableActivation",
    "PWL",
    "Rational",
    "ScaledActivation",
    "SegmentedLinear",
    "Spline",
    "XIELU",
]
