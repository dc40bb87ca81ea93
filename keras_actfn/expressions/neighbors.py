"""The formulas that are one change away from a formula."""

from collections.abc import Iterator, Mapping, Sequence

from .complexity import count_nodes
from .expression import Expression
from .registry import operator_at
from .simplify import is_number, simplify

_X = Expression("x")
#: Operators of one argument that `simplify` turns into their argument or a number.
_PLAIN = ("identity", "zero", "one")


def neighbors(
    expression: Expression, operators: Mapping[str, Sequence[str]], most_nodes: int
) -> list[Expression]:
    """Return the formulas that are one change away, simplified, each once.

    With u an operator of one argument, b of two and n of any number, a change is one of:

    - another operator in the place of one: u(f) → u'(f), b(f,g) → b'(f,g), n(f,…) → n'(f,…);
    - the arguments the other way round: b(f,g) → b(g,f);
    - an operator less: a node becomes one of its arguments;
    - an operator more around any part f, x included: f → u(f), b(f,g), b(g,f), where g is x, 1 or
      u(x).

    Formulas without x, and the given one, are left out.

    Args:
        expression: The formula.
        operators: Names of the operators to use: `"unary"`, `"binary"` and `"n_ary"`, as
            `SearchSpace.operators` has them.
        most_nodes: Greatest number of operators of a neighbor, as `count_nodes` counts them.

    Example:
        >>> from keras_actfn.expressions import parse
        >>> few = {"unary": ["relu", "tanh"], "binary": ["add"], "n_ary": []}
        >>> [str(f) for f in neighbors(parse("relu(x)"), few, most_nodes=1)]
        ['tanh(x)', 'x']
    """
    start = simplify(expression)
    # Nearly all changes of a long formula are too long: most are known to be without `simplify`.
    found: dict[Expression, None] = {}
    for changed in _changed(start, operators, most_nodes - count_nodes(start)):
        shorter = simplify(changed)
        if shorter != start and not is_number(shorter) and count_nodes(shorter) <= most_nodes:
            found.setdefault(shorter)
    return list(found)


def _changed(
    node: Expression, operators: Mapping[str, Sequence[str]], room: int
) -> Iterator[Expression]:
    """A formula with one change in it; `room` operators more at most."""
    yield from _replaced(node, operators)
    if node.head == "x" or node.arguments:
        yield from _enlarged(node, operators, room)
    for i, argument in enumerate(node.arguments):
        for other in _changed(argument, operators, room):
            arguments = (*node.arguments[:i], other, *node.arguments[i + 1 :])
            yield Expression(node.head, arguments)


def _replaced(node, operators):
    """What has no more operators than the node, whose arguments stay."""
    if not node.arguments:
        return
    for slot in _slots(node):
        for name in operators.get(slot, ()):
            if name != node.head and not (slot == "unary" and name in _PLAIN):
                yield Expression(name, node.arguments)
    if len(node.arguments) == 2 and node.arguments[0] != node.arguments[1]:
        yield Expression(node.head, node.arguments[::-1])
    yield from node.arguments


def _slots(node):
    """The lists that an operator can be exchanged with another of."""
    arity = operator_at(node.head).arity
    return {1: ("unary",), 2: ("binary",), None: ("n_ary",)}.get(arity, ())


def _enlarged(node, operators, room):
    """The node with an operator around it."""
    if room < 1:
        return
    unary = [name for name in operators.get("unary", ()) if name not in _PLAIN]
    for name in unary:
        yield Expression(name, (node,))
    others = [_X]
    if "one" in operators.get("unary", ()):
        others.append(Expression(1.0))
    if room > 1:
        others += [Expression(name, (_X,)) for name in unary]
    for name in operators.get("binary", ()):
        for other in others:
            yield Expression(name, (node, other))
            yield Expression(name, (other, node))
