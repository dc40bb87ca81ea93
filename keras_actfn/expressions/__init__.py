"""Activation functions as short formulas in x, and the spaces that searches go through.

`parse` reads a formula, `resolve` any name of an elementwise function; both give a callable
for NumPy arrays and tensors. One table holds all operators.
"""

from .discovered import DISCOVERED, Discovered
from .errors import SpecError, nearest
from .expression import Expression
from .operators import Operator
from .parse import parse
from .registry import find_operator, operator_names, operators, register_operator
from .resolve import NamedFunction, function_names, resolve, serialize

__all__ = [
    "DISCOVERED",
    "Discovered",
    "Expression",
    "NamedFunction",
    "Operator",
    "SpecError",
    "find_operator",
    "function_names",
    "nearest",
    "operator_names",
    "operators",
    "parse",
    "register_operator",
    "resolve",
    "serialize",
]
