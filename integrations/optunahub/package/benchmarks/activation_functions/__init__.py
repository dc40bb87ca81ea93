"""Activation functions with known results."""

from ._problem import Problem

__all__ = ["Problem"]
