"""Training a model with one activation or another: `compare`, and recipes by name."""

from .compare import compare
from .recipes import RECIPES, Recipe
from .results import Comparison, Row, paired_difference
from .storage import RunResult

__all__ = [
    "RECIPES",
    "Comparison",
    "Recipe",
    "Row",
    "RunResult",
    "compare",
    "paired_difference",
]
