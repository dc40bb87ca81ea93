"""Learned mixes of base functions, held in the convex or affine hull by a constraint."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from .. import backend, constraints, expressions
from ..expressions import Expression
from ..expressions.expression import shown
from .base import LearnableActivation, finite_in_float32, working_dtype


class _HullActivation(LearnableActivation):
    """The layer behind both hulls; they differ in their constraint alone."""

    def __init__(self, base_functions, initializer, constraint, axis=None, **kwargs):
        super().__init__(axis=axis, **kwargs)
        self._functions = _base_function_argument(base_functions, type(self).__name__)
        self.base_functions = tuple(base_functions)
        self.initializer = _initializer_argument(initializer, len(self.base_functions))
        self.constraint = constraints.get(constraint)
        self.create_shared_parameters()

    def build(self, input_shape):
        """Create `coefficients`, of shape (N, …)."""
        super().build(input_shape)
        self.add_parameter(
            "coefficients",
            len(self._functions),
            self._initial_coefficients,
            constraint=self.constraint,
        )

    def activate(self, x, coefficients):
        """The sum of the base functions of x, weighted by the coefficients."""
        combine = functools.partial(_combine, self._functions)
        return backend.elementwise(combine, x, *ops.unstack(coefficients))

    def get_config(self):
        """The constructor's arguments."""
        initializer = self.initializer
        if callable(initializer):
            initializer = keras.initializers.serialize(initializer)
        return {
            **super().get_config(),
            "base_functions": [
                given if isinstance(given, str) else expressions.serialize(function)
                for given, function in zip(self.base_functions, self._functions, strict=True)
            ],
            "initializer": initializer,
            "constraint": constraints.serialize(self.constraint),
        }

    def _initial_coefficients(self, shape, dtype=None):
        if self.initializer == "uniform":
            coefficients = ops.full(shape, 1 / shape[0], dtype)
        elif isinstance(self.initializer, list):
            column = np.reshape(self.initializer, (-1, *(1 for _ in shape[1:])))
            coefficients = ops.convert_to_tensor(np.broadcast_to(column, shape), dtype)
        else:
            coefficients = ops.cast(self.initializer(shape, dtype=dtype), dtype)
        return coefficients if self.constraint is None else self.constraint(coefficients)


@keras.saving.register_keras_serializable(package="keras_actfn")
class ConvexHullActivation(_HullActivation):
    r"""Learned convex combination of base functions.

    $$f(x) = \sum_{i=1}^N c_i f_i(x), \qquad c_i \ge 0,\quad \sum_i c_i = 1$$

    A mix of monotonic functions stays monotonic. With `("identity", "relu")` the layer is
    exactly the leaky ReLU whose slope for negative inputs is $c_1$. The paper asks of each
    base function that it be differentiable almost everywhere and approximate the identity
    near the origin, at least from one side.

    Source: Manessi & Rozza, Learning Combinations of Activation Functions, section III.

    Args:
        base_functions: Operator names, expressions in x, or callables registered with
            `keras.saving.register_keras_serializable`. The paper's set by default.
        initializer: `"uniform"` for $c_i = 1/N$, a list of N numbers, or a Keras initializer.
            The outcome is projected by `constraint`.
        constraint: Applied by the optimizer after every step: a name, a
            `keras.constraints.Constraint`, or None for a free linear combination.
            Averages of `use_ema=True` are written without it: see
            `keras_actfn.callbacks.ProjectConstraints`.
        axis: None for one mix for the layer, or the axis or axes that keep their own.
        **kwargs: `keras.layers.Layer`'s.

    Input shape:
        Any; float.

    Output shape:
        The input's.

    Weights:
        `coefficients`, float32, of shape (N,) followed by the sizes of `axis`. A coefficient
        of exactly 0 takes its term away: where $f_i(x)$ or a derivative is infinite or
        undefined, output and gradients to x are those of the other terms. The gradient to such a
        coefficient is that of the formula, $f_i(x)$, summed over the entries where $f_i(x)$ is
        finite.

    Raises:
        ValueError: If `base_functions` is empty or holds an unknown name, if `initializer` has
            the wrong length, or if `axis` does not fit the input.

    Example:
    ```python
    layer = ConvexHullActivation(("identity", "relu"), initializer=[0.1, 0.9])
    layer(keras.ops.array([[-2.0, 3.0]]))  # [[-0.2, 3.0]]
    ```
    """

    def __init__(
        self,
        base_functions: Sequence = ("identity", "relu", "tanh"),
        initializer: Any = "uniform",
        constraint: Any = "simplex",
        axis: int | Sequence[int] | None = None,
        **kwargs: Any,
    ):
        super().__init__(base_functions, initializer, constraint, axis=axis, **kwargs)


@keras.saving.register_keras_serializable(package="keras_actfn")
class AffineHullActivation(_HullActivation):
    r"""Learned affine combination of base functions.

    $$f(x) = \sum_{i=1}^N c_i f_i(x), \qquad \sum_i c_i = 1$$

    Coefficients may be negative, so f need not be monotonic. If every base function
    approximates the identity near the origin, the affine hull is exactly the set of their
    linear combinations that do so too (Proposition 1).

    Source: Manessi & Rozza, Learning Combinations of Activation Functions, section III.

    Args:
        base_functions: Operator names, expressions in x, or callables registered with
            `keras.saving.register_keras_serializable`. The paper's set by default.
        initializer: `"uniform"` for $c_i = 1/N$, a list of N numbers, or a Keras initializer.
            The outcome is projected by `constraint`.
        constraint: Applied by the optimizer after every step: a name, a
            `keras.constraints.Constraint`, or None for a free linear combination.
            Averages of `use_ema=True` are written without it: see
            `keras_actfn.callbacks.ProjectConstraints`.
        axis: None for one mix for the layer, or the axis or axes that keep their own.
        **kwargs: `keras.layers.Layer`'s.

    Input shape:
        Any; float.

    Output shape:
        The input's.

    Weights:
        `coefficients`, float32, of shape (N,) followed by the sizes of `axis`. A coefficient
        of exactly 0 takes its term away: where $f_i(x)$ or a derivative is infinite or
        undefined, output and gradients to x are those of the other terms. The gradient to such a
        coefficient is that of the formula, $f_i(x)$, summed over the entries where $f_i(x)$ is
        finite.

    Raises:
        ValueError: If `base_functions` is empty or holds an unknown name, if `initializer` has
            the wrong length, or if `axis` does not fit the input.

    Example:
    ```python
    layer = AffineHullActivation(("identity", "tanh"), initializer=[2.0, -1.0])
    layer(keras.ops.array([[0.0, 10.0]]))  # [[0.0, 19.0]]
    ```
    """

    def __init__(
        self,
        base_functions: Sequence = ("identity", "relu", "tanh"),
        initializer: Any = "uniform",
        constraint: Any = "unit_sum",
        axis: int | Sequence[int] | None = None,
        **kwargs: Any,
    ):
        super().__init__(base_functions, initializer, constraint, axis=axis, **kwargs)


def _combine(functions, x, *coefficients):
    wide = ops.cast(x, working_dtype(x, coefficients[0]))
    terms = [weighted_term(f, wide, c) for f, c in zip(functions, coefficients, strict=True)]
    return ops.cast(sum(terms[1:], start=terms[0]), x.dtype)


def weighted_term(function: Any, x: Any, coefficient: Any) -> Any:
    """`coefficient * function(x)`, which is 0 where the coefficient is, even times infinity.

    There the term gives no gradient to x and none to the coefficient, and where a derivative of
    the function is infinite, none to x. Gradients are cut off at x, behind the multiplication by
    an infinite slope, and directional derivatives at the value; to find out where, a function
    that has no `limits` is evaluated once more, and one that is not `tame` with its derivatives.
    Where the coefficient can be looked at first, and is not 0, nothing of this is needed.
    """
    if backend.known_nonzero(coefficient):
        return coefficient * _value(function, x)
    off, tame = ops.equal(coefficient, 0), getattr(function, "tame", False)
    if tame and function.limits:
        value = function(x)
        lost = ops.logical_and(off, ops.equal(ops.absolute(value), float("inf")))
        return coefficient * ops.where(lost, ops.zeros_like(value), value)
    fixed = ops.stop_gradient(x)
    derived = (function(fixed),) if tame else _derivatives(function, fixed)
    constant, *derivatives = map(ops.stop_gradient, derived)
    off = ops.logical_and(off, ops.equal(fixed, fixed))  # where x is NaN, so is the term
    lost = ops.logical_and(off, ops.logical_not(ops.isfinite(constant)))
    if tame:
        value = function(ops.where(lost, ops.zeros_like(x), x))
    else:
        finite = functools.reduce(ops.logical_and, map(ops.isfinite, derivatives))
        cut = ops.logical_or(lost, ops.logical_and(off, ops.logical_not(finite)))
        value = ops.where(cut, constant, _value(function, ops.where(cut, fixed, x)))
    return coefficient * ops.where(lost, ops.zeros_like(value), value)


def _value(function, x):
    """`function(x)`, by its own slopes where gradients might overflow on their way back."""
    if isinstance(function, Expression) and not function.tame:
        return function.recomputed(x)
    return function(x)


def _derivatives(function, x):
    """Value and slope of a function of x; of an expression the slope's slope as well."""
    if not isinstance(function, Expression):
        value, (slope,) = backend.value_and_slopes(function, x)
        return value, slope
    slope, (curvature,) = backend.value_and_slopes(function.slope, x)
    return function(x), slope, curvature


def _base_function_argument(base_functions, owner):
    if isinstance(base_functions, str) or not isinstance(base_functions, (list, tuple)):
        raise ValueError(
            f"{owner} takes a list of base functions. Received: "
            f'base_functions={base_functions!r}. Write ("identity", "relu"), for example.'
        )
    if not base_functions:
        raise ValueError(
            f"{owner} combines at least one base function. Received an empty list. Leave "
            'base_functions out for the paper\'s set ("identity", "relu", "tanh").'
        )
    return tuple(expressions.resolve(function) for function in base_functions)


def _initializer_argument(initializer, count):
    if isinstance(initializer, str) and initializer == "uniform":
        return initializer
    if isinstance(initializer, (list, tuple, np.ndarray)):
        try:
            numbers = np.asarray(initializer, dtype="float64")
        except (TypeError, ValueError, OverflowError):
            numbers = np.array(np.nan)
        if numbers.shape != (count,) or not finite_in_float32(numbers):
            raise ValueError(
                "As a list, `initializer` gives one finite number per base function, "
                f"{count} here. Received: {shown(list(initializer))}."
            )
        return numbers.tolist()
    return keras.initializers.get(initializer)
