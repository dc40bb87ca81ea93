"""The names that expressions may use: the built-in table and the user's own operators."""

from collections.abc import Callable, Iterator

from .latex import function_latex
from .operators import BUILT_IN, Operator

_registered: dict[str, Operator] = {}


def register_operator(
    name: str,
    function: Callable,
    *,
    reference: Callable | None = None,
    arity: int | None = 1,
    formula: str = "",
) -> Operator:
    """Add an operator of your own to the names that expressions may use.

    A file saved with such an operator is read back only after the same registration.

    Args:
        name: An identifier that no built-in operator has, nor `x`.
        function: Differentiable elementwise function of `arity` tensors, from `keras.ops`.
        reference: The same on NumPy arrays; without it NumPy arrays go through the backend
            at its precision (float32 on JAX).
        arity: Number of arguments; `None`: two or more.
        formula: The definition in plain text, for people.

    Returns:
        The operator, in the table under its name from now on.

    Raises:
        ValueError: If the name is taken or no identifier.
        TypeError: If `function` cannot be called.

    Example:
        >>> from keras import ops
        >>> exp2 = register_operator("exp2", ops.exp2, reference=np.exp2, formula="2^x")
        >>> keras_actfn.activation("add(x,square(exp2(x)))").expression
        parse('add(x,square(exp2(x)))')
    """
    if not name.isascii() or not name.isidentifier() or name == "x":
        raise ValueError(f"An operator's name is an ASCII identifier other than 'x', not {name!r}.")
    if not callable(function):
        raise TypeError(f"An operator's function must be callable; '{name}' got {function!r}.")
    if arity is not None and arity < 1:
        raise ValueError(f"An operator takes one argument or more; '{name}' has arity {arity}.")
    if name in BUILT_IN:
        raise ValueError(f"'{name}' is a built-in operator; choose another name.")
    known = _registered.get(name)
    if known is None:
        latex = function_latex(name)
        _registered[name] = Operator(name, arity, formula, reference, function, latex)
    elif (known.function, known.reference, known.arity) != (function, reference, arity):
        raise ValueError(
            f"The operator '{name}' is registered already, with another function. "
            "Choose another name."
        )
    return _registered[name]


def find_operator(name: str) -> Operator | None:
    """Return the operator of that name, or None."""
    return BUILT_IN.get(name) or _registered.get(name)


def operator_at(head: str | float) -> Operator:
    """Return the operator at the head of an expression that was read: it has one."""
    found = find_operator(str(head))
    if found is None:
        raise KeyError(head)
    return found


def operators() -> Iterator[Operator]:
    """Iterate over all operators, the built-in ones first, in the order of the table."""
    yield from BUILT_IN.values()
    yield from _registered.values()


def operator_names() -> list[str]:
    """Return all operators' names, the built-in ones first."""
    return [operator.name for operator in operators()]
