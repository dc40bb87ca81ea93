"""An expression in x: immutable, hashable, callable on arrays and tensors."""

import functools
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from .. import backend
from .latex import ATOM
from .registry import operator_at

#: Deepest nesting of an expression; deeper ones would exhaust Python's stack.
MAX_DEPTH = 64


#: Longest canonical text: repeated sub-expressions would double it at each level.
MAX_LENGTH = 100_000


@keras.saving.register_keras_serializable(package="keras_actfn")
class Expression:
    """A formula in one variable x, made by `parse`.

    Expressions are equal when their canonical texts are: `add(x,x)` and `mul(2,x)` are
    different expressions of one function. Calling one evaluates it elementwise:

    - on NumPy arrays, numbers and lists with the operators' references, in the dtype of a
      floating-point array, else in float64;
    - on tensors of the running backend with `keras.ops`, differentiable;
    - on a `keras.KerasTensor` as one operation of a functional model.

    Sub-expressions that occur twice are computed once.

    Example:
        >>> f = keras_actfn.expressions.parse("max(relu(x),cosh(elu(x)))")
        >>> f(np.array([-1.0, 0.0, 2.0]))
        array([1.20653   , 1.        , 3.76219569])
    """

    def __init__(self, head: str | float, arguments: tuple["Expression", ...] = ()) -> None:
        """Build a node; prefer `parse`.

        Args:
            head: `"x"`, a finite number that is not negative, or an operator's name.
            arguments: The operator's arguments.

        Raises:
            ValueError: If the head is none of these, or the expression nests deeper than 64
                levels or is longer than 100,000 characters.
        """
        self._head = head
        self._arguments = tuple(arguments)
        self._depth: int = 1 + max((argument._depth for argument in self._arguments), default=0)
        if self._depth > MAX_DEPTH:
            raise ValueError(f"An expression nests at most {MAX_DEPTH} levels.")
        if sum(len(argument._text) for argument in self._arguments) > MAX_LENGTH:
            raise ValueError(f"The text of an expression has at most {MAX_LENGTH:,} characters.")
        self._varies: bool = head == "x" or any(argument._varies for argument in self._arguments)
        self._text: str
        if self._arguments:
            self._text = f"{head}({','.join(map(str, self._arguments))})"
        else:
            self._text = head if head == "x" else _number_text(head)

    @property
    def head(self) -> str | float:
        """`"x"`, a number, or the operator's name."""
        return self._head

    @property
    def arguments(self) -> tuple["Expression", ...]:
        """The operator's arguments; empty for x and numbers."""
        return self._arguments

    @property
    def depth(self) -> int:
        """Length of the longest path from the outermost operator to a leaf, in nodes."""
        return self._depth

    @functools.cached_property
    def tame(self) -> bool:
        """Whether every operator in it has slopes that are bounded over all finite inputs."""
        return all(
            operator_at(node._head).tame for node in self.subexpressions() if node._arguments
        )

    @functools.cached_property
    def limits(self) -> bool:
        """Whether every operator in it has a limit at each infinity."""
        return all(
            operator_at(node._head).limits for node in self.subexpressions() if node._arguments
        )

    @property
    def name(self) -> str:
        """The canonical text: what is saved, and what `resolve` reads back."""
        return self._text

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"parse({self._text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple:
        return _parse_again, (self._text,)

    def get_config(self) -> dict[str, Any]:
        """Return the text, by which Keras saves a layer that applies the expression."""
        return {"expression": self._text}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Expression":
        """Return the expression of a configuration."""
        return _parse_again(config["expression"])

    def subexpressions(self) -> Iterator["Expression"]:
        """Iterate over the distinct sub-expressions, arguments before what uses them."""
        seen = set()

        def visit(node):
            if node not in seen:
                for argument in node._arguments:
                    yield from visit(argument)
                seen.add(node)
                yield node

        return visit(self)

    def latex(self) -> str:
        r"""Return LaTeX source: `\mathrm{erfc}\left(\mathrm{Softplus}\left(x\right)\right)^{2}`."""
        return self._typeset()[0]

    def _typeset(self):
        if not self._arguments:
            return self._text, ATOM
        arguments = [argument._typeset() for argument in self._arguments]
        return operator_at(self._head).latex.typeset(arguments)

    @functools.cached_property
    def _program(self):
        """Steps (operator or None, head, indices of earlier steps), each value computed once."""
        order = list(self.subexpressions())
        index = {node: i for i, node in enumerate(order)}
        return [
            (
                operator_at(node._head) if node._arguments else None,
                node._head,
                tuple(index[argument] for argument in node._arguments),
            )
            for node in order
        ]

    def __call__(self, x: Any) -> Any:
        """Evaluate elementwise; see the class.

        Args:
            x: Array, number or tensor of real floating-point numbers, any shape.

        Returns:
            Values of the shape of x, of its dtype if that is floating-point.

        Raises:
            TypeError: For complex arrays, and tensors of integers.
        """
        if isinstance(x, keras.KerasTensor):
            return _Evaluate(self._text)(x)
        if isinstance(x, keras.Variable):
            return self._on_tensor(x.value)
        if ops.is_tensor(x):
            return self._on_tensor(x)
        return self._on_array(np.asarray(x))

    def _on_array(self, x):
        if x.dtype.kind not in "fiub":
            raise TypeError(f"The expression {self} takes real numbers, not dtype {x.dtype}.")
        if x.dtype.kind != "f":
            x = x.astype("float64")
        with np.errstate(all="ignore"):
            value = self._run(x, x.dtype.type, lambda operator: operator.on_arrays)
        if not self._varies:
            value = np.broadcast_to(value, x.shape).copy()
        return np.asarray(value, x.dtype)[()]

    def _on_tensor(self, x):
        dtype = keras.backend.standardize_dtype(x.dtype)
        require_float(dtype, self)
        value = self._run(
            x, lambda number: ops.cast(number, dtype), lambda operator: operator.function
        )
        return value if self._varies else value + ops.zeros_like(x)

    def slope(self, x: Any) -> Any:
        """Return the derivative at each entry of a tensor, in differentiable operations.

        It is formed from the inside out: the slope of each sub-expression in x, from those of
        its arguments. From the outside in, as a gradient goes back, `x * sigmoid(x)` with 1e30 as
        its gradient is 1e30 x times 0 at x = -1e10, which is infinity times 0.

        Args:
            x: Tensor of real floating-point numbers, any shape.
        """
        dtype = keras.backend.standardize_dtype(x.dtype)
        require_float(dtype, self)
        pairs: list = []
        for operator, head, indices in self._program:
            if operator is None:
                pairs.append((x, 1.0) if head == "x" else (ops.cast(head, dtype), None))
            elif operator.step is None:
                pairs.append(_value_and_slope(operator.function, [pairs[i] for i in indices]))
            else:
                first, *others = (pairs[i] for i in indices)
                for other in others:
                    first = _value_and_slope(operator.step, [first, other])
                pairs.append(first)
        slope = pairs[-1][1]
        return ops.full_like(x, slope or 0.0) if isinstance(slope, float | None) else slope

    def recomputed(self, x: Any) -> Any:
        """Return the values at a float tensor, of which only x is kept for the gradient.

        The gradient is that to the values times `slope`, but for `tame` expressions, whose
        gradients do not grow on their way back.

        Args:
            x: Float tensor with the batch first; of 16 bits, it is computed in float32.
        """
        short = keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16")
        function = functools.partial(_in_single, self) if short else self
        if self.tame:
            return backend.elementwise(function, x)
        pull_back = functools.partial(_pull_back, self)
        if short:
            pull_back = functools.partial(_pull_back_in_single, self)
        in_place = backend.reverse_first(function, pull_back)
        return backend.custom_gradient(function, pull_back, x, in_place=in_place)

    def _run(self, x, constant, implementation):
        values: list = []
        for operator, head, indices in self._program:
            if operator is not None:
                values.append(implementation(operator)(*[values[i] for i in indices]))
            else:
                values.append(x if head == "x" else constant(head))
        return values[-1]


def _pull_back(expression, gradient, x):
    """The gradient to x, given that to the value."""
    return (gradient * expression.slope(x),)


def _in_single(expression, x):
    """The value at x of 16 bits, of which the compiler of a backend makes one loop."""
    return ops.cast(expression(ops.cast(x, "float32")), x.dtype)


def _pull_back_in_single(expression, gradient, x):
    """The gradient to x of 16 bits, given that to the value."""
    (to_x,) = _pull_back(expression, ops.cast(gradient, "float32"), ops.cast(x, "float32"))
    return (ops.cast(to_x, x.dtype),)


def _value_and_slope(function, pairs):
    """The value and slope of a function of arguments, given theirs; slope None of a constant."""
    values = [value for value, _ in pairs]
    varying = {id(value): value for value, slope in pairs if slope is not None}
    slopes = {id(value): slope for value, slope in pairs}

    def of_varying(*tensors):
        given = dict(zip(varying, tensors, strict=True))
        return function(*(given.get(id(value), value) for value in values))

    if not varying:
        return function(*values), None
    value, partials = backend.value_and_slopes(of_varying, *varying.values())
    terms = [
        partial if isinstance(slopes[key], float) else partial * slopes[key]
        for key, partial in zip(varying, partials, strict=True)
    ]
    return value, sum(terms[1:], start=terms[0])


def require_float(dtype: str, expression: Any) -> None:
    """Raise TypeError unless `dtype` names real floating-point numbers."""
    if not keras.backend.is_float_dtype(dtype):
        raise TypeError(
            f"The expression {expression} takes tensors of real floating-point numbers, not "
            f"dtype {dtype}. Cast the input, for example with keras.ops.cast(x, 'float32')."
        )


def _number_text(number):
    try:
        value = math.nan if isinstance(number, (str, bytes)) else float(number)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(
            f"A leaf of an expression is 'x' or a finite number >= 0, not {shown(number)}."
        )
    return str(int(value)) if value.is_integer() and value < 1e15 else repr(value)


def shown(value: Any) -> str:
    """Return a value for a message, which a number of many digits must not fill."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print integers of more than 4,300 digits
        return "an integer of thousands of digits"
    return text if len(text) <= 60 else f"{text[:40]}… ({len(text)} characters)"


def _parse_again(text):
    from .parse import parse

    return parse(text)


@keras.saving.register_keras_serializable(package="keras_actfn", name="Evaluate")
class _Evaluate(keras.Operation):
    """An expression as one operation of a functional model, saved by its text."""

    def __init__(self, expression, name=None):
        super().__init__(name=name)
        self.expression = expression
        self._function = _parse_again(expression)

    def call(self, x):
        return self._function(x)

    def compute_output_spec(self, x):
        require_float(x.dtype, self.expression)
        return keras.KerasTensor(x.shape, dtype=x.dtype)

    def get_config(self):
        return {"expression": self.expression, "name": self.name}
