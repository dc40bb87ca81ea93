"""Search spaces: every expression that a few schemas describe, numbered and never listed.

A schema is an expression whose operators may be slots: `unary`, `binary` and `n_ary` stand
for any operator of that list, x and operators of the table for themselves. Its functions
are numbered like digits, one digit a slot, the slots in reading order (an operator before
its arguments, arguments from left to right), the last one fastest. So the first functions
of `binary(unary(x),unary(x))` are `add(zero(x),zero(x))`, `add(zero(x),one(x))`. The
schemas of a space follow each other in the order given.

The ready-made spaces are those of Bingham and Miikkulainen, "Efficient Activation Function
Optimization through Surrogate Modeling" (NeurIPS 2023), Appendix B.
"""

import hashlib
import json
import math
import random
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from .._names import nearest
from .expression import Expression
from .operators import Operator
from .parse import parse_with
from .registry import find_operator, operator_at, operator_names

if TYPE_CHECKING:
    from .store import UniqueFunctions

#: The slots of a schema, which stand for the operators of the space's lists.
SLOTS = {
    # A slot is never evaluated: it needs no function.
    name: Operator(name, arity, "", None, None, None)  # type: ignore[arg-type]
    for name, arity in (("unary", 1), ("binary", 2), ("n_ary", None))
}

#: The papers' lists of operators, in the order of their files. They are frozen: the table of
#: operators may grow without changing the functions or the numbers of a ready-made space.
UNARY_NAMES = (
    *("zero", "one", "identity", "negative", "abs", "reciprocal", "square", "exp", "sigmoid"),
    *("erf", "erfc", "sinh", "cosh", "tanh", "arcsinh", "arctan", "expm1", "log_sigmoid", "relu"),
    *("elu", "selu", "swish", "softplus", "softsign", "hard_sigmoid", "bessel_i0e", "bessel_i1e"),
)
COATNET_UNARY_NAMES = (*UNARY_NAMES, "elish", "gelu", "leakyrelu", "mish")
BINARY_NAMES = ("add", "sub", "mul", "div", "pow", "max", "min")
N_ARY_NAMES = ("sum_n", "prod_n", "max_n", "min_n")

#: The most functions of a space: what `len` can say.
MOST_FUNCTIONS = 2**63 - 1


class SearchSpace(Sequence):
    """All expressions of some schemas, in a fixed order, made when asked for.

    `len(space)`, `space[i]`, `space.index(expression)` and `expression in space` take constant
    time and memory.

    Args:
        schemas: For example `["binary(unary(unary(x)),unary(x))"]`; `n-ary` may be written
            for `n_ary`.
        unary: Names of the operators for the slot `unary`, in order.
        binary: The same for `binary`.
        n_ary: The same for `n_ary`.

    Raises:
        ValueError: If a schema is not a text or cannot be read (with the position), if there
            are 2^63 functions or more, or if a list is empty, repeats a name, or has an unknown
            name or one with another number of arguments.

    Example:
        >>> space = SearchSpace(["binary(unary(x),unary(x))"])
        >>> len(space), str(space[4556])
        (5103, 'min(square(x),selu(x))')
    """

    def __init__(
        self,
        schemas: Sequence[str],
        unary: Sequence[str] = UNARY_NAMES,
        binary: Sequence[str] = BINARY_NAMES,
        n_ary: Sequence[str] = N_ARY_NAMES,
    ) -> None:
        if isinstance(schemas, str):
            schemas = [schemas]
        self.operators = {
            "unary": _checked("unary", unary),
            "binary": _checked("binary", binary),
            "n_ary": _checked("n_ary", n_ary),
        }
        self._digits = {
            slot: {name: i for i, name in enumerate(names)}
            for slot, names in self.operators.items()
        }
        self._schemas = [_read_schema(schema) for schema in _texts(schemas)]
        if not self._schemas:
            raise ValueError("A search space needs one schema or more, such as 'unary(x)'.")
        self.starts = [0]
        for schema in self._schemas:
            self.starts.append(self.starts[-1] + self.count(schema))
            if self.starts[-1] > MOST_FUNCTIONS:
                raise ValueError(
                    f"A search space has at most 2^63 - 1 functions. Received: {schema}, which "
                    "goes beyond. Use fewer slots or shorter lists."
                )

    @property
    def schemas(self) -> tuple[Expression, ...]:
        """The schemas, as expressions whose operators may be slots."""
        return tuple(self._schemas)

    @property
    def hash(self) -> str:
        """SHA-256 of the schemas, the operators' names and their formulas, in hexadecimal."""
        names = sorted(
            {n for names in self.operators.values() for n in names}
            | {
                node.head
                for schema in self._schemas
                for node in schema.subexpressions()
                if node.arguments and node.head not in SLOTS
            }
        )
        config = self.get_config()
        config["formulas"] = {name: operator_at(name).formula for name in names}
        return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()

    def get_config(self) -> dict:
        """Return the arguments that make this space again: `SearchSpace(**config)`."""
        return {
            "schemas": [str(schema) for schema in self._schemas],
            **{slot: list(names) for slot, names in self.operators.items()},
        }

    def choices(self, node: Expression) -> tuple[str, ...]:
        """Return the names of the operators that a node of a schema stands for."""
        head: Any = node.head
        return self.operators.get(head, (head,))

    def count(self, node: Expression) -> int:
        """Return the number of expressions that a schema, or a part of one, describes."""
        if not node.arguments:
            return 1
        return len(self.choices(node)) * math.prod(map(self.count, node.arguments))

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        if not -len(self) <= i < len(self):
            raise IndexError(f"The space has {len(self)} functions; there is no index {i}.")
        i = int(i) % len(self)
        which = next(k for k, start in enumerate(self.starts[1:]) if i < start)
        return self._unrank(self._schemas[which], i - self.starts[which])

    def __iter__(self) -> Iterator[Expression]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, expression: object) -> bool:
        return isinstance(expression, Expression) and self._find(expression) is not None

    # Every expression is looked up in the whole space: no `start` and `stop`.
    def index(self, expression: Expression) -> int:  # type: ignore[override]
        """Return the first index of an expression.

        Raises:
            ValueError: If the space does not hold it.
        """
        i = self._find(expression)
        if i is None:
            raise ValueError(
                f"{expression} is not in this space of {len(self)} functions "
                f"({', '.join(map(str, self._schemas))}). A space holds expressions as they are "
                "written: identity(x) and x differ, and so do add(relu(x),x) and add(x,relu(x))."
            )
        return i

    def sample(self, count: int, seed: int) -> list[Expression]:
        """Return `count` distinct expressions, drawn uniformly, the same for the same seed."""
        if not 0 <= count <= len(self):
            raise ValueError(f"Cannot draw {count} distinct functions out of {len(self)}.")
        return [self[i] for i in random.Random(seed).sample(range(len(self)), count)]

    def unique(
        self, inputs: ArrayLike | None = None, seed: int = 0, **options: Any
    ) -> "UniqueFunctions":
        """Return the functions that differ on sampled inputs; see `unique.unique_functions`."""
        from .unique import unique_functions

        return unique_functions(self, inputs, seed, **options)

    def __reduce__(self) -> tuple:
        return partial(SearchSpace, **self.get_config()), ()

    def __repr__(self) -> str:
        schemas = ", ".join(map(str, self._schemas))
        return f"<SearchSpace of {len(self)} functions: {schemas}>"

    def _unrank(self, node, i):
        if not node.arguments:
            return node
        arguments = []
        for argument in reversed(node.arguments):
            i, digit = divmod(i, self.count(argument))
            arguments.append(self._unrank(argument, digit))
        return Expression(self.choices(node)[i], tuple(reversed(arguments)))

    def _find(self, expression):
        for start, schema in zip(self.starts, self._schemas, strict=False):
            i = self._rank(schema, expression)
            if i is not None:
                return start + i
        return None

    def _rank(self, node, expression):
        if not node.arguments:
            return 0 if node == expression else None
        if len(node.arguments) != len(expression.arguments):
            return None
        if node.head in SLOTS:
            i = self._digits[node.head].get(expression.head)
        else:
            i = 0 if node.head == expression.head else None
        if i is None:
            return None
        for part, argument in zip(node.arguments, expression.arguments, strict=True):
            digit = self._rank(part, argument)
            if digit is None:
                return None
            i = i * self.count(part) + digit
        return i


def three_node() -> SearchSpace:
    """Return the benchmark space of 5,103 functions, named as in the Act-Bench files."""
    return SearchSpace(["binary(unary(x),unary(x))"])


def four_node() -> SearchSpace:
    """Return the search space of 1,023,516 functions (first experiment, Section 6)."""
    return SearchSpace(
        [
            "binary(unary(unary(x)),unary(x))",
            "binary(unary(x),unary(unary(x)))",
            "n_ary(unary(x),unary(x),unary(x))",
            "unary(binary(unary(x),unary(x)))",
            "unary(unary(unary(unary(x))))",
        ]
    )


#: Functions with which the paper's searches begin on CoAtNet (Table 3).
COATNET_BASELINES = (
    *("elu", "relu", "selu", "sigmoid", "softplus", "softsign", "swish", "tanh"),
    *("elish", "gelu", "hard_sigmoid", "leakyrelu", "mish"),
)


def coatnet() -> SearchSpace:
    """Return the space of 238,341 functions searched on CoAtNet (third experiment)."""
    return SearchSpace(
        [
            "binary(unary(unary(x)),unary(x))",
            "unary(unary(unary(x)))",
            *(f"{name}(x)" for name in COATNET_BASELINES),
        ],
        unary=COATNET_UNARY_NAMES,
    )


#: The ready-made spaces by name, as the command line knows them.
SPACES = {"three_node": three_node, "four_node": four_node, "coatnet": coatnet}


def _texts(schemas):
    if isinstance(schemas, (list, tuple)):
        return schemas
    raise ValueError(f"The schemas of a space are a list of texts. Received: {schemas!r}.")


def _read_schema(text):
    if isinstance(text, Expression):
        text = str(text)
    if not isinstance(text, str):
        raise ValueError(
            "A schema is a text such as 'binary(unary(x),unary(x))'. Received: "
            f"{text!r}, a {type(text).__name__}."
        )
    return parse_with(text.replace("n-ary", "n_ary"), SLOTS)


def _checked(slot, names):
    if isinstance(names, str) or not isinstance(names, (list, tuple)):
        raise ValueError(f"The list '{slot}' is a list of operators' names. Received: {names!r}.")
    names = tuple(names)
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"The list '{slot}' holds operators' names. Received: {names!r}.")
    if not names or len(set(names)) != len(names):
        raise ValueError(f"The list '{slot}' needs one operator or more, each once; got {names}.")
    arity = SLOTS[slot].arity
    for name in names:
        operator = find_operator(name)
        if operator is None:
            hint = nearest(name, operator_names())
            raise ValueError(f"Unknown operator '{name}' in the list '{slot}'. {hint}".rstrip())
        if operator.arity != arity:
            raise ValueError(
                f"The list '{slot}' takes operators of {SLOTS[slot].describe_arity()}; "
                f"'{name}' takes {operator.describe_arity()}."
            )
    return names
