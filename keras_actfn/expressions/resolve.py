"""From any specification of an elementwise function to a callable with a saved name."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from .._names import nearest
from ..backend import on_host
from .discovered import DISCOVERED
from .errors import SpecError
from .expression import Expression
from .names import AMBIGUOUS, KERAS_HARD_SIGMOID, KERAS_NAMES, refuse_ambiguous
from .parse import parse
from .registry import find_operator, operators


@keras.saving.register_keras_serializable(package="keras_actfn")
class NamedFunction:
    """An elementwise function that is no expression: a Keras activation or the user's own.

    Attributes:
        name: What is saved; `resolve(name)` gives the function again. `None` for a function
            that was not registered with Keras and so cannot be saved.
        function: The function, of tensors.
    """

    def __init__(self, function: Callable, name: str | None) -> None:
        self.function = function
        self.name = name

    def __call__(self, x: Any) -> Any:
        """Evaluate on a tensor, or on a NumPy array through the backend at its precision."""
        if ops.is_tensor(x) or isinstance(x, (keras.KerasTensor, keras.Variable)):
            return self.function(x)
        x = np.asarray(x)
        if x.dtype.kind != "f":
            x = x.astype("float64")
        with on_host():  # the function may be one of NumPy's
            return ops.convert_to_numpy(self.function(ops.convert_to_tensor(x))).astype(x.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the name, by which Keras saves a layer that applies the function.

        Raises:
            ValueError: If the function was not registered with Keras.
        """
        return {"name": serialize(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Expression | NamedFunction":
        """Return what the name of a configuration stands for."""
        return resolve(config["name"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamedFunction) and self.function == other.function

    def __hash__(self) -> int:
        return hash(self.function)

    def __str__(self) -> str:
        return str(self.name or getattr(self.function, "__name__", repr(self.function)))

    def __repr__(self) -> str:
        return f"NamedFunction({self})"


def resolve(spec: Any) -> Expression | NamedFunction:
    """Return the elementwise function that `spec` names.

    Strings are tried in this order:

    1. an operator of one argument: `"tanh"` is `tanh(x)`; but `"hard_sigmoid"` and
       `"leakyrelu"`, which Keras takes for other functions, are refused: with brackets,
       `"hard_sigmoid(x)"`, they are the operators;
    2. a discovered function: `"erfc_softplus_squared"`;
    3. an elementwise Keras activation: `"silu"`, `"leaky_relu"`, `"linear"`;
    4. a function registered with `keras.saving.register_keras_serializable`, by its
       registered name: `"my_package>my_function"`;
    5. an expression in x.

    Args:
        spec: A string, an `Expression`, what `resolve` returned before, or a function of one
            tensor (saved by its registered name).

    Returns:
        A callable for NumPy arrays and tensors, with the `name` that is saved.

    Raises:
        SpecError: If no such name exists, or an expression cannot be read.
        TypeError: If `spec` is something else.

    Example:
        >>> resolve("tanh").name
        'tanh(x)'
    """
    if isinstance(spec, (Expression, NamedFunction)):
        return spec
    if isinstance(spec, str):
        return _resolve_text(spec)
    return _resolve_function(spec)


def serialize(function: Expression | NamedFunction) -> str:
    """Return the name from which `resolve` gives `function` again.

    Raises:
        ValueError: If the function was not registered with Keras.
    """
    if function.name is None:
        raise ValueError(
            f"The function {function} cannot be saved, because no name leads back to it. "
            "Register it with @keras.saving.register_keras_serializable(), or write it as an "
            "expression in x."
        )
    return function.name


def _resolve_text(text):
    name = text.strip()
    start = text.find(name)
    refuse_ambiguous(name, text, start)
    operator = find_operator(name)
    if operator is not None:
        if operator.arity != 1:
            raise SpecError(
                f"The operator '{name}' takes {operator.describe_arity()} in brackets, such as "
                f"{name}(x,tanh(x)).",
                text,
                start,
            )
        return Expression(name, (Expression("x"),))
    if name in DISCOVERED:
        return DISCOVERED[name].expression
    if name in KERAS_NAMES:
        return NamedFunction(keras.activations.get(name), name)
    registered = keras.saving.get_registered_object(name)
    if registered is not None:
        return _resolve_function(registered)
    if not name.isidentifier() or name == "x":
        return parse(text)
    if _keras_activation(name):
        rule = f"The Keras activation '{name}' is not elementwise, so it is no function of x."
    else:
        rule = f"Unknown function '{name}'. {nearest(name, function_names())}".rstrip()
    raise SpecError(rule, text, start)


def function_names() -> list[str]:
    """Return the names that stand for a function of x by themselves."""
    unary = [operator.name for operator in operators() if operator.arity == 1]
    return [name for name in (*unary, *DISCOVERED, *KERAS_NAMES) if name not in AMBIGUOUS]


def _keras_activation(name):
    try:
        return keras.activations.get(name)
    except ValueError:
        return None


def _resolve_function(function):
    if isinstance(function, type) or not callable(function):
        raise TypeError(
            "An elementwise function is given by a name, an expression in x or a function of "
            f"one tensor, not by {function!r}."
        )
    name = getattr(function, "__name__", None)
    if name and _keras_activation(name) is function:
        return parse(KERAS_HARD_SIGMOID) if name == "hard_sigmoid" else _resolve_text(name)
    registered = keras.saving.get_registered_name(function)
    known = keras.saving.get_registered_object(registered) is function
    return NamedFunction(function, registered if known else None)
