"""Training a model with one activation or another: `Task`, `compare`, and recipes by name."""

from .compare import compare
from .criterion import Criterion
from .optimizers import CoupledSGD
from .parameter_groups import activation_variables, bias_variables, parameter_groups
from .recipe import Recipe
from .recipes import RECIPES
from .regressor import compile_regressor
from .results import Comparison, Row, paired_difference
from .run_store import RunResult
from .task import Task

__all__ = [
    "RECIPES",
    "Comparison",
    "CoupledSGD",
    "Criterion",
    "Recipe",
    "Row",
    "RunResult",
    "Task",
    "activation_variables",
    "bias_variables",
    "compare",
    "compile_regressor",
    "paired_difference",
    "parameter_groups",
]
