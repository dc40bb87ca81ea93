"""Activation functions as short formulas in x, and the spaces that searches go through.

`parse` reads a formula, `resolve` any name of an elementwise function; both give a callable
for NumPy arrays and tensors. One table holds all operators.
"""

from .discovered import DISCOVERED, Discovered
from .errors import SpecError
from .expression import Expression
from .operators import Operator
from .parse import parse
from .registry import find_operator, operator_names, operators, register_operator
from .resolve import NamedFunction, function_names, resolve, serialize
from .spaces import SPACES, SearchSpace, coatnet, four_node, three_node
from .store import UniqueFunctions

__all__ = [
    "DISCOVERED",
    "Discovered",
    "Expression",
    "NamedFunction",
    "Operator",
    "SPACES",
    "SearchSpace",
    "SpecError",
    "UniqueFunctions",
    "coatnet",
    "find_operator",
    "four_node",
    "function_names",
    "operator_names",
    "operators",
    "parse",
    "register_operator",
    "resolve",
    "serialize",
    "three_node",
]
