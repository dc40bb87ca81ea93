"""The expanded integral of ELU."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from .. import backend
from .base import LearnableActivation, number_argument, working_dtype

_HINT = "The paper starts from alpha_p=0.8 and alpha_n=0.8, with beta=0.5."


@keras.saving.register_keras_serializable(package="keras_actfn")
class XIELU(LearnableActivation):
    r"""Expanded Integral of the Exponential Linear Unit.

    $$f(x) = \begin{cases} \alpha_p x^2 + \beta x & x > 0 \\
    \alpha_n (e^x - 1) - \alpha_n x + \beta x & x \le 0 \end{cases}$$

    with learned $\alpha_p = \log(1 + e^{p})$ and $\alpha_n = \beta + \log(1 + e^{n})$, which stay
    positive, and the second above $\beta$. f is the integral of ELU's shape: its slope is
    $2 \alpha_p x + \beta$ on the right and $\alpha_n (e^x - 1) + \beta$ on the left, so f and its
    slope are continuous. It grows as a square: with large inputs normalise before it.

    Source: Huang & Schlag, Deriving Activation Functions Using Integration (2024), section 3, and
    the published code for the start and for $\beta$. That code takes $e^{\min(x, \epsilon)}$ with
    $\epsilon = -10^{-6}$ for a kernel's sake. It makes the slope at 0 that of no side,
    $\beta - \alpha_n$, and changes the values by less than $10^{-6} \alpha_n$; so `eps` is 0 here.

    Args:
        alpha_p: The $\alpha_p$ to start from, positive.
        alpha_n: The $\alpha_n$ to start from, larger than `beta`.
        beta: The slope at 0, which is not learned.
        eps: $\epsilon \le 0$ as above; −1e-6 computes what the published code does.
        axis: None for one pair for the layer, as in the paper, or the axis or axes that keep
            their own.
        **kwargs: `keras.layers.Layer`'s.

    Input shape:
        Any; float.

    Output shape:
        The input's.

    Weights:
        `alpha_p` and `alpha_n`, float32, scalars or of the sizes of `axis`: p and n of the formula,
        as the published code keeps them.

    Raises:
        ValueError: If an argument is no finite number or out of its range, or `axis` does not fit
            the input.

    Example:
    ```python
    layer = XIELU()
    layer(keras.ops.array([[-1.0, 1.0]]))  # [[-0.20569646, 1.3]]
    ```
    """

    def __init__(
        self,
        alpha_p: float = 0.8,
        alpha_n: float = 0.8,
        beta: float = 0.5,
        eps: float = 0.0,
        axis: int | Sequence[int] | None = None,
        **kwargs: Any,
    ):
        super().__init__(axis=axis, **kwargs)
        self.beta = number_argument("XIELU", "beta", beta, _HINT)
        self.eps = number_argument("XIELU", "eps", eps, "The published code's is -1e-6.")
        self.initial_alpha_p = number_argument("XIELU", "alpha_p", alpha_p, _HINT)
        self.initial_alpha_n = number_argument("XIELU", "alpha_n", alpha_n, _HINT)
        if not (self.initial_alpha_p > 0 and self.initial_alpha_n > self.beta):
            raise ValueError(
                "XIELU starts from alpha_p > 0 and alpha_n > beta, which the softplus keeps. "
                f"Received: alpha_p={self.initial_alpha_p}, alpha_n={self.initial_alpha_n}, "
                f"beta={self.beta}. {_HINT}"
            )
        if self.eps > 0:
            raise ValueError(f"XIELU's eps is at most 0. Received: eps={self.eps}. Leave it out.")
        self.create_shared_parameters()

    def build(self, input_shape: Any) -> None:
        """Create `alpha_p` and `alpha_n`."""
        super().build(input_shape)
        starts = {
            "alpha_p": self.initial_alpha_p,
            "alpha_n": self.initial_alpha_n - self.beta,
        }
        for name, start in starts.items():
            raw = start + math.log(-math.expm1(-start))  # softplus(raw) = start
            self.add_parameter(name, None, keras.initializers.Constant(raw))

    def activate(self, x: Any, alpha_p: Any, alpha_n: Any) -> Any:
        """The formula above."""

        def value(x, p, n):
            return _value(x, p, n, self.beta, self.eps)

        return backend.elementwise(value, x, alpha_p, alpha_n)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "alpha_p": self.initial_alpha_p,
            "alpha_n": self.initial_alpha_n,
            "beta": self.beta,
            "eps": self.eps,
        }


def _value(x, p, n, beta, eps):
    wide = ops.cast(x, working_dtype(x, p))
    nothing = ops.zeros_like(wide)
    right = ops.where(wide > 0, wide, nothing)
    left = ops.where(wide > 0, nothing, wide)
    growth = ops.softplus(n)  # alpha_n - beta
    below = left if eps == 0 else ops.where(wide > 0, nothing, _at_most(left, eps))
    value = (ops.softplus(p) * right + beta) * right
    value = value + (beta + growth) * ops.expm1(below) - growth * left
    return ops.cast(value, x.dtype)


def _at_most(x, bound):
    """X, but no more than a bound; NaN stays."""
    return ops.where(x > bound, ops.full_like(x, bound), x)
