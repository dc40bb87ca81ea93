"""From text to expressions: operators with brackets, and everyday infix notation.

    sum     = product (("+" | "-") product)*
    product = sign (("*" | "/") sign)*
    sign    = "-" sign | power
    power   = atom (("**" | "^") sign)?
    atom    = "x" | number | "(" sum ")" | operator "(" sum ("," sum)* ")"

Infix signs stand for the operators of the table (`add`, `sub`, `mul`, `div`, `pow`,
`negative`) and bind as in Python, so `x*erfc(elu(x))` is `mul(x,erfc(elu(x)))`. The
canonical text of an expression uses operators with brackets only.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._names import nearest
from .errors import SpecError
from .expression import MAX_DEPTH, MAX_LENGTH, Expression
from .operators import Operator
from .registry import find_operator, operator_names

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<sign>\*\*|[-+*/^(),])""",
    re.VERBOSE | re.ASCII,
)
_SUMS = {"+": "add", "-": "sub"}
_PRODUCTS = {"*": "mul", "/": "div"}


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int


def parse(text: str) -> Expression:
    """Read an expression in x.

    Args:
        text: For example `"max(relu(x),cosh(elu(x)))"` or `"x * sigmoid(1.702 * x)"`.

    Returns:
        The expression; `parse(str(expression)) == expression`.

    Raises:
        SpecError: A `ValueError` that shows the text and the position: an unknown name, a
            wrong number of arguments, a stray bracket, nesting deeper than 64, more than
            100,000 characters.
        TypeError: If `text` is no string.

    Example:
        >>> str(parse("x * erfc(elu(x))"))
        'mul(x,erfc(elu(x)))'
    """
    if not isinstance(text, str):
        raise TypeError(f"An expression is read from a string, not from {type(text).__name__}.")
    return _Parser(text, {}).whole()


def parse_with(text: str, slots: Mapping[str, Operator]) -> Expression:
    """Read an expression that may also use the names in `slots`, such as a schema's."""
    return _Parser(text, slots).whole()


def _tokens(text):
    if len(text) > MAX_LENGTH:
        raise SpecError(
            f"An expression has at most {MAX_LENGTH:,} characters. Received: {len(text):,}.",
            text[:60],
            60,
        )
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise SpecError(
                f"Unexpected character {text[position]!r} in an expression.", text, position
            )
        kind = next(k for k in ("space", "number", "name", "sign") if match[k] is not None)
        if kind != "space":
            tokens.append(_Token(kind, match[kind], position))
        position = match.end()
    tokens.append(_Token("end", "", len(text)))
    return tokens


class _Parser:
    def __init__(self, text, slots):
        self.text = text
        self.slots = slots
        self.tokens = _tokens(text)
        self.next = 0
        self.nesting = 0

    def whole(self):
        expression = self.sum()
        if self.peek.kind != "end":
            self.fail(f"Expected the end of the expression or an operator, got {self.shown}.")
        return expression

    def sum(self):
        return self.left_to_right(self.product, _SUMS)

    def product(self):
        return self.left_to_right(self.sign, _PRODUCTS)

    def left_to_right(self, operand, names):
        left = operand()
        while self.peek.text in names:
            token = self.take()
            left = self.node(names[token.text], [left, operand()], token)
        return left

    def sign(self):
        if self.peek.text != "-":
            return self.power()
        token = self.take()
        with_sign = self.nested(self.sign, token)
        return self.node("negative", [with_sign], token)

    def power(self):
        base = self.atom()
        if self.peek.text not in ("**", "^"):
            return base
        token = self.take()
        return self.node("pow", [base, self.nested(self.sign, token)], token)

    def atom(self):
        token = self.peek
        if token.kind not in ("number", "name") and token.text != "(":
            self.fail(f"Expected x, a number or an operator, got {self.shown}.")
        self.take()
        if token.kind == "number":
            number = float(token.text)
            if number == float("inf"):
                shown = token.text if len(token.text) < 20 else f"of {len(token.text)} digits"
                self.fail(f"The number {shown} is too large.", token)
            return Expression(number)
        if token.kind == "name":
            return Expression("x") if token.text == "x" else self.call(token)
        inner = self.nested(self.sum, token)
        self.expect(")", token)
        return inner

    def call(self, name):
        operator: Any = self.slots.get(name.text) or find_operator(name.text)
        if operator is None:
            hint = nearest(name.text, ["x", *self.slots, *operator_names()])
            self.fail(f"Unknown operator '{name.text}'. {hint}".rstrip(), name)
        if self.peek.text != "(":
            self.fail(
                f"The operator '{name.text}' takes {operator.describe_arity()} in brackets, "
                f"such as {name.text}({'x' if operator.arity == 1 else 'x,x'})."
            )
        bracket = self.take()
        arguments = [self.nested(self.sum, bracket)]
        while self.peek.text == ",":
            self.take()
            arguments.append(self.nested(self.sum, bracket))
        self.expect(")", bracket)
        if not operator.accepts(len(arguments)):
            self.fail(
                f"The operator '{name.text}' takes {operator.describe_arity()}, "
                f"got {len(arguments)}.",
                name,
            )
        return self.node(name.text, arguments, name)

    def node(self, name, arguments, token):
        if max(argument.depth for argument in arguments) >= MAX_DEPTH:
            self.fail(f"The expression nests deeper than {MAX_DEPTH} levels.", token)
        try:
            return Expression(name, tuple(arguments))
        except ValueError as error:
            self.fail(str(error), token)

    def nested(self, rule, token):
        self.nesting += 1
        if self.nesting > MAX_DEPTH:
            self.fail(f"The expression nests deeper than {MAX_DEPTH} levels.", token)
        result = rule()
        self.nesting -= 1
        return result

    @property
    def peek(self):
        return self.tokens[self.next]

    @property
    def shown(self):
        return "the end of the text" if self.peek.kind == "end" else f"'{self.peek.text}'"

    def take(self):
        token = self.peek
        self.next += token.kind != "end"
        return token

    def expect(self, sign, opened):
        if self.peek.text != sign:
            self.fail(
                f"Expected ',' or '{sign}' for the '(' at position {opened.position}, "
                f"got {self.shown}."
            )
        self.take()

    def fail(self, message, token=None):
        raise SpecError(message, self.text, (token or self.peek).position)
