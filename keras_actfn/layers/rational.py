"""Rational functions with learned coefficients: Padé activation units."""

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from .. import backend, expressions
from ..expressions.expression import shown
from ..expressions.tensor_functions import finite
from .base import (
    LearnableActivation,
    finite_in_float32,
    number_argument,
    starting_again,
    working_dtype,
)
from .rational_fit import TOLERANCE, fit_rational

#: The highest power of x.
MOST_DEGREES = 16


@keras.saving.register_keras_serializable(package="keras_actfn")
class Rational(LearnableActivation):
    r"""Safe Padé activation unit: a quotient of two polynomials with learned coefficients.

    $$f(x) = \frac{a_0 + a_1 x + \dots + a_m x^m}{1 + |b_1 x + \dots + b_n x^n|}$$

    The denominator is at least 1, so f has no poles. But f is smooth only between the zeros of the
    inner polynomial $S = b_1 x + \dots + b_n x^n$: where S changes its sign, at 0 for example if
    $b_1 \ne 0$, the slope jumps by $2 |P S'|$, with P the numerator; that is nothing where P is 0
    too. There the derivatives are those of one side. Where S is 0 everywhere it counts as positive,
    so that b has a gradient. For equations with second derivatives prefer `sin`, `gaussian` or
    `tanh`.

    With m = n + 1, the default, f goes to lines far out. It is computed by powers of 1 / |x| there,
    so that it is finite wherever f is, in every precision. Infinite inputs count as the largest
    finite number.

    Source: Molina, Schramowski & Kersting, Padé Activation Units: End-to-end Learning of Flexible
    Activation Functions in Deep Networks (ICLR 2020), the safe PAU, with m = 5 and n = 4.

    The start is the least squares fit to `initial` on [`low`, `high`]
    (`keras_actfn.layers.rational_fit.fit_rational`; the largest error for tanh is 3e-6, for swish
    1e-6, for gelu 9e-4, for ReLU 0.034 at its kink). Beyond the interval f is
    another function: with m = n + 1 nearly a line, and the same one on both sides, for ReLU
    x / 2 + 3. A start that differs by more than 0.1 (1 + |f|) on the interval warns.

    Args:
        degrees: m and n, each from 1 to 16.
        initial: The function to start from: an operator name, an expression in x, a callable, or
            a pair of lists of the m + 1 and n coefficients.
        low: Start of the interval for the fit.
        high: End of the interval for the fit.
        axis: None for one function for the layer, or the axis or axes that keep their own.
        **kwargs: `keras.layers.Layer`'s.

    Input shape:
        Any; float.

    Output shape:
        The input's.

    Weights:
        `numerator`, (m + 1,), and `denominator`, (n,), float32, followed by the sizes of `axis`.

    Raises:
        ValueError: If the degrees are no such numbers, `low` is not below `high`, `initial` is
            unknown or not finite on the interval, or `axis` does not fit the input.

    Example:
    ```python
    layer = Rational((1, 2), initial=([0.0, 1.0], [0.0, 1.0]))  # x / (1 + x²)
    layer(keras.ops.array([[-1.0, 0.0, 2.0]]))  # [[-0.5, 0.0, 0.4]]
    ```
    """

    def __init__(
        self,
        degrees: Sequence[int] = (5, 4),
        initial: Any = "relu",
        low: float = -3.0,
        high: float = 3.0,
        axis: int | Sequence[int] | None = None,
        **kwargs: Any,
    ):
        super().__init__(axis=axis, **kwargs)
        self.degrees = _degrees_argument(degrees)
        hint = "The default is [-3, 3]."
        self.low = number_argument("Rational", "low", low, hint)
        self.high = number_argument("Rational", "high", high, hint)
        if not self.low < self.high:
            raise ValueError(
                "Rational is fitted on an interval whose low end is below its high end. Received: "
                f"low={self.low}, high={self.high}. {hint}"
            )
        self.initial, self._starts = self._initial_argument(initial)
        self.create_shared_parameters()

    def build(self, input_shape: Any) -> None:
        """Create `numerator` and `denominator`."""
        super().build(input_shape)
        for name, start in self._starts.items():
            self.add_parameter(name, len(start), functools.partial(_initialize, start))

    def activate(self, x: Any, numerator: Any, denominator: Any) -> Any:
        """The formula above."""
        above, below = self.degrees[0] + 1, self.degrees[1]
        value = functools.partial(_value, above)
        coefficients = *ops.unstack(numerator, above), *ops.unstack(denominator, below)
        return backend.elementwise(value, x, *coefficients)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        initial = self.initial
        if not isinstance(initial, (str, list)):
            initial = expressions.serialize(expressions.resolve(initial))
        return {
            **super().get_config(),
            "degrees": list(self.degrees),
            "initial": initial,
            "low": self.low,
            "high": self.high,
        }

    def _initial_argument(self, initial):
        """`initial` without arrays, and the coefficients by the name of their weight."""
        sizes = {"numerator": self.degrees[0] + 1, "denominator": self.degrees[1]}
        if isinstance(initial, (list, tuple)):
            try:
                pair = [np.asarray(each, "float64") for each in initial]
            except (TypeError, ValueError, OverflowError):
                pair = []
            shapes = [each.shape for each in pair]
            if shapes != [(size,) for size in sizes.values()] or not all(
                finite_in_float32(each) for each in pair
            ):
                raise ValueError(
                    "As a pair of lists, `initial` gives finite coefficients a0 … am and b1 … bn, "
                    f"{sizes['numerator']} and {sizes['denominator']} here. Received: "
                    f"{shown(initial)}."
                )
            return [each.tolist() for each in pair], dict(zip(sizes, pair, strict=True))
        fit = fit_rational(expressions.resolve(initial), self.degrees, self.low, self.high)
        if not fit.fits and not starting_again():
            warnings.warn(
                f"Rational starts from {shown(initial)} fitted on [{self.low:g}, {self.high:g}], "
                f"from which it differs by {fit.difference:.3g} at x = {fit.at:.4g}, more than "
                f"{TOLERANCE} (1 + |f|). Take higher `degrees` or a narrower interval.",
                stacklevel=3,
            )
        return initial, dict(zip(sizes, (fit.numerator, fit.denominator), strict=True))


def _value(count, x, *coefficients):
    """P / Q, both divided by |x|^d far out, with d the degree that Q really has.

    The quotient does not depend on the divisor, which therefore counts as a constant.
    """
    above, below = coefficients[:count], coefficients[count:]
    wide = finite(ops.cast(x, working_dtype(x, above[0])))
    fixed, unit = ops.stop_gradient(wide), ops.ones_like(wide)
    size = ops.absolute(fixed)
    size = ops.where(size > 1, size, unit)
    # A quotient and no product: the inverse of the largest numbers may be flushed to zero.
    ratio, inverse = wide / size, 1.0 / size
    reached, first = [ops.not_equal(below[-1], 0)], below[-1]
    for b in below[-2::-1]:
        there = ops.not_equal(b, 0)
        reached.insert(0, ops.logical_or(reached[0], there))  # this power or a higher one
        first = ops.where(there, b, first)
    steps = [ops.where(each, inverse, unit) for each in reached]
    factors = [ops.where(each, ratio, wide) for each in reached]
    numerator, _ = _polynomial(above, factors + [wide] * (count - 1), steps)
    # Powers that are not reached have the coefficient 0, and so no derivative by x.
    factors = [ops.where(each, ratio, fixed) for each in reached]
    inner, scale = _polynomial((None, *below), factors, steps)
    # At 0 the sign is that beside it, of the lowest power, as the second derivative wants.
    negative = ops.where(ops.equal(inner, 0), ops.logical_and(first < 0, unit > 0), inner < 0)
    return ops.cast(numerator / (scale + ops.where(negative, -inner, inner)), x.dtype)


def _polynomial(coefficients, factors, steps):
    """A polynomial times the product of the steps, by Horner's rule, and that product.

    Each factor is x, times the step where there is one.
    """
    scale = ops.ones_like(steps[0])
    for step in steps[len(coefficients) - 1 :]:
        scale = scale * step
    value = coefficients[-1] * scale
    for power in range(len(coefficients) - 1, 0, -1):
        value = value * factors[power - 1]
        if power <= len(steps):
            scale = scale * steps[power - 1]
        if coefficients[power - 1] is not None:
            value = value + coefficients[power - 1] * scale
    return value, scale


def _initialize(start, shape, dtype=None):
    column = start.reshape(-1, *(1 for _ in shape[1:]))
    return ops.convert_to_tensor(np.broadcast_to(column, shape), dtype)


def _degrees_argument(degrees):
    pair = list(degrees) if isinstance(degrees, (list, tuple)) else []
    right = len(pair) == 2 and not any(
        isinstance(each, bool)
        or not isinstance(each, (int, np.integer))
        or not 1 <= each <= MOST_DEGREES
        for each in pair
    )
    if not right:
        raise ValueError(
            f"Rational's degrees are two integers from 1 to {MOST_DEGREES}, of the numerator and "
            f"of the denominator. Received: degrees={shown(degrees)}. The paper's are (5, 4)."
        )
    return int(pair[0]), int(pair[1])
