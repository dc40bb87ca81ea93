"""Shorter formulas of the same function: neutral elements, repeated arguments, constants."""

from collections.abc import Callable

import numpy as np

from .expression import Expression
from .registry import operator_at

#: f(f(x)) = f(x).
_IDEMPOTENT = ("abs", "relu")

#: f(-x) = f(x) = f(|x|).
_EVEN = ("abs", "square", "cosh", "bessel_i0e", "cos", "sinc", "gaussian")


def simplify(expression: Expression) -> Expression:
    """Return a formula of the same function with as many operators or fewer.

    What depends on no x becomes a number; sums lose zeros and products ones; `max(f,f)` is f,
    `mul(f,f)` is `square(f)`, `add(f,negative(g))` is `sub(f,g)`, and so on. The values are equal
    to rounding wherever those of the given formula and its parts are finite.

    Example:
        >>> from keras_actfn.expressions import parse
        >>> str(simplify(parse("add(zero(exp(x)),identity(max(relu(x),relu(relu(x)))))")))
        'relu(x)'
    """
    return _simplified(expression, {})


def _simplified(node: Expression, done: dict[Expression, Expression]) -> Expression:
    if not node.arguments:
        return node
    if node not in done:
        arguments = tuple(_simplified(argument, done) for argument in node.arguments)
        done[node] = _shorter(str(node.head), arguments)
    return done[node]


def _shorter(head: str, arguments: tuple[Expression, ...]) -> Expression:
    """The formula `head(arguments)`, whose arguments are as short as they get."""
    numbers = [_value(argument) for argument in arguments]
    if None not in numbers:
        with np.errstate(all="ignore"):
            arrays = [np.asarray(number, np.float64) for number in numbers]
            value = float(operator_at(head).on_arrays(*arrays))
        if np.isfinite(value):
            return _number(value)
    if head == "zero":
        return _number(0.0)
    if head == "one":
        return _number(1.0)
    if head in _RULES:
        found = _RULES[head](arguments, numbers)
        if found is not None:
            return found
    if len(arguments) == 1:
        (inner,) = arguments
        if head == "identity" or (head in _IDEMPOTENT and inner.head == head):
            return inner
        if head in _EVEN and inner.head in ("negative", "abs"):
            return _shorter(head, inner.arguments)
    return Expression(head, arguments)


def is_number(expression: Expression) -> bool:
    """Whether a simplified formula is a number."""
    return _value(expression) is not None


def _value(node: Expression) -> float | None:
    """The number that a formula is, or None."""
    if node.head == "negative" and not node.arguments[0].arguments:
        inner = _value(node.arguments[0])
        return None if inner is None else -inner
    return None if node.arguments or node.head == "x" else float(node.head)


def _number(value: float) -> Expression:
    if value < 0:
        return Expression("negative", (Expression(-value),))
    return Expression(value)


def _negative(arguments, numbers):
    (inner,) = arguments
    if inner.head == "negative":
        return inner.arguments[0]
    if inner.head == "sub":
        return _shorter("sub", inner.arguments[::-1])
    return None


def _add(arguments, numbers):
    f, g = arguments
    if numbers[0] == 0:
        return g
    if numbers[1] == 0:
        return f
    if g.head == "negative":
        return _shorter("sub", (f, g.arguments[0]))
    if f.head == "negative":
        return _shorter("sub", (g, f.arguments[0]))
    return None


def _sub(arguments, numbers):
    f, g = arguments
    if f == g:
        return _number(0.0)
    if numbers[1] == 0:
        return f
    if numbers[0] == 0:
        return _shorter("negative", (g,))
    if g.head == "negative":
        return _shorter("add", (f, g.arguments[0]))
    return None


def _mul(arguments, numbers):
    for number, other in zip(numbers, arguments[::-1], strict=True):
        if number == 1:
            return other
        if number == 0:
            return _number(0.0)
        if number == -1:
            return _shorter("negative", (other,))
    if arguments[0] == arguments[1]:
        return _shorter("square", arguments[:1])
    return None


def _div(arguments, numbers):
    f, g = arguments
    if f == g:
        return _number(1.0)
    if numbers[1] == 1:
        return f
    if numbers[0] == 0:
        return _number(0.0)
    if numbers[0] == 1:
        return _shorter("reciprocal", (g,))
    return None


def _pow(arguments, numbers):
    if numbers[1] == 0 or numbers[0] == 1:
        return _number(1.0)
    return arguments[0] if numbers[1] == 1 else None


def _reciprocal(arguments, numbers):
    inner = arguments[0]
    return inner.arguments[0] if inner.head == "reciprocal" else None


def _either(arguments, numbers):
    return arguments[0] if arguments[0] == arguments[1] else None


def _without(neutral: float, binary: str) -> Callable:
    """The rule of an operator of many arguments that has a neutral element."""

    def rule(arguments, numbers):
        if neutral == 1 and 0 in numbers:
            return _number(0.0)
        kept = tuple(a for a, n in zip(arguments, numbers, strict=True) if n != neutral)
        if len(kept) < 2:
            return kept[0] if kept else _number(neutral)
        return _shorter(binary, kept) if len(kept) == 2 else None

    return rule


def _distinct(binary: str) -> Callable:
    def rule(arguments, numbers):
        kept = tuple(dict.fromkeys(arguments))
        if len(kept) == 1:
            return kept[0]
        return _shorter(binary, kept) if len(kept) == 2 else None

    return rule


_RULES: dict[str, Callable] = {
    "negative": _negative,
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "pow": _pow,
    "reciprocal": _reciprocal,
    "max": _either,
    "min": _either,
    "sum_n": _without(0.0, "add"),
    "prod_n": _without(1.0, "mul"),
    "max_n": _distinct("max"),
    "min_n": _distinct("min"),
}
