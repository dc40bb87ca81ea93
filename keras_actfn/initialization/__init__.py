"""Initial weights that keep the signal's variance, whatever the activation: `autoinit`."""

from .autoinit import AutoInitReport, autoinit

__all__ = ["AutoInitReport", "autoinit"]
