"""Contract kits: what every activation layer and constraint must do, as reusable checks."""

from .constraints import CONSTRAINT_CHECKS
from .differentiate import output_and_gradients
from .layers import LAYER_CHECKS, check_other_backends

__all__ = [
    "CONSTRAINT_CHECKS",
    "LAYER_CHECKS",
    "check_other_backends",
    "output_and_gradients",
]
