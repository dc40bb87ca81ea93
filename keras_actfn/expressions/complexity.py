"""How long a formula is, and what it costs to compute."""

import numpy as np

from .expression import Expression
from .registry import operator_at
from .spaces import SearchSpace

#: Classes of formulas, the cheapest first. "arithmetic": sums, products, quotients and
#: comparisons; "one exponential": with one exponential or logarithm; "several exponentials";
#: "special": with an operator that no exponential gives, such as `erf`. See the column "latency"
#: of the operators' table.
LATENCY_CLASSES = ("arithmetic", "one exponential", "several exponentials", "special")

#: Operators that `simplify` takes away.
_FREE = ("identity", "zero", "one")


def count_nodes(expression: Expression) -> int:
    """Return the number of operators, each as often as it stands there; x and numbers are none.

    Example:
        >>> from keras_actfn.expressions import parse
        >>> count_nodes(parse("max(relu(x),tanh(relu(x)))"))
        4
    """
    if not expression.arguments:
        return 0
    return 1 + sum(count_nodes(argument) for argument in expression.arguments)


def latency_class(expression: Expression) -> str:
    """Return the one of `LATENCY_CLASSES` that a formula belongs to.

    A sub-expression that stands there twice is computed once.

    Example:
        >>> from keras_actfn.expressions import parse
        >>> [latency_class(parse(text)) for text in ("relu(x)", "x*tanh(x)", "x*erf(exp(x))")]
        ['arithmetic', 'one exponential', 'special']
    """
    costs = [
        operator_at(node.head).latency for node in expression.subexpressions() if node.arguments
    ]
    if "special" in costs:
        return LATENCY_CLASSES[3]
    return LATENCY_CLASSES[min(costs.count("exponential"), 2)]


def node_bounds(space: SearchSpace) -> np.ndarray:
    """Return for every function of a space its number of operators without identity, zero, one.

    They are read from the functions' numbers, in milliseconds for a million functions. `simplify`
    may find still fewer.
    """
    return np.concatenate([_bounds(space, schema) for schema in space.schemas])


def _bounds(space: SearchSpace, node: Expression) -> np.ndarray:
    if not node.arguments:
        return np.zeros(1, np.int16)
    total = np.array([name not in _FREE for name in space.choices(node)], np.int16)
    for argument in node.arguments:
        total = np.add.outer(total, _bounds(space, argument)).reshape(-1)
    return total
