"""Activation functions as short formulas in x, and the spaces that searches go through.

`parse` reads a formula, `resolve` any name of an elementwise function; both give a callable
for NumPy arrays and tensors. One table holds all operators.
"""

from .complexity import LATENCY_CLASSES, count_nodes, latency_class
from .discovered import DISCOVERED, Discovered
from .errors import SpecError
from .expression import Expression
from .formula_fit import NearestFormula
from .nearest_formula import NearestFormulas, nearest
from .neighbors import neighbors
from .operators import Operator
from .parse import parse
from .registry import find_operator, operator_names, operators, register_operator
from .resolve import NamedFunction, function_names, resolve, serialize
from .simplify import simplify
from .spaces import SPACES, SearchSpace, coatnet, four_node, three_node
from .store import UniqueFunctions

__all__ = [
    "DISCOVERED",
    "Discovered",
    "Expression",
    "LATENCY_CLASSES",
    "NamedFunction",
    "NearestFormula",
    "NearestFormulas",
    "Operator",
    "SPACES",
    "SearchSpace",
    "SpecError",
    "UniqueFunctions",
    "coatnet",
    "count_nodes",
    "find_operator",
    "four_node",
    "function_names",
    "latency_class",
    "nearest",
    "neighbors",
    "operator_names",
    "operators",
    "parse",
    "register_operator",
    "resolve",
    "serialize",
    "simplify",
    "three_node",
]
