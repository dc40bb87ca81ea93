"""Keras callbacks for activations that change during training."""

from .local_correlation import LocalCorrelation

__all__ = ["LocalCorrelation"]
