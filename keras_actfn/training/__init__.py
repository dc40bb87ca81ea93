"""Training a model with one activation or another: `compare`, and recipes by name."""

from .autoinit import AutoInitReport, autoinit
from .compare import compare
from .parameter_groups import activation_variables, parameter_groups
from .recipes import RECIPES, Recipe
from .results import Comparison, Row, paired_difference
from .storage import RunResult

__all__ = [
    "RECIPES",
    "AutoInitReport",
    "Comparison",
    "Recipe",
    "Row",
    "RunResult",
    "activation_variables",
    "autoinit",
    "compare",
    "paired_difference",
    "parameter_groups",
]
