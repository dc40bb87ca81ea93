"""What each of the modules `tensorflow`, `jax` and `torch` defines, with the same meaning.

In float32 they give the same numbers to 1e-5 relative. "Array" stands for the backend's tensor.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

Array = Any


class Taps(Protocol):
    """Gradients of a function's output with respect to tensors tapped inside it."""

    output: Array
    tensors: list[Array]

    def pullback(self, cotangents: Iterable[np.ndarray | Array]) -> Iterator[list[Array]]:
        """Yield, for each cotangent of the output, the list of the taps' gradients."""


class Backend(Protocol):
    """The public names of a backend's module, all of them functions but the first two."""

    INDEX_DTYPE: str
    """Dtype of the indices that `knot_sums` takes."""

    GradientTaps: Callable[..., Taps]
    """Called with a function of one argument, `tap`, that returns the output and a list of
    further tensors. Inside, `tensor = tap(tensor)` marks a tensor."""

    def custom_gradient(
        self,
        forward: Callable[..., Array],
        backward: Callable[..., Iterable[Array]] | None,
        x: Array,
        *parameters: Array,
        sums: Callable[..., Iterable[Array]] | None = None,
        in_place: tuple[Callable, Callable] | None = None,
    ) -> Array:
        """A function with a gradient of its own; see `elementwise.custom_gradient`."""

    def vector_jacobian_product(
        self, function: Callable[..., Array], gradient: Array, x: Array, *parameters: Array
    ) -> Iterable[Array]:
        """Gradients of `sum(gradient * function(x, *parameters))` to x and each parameter."""

    def value_and_slopes(
        self, function: Callable[..., Array], *arguments: Array
    ) -> tuple[Array, Iterable[Array]]:
        """The value of an elementwise function and its partial derivative in each argument.

        Both come from operations that can be differentiated.
        """

    def keeping(
        self,
        forward: Callable[[Array], tuple[Array, Array]],
        backward: Callable[[Array, Array], Array],
        x: Array,
    ) -> Array:
        """`forward(x)[0]`, with `backward(gradient, forward(x)[1])` for its gradient."""

    def pointwise(self, function: Callable[[Array], Array], x: Array) -> Array:
        """`function(x)`, elementwise, whose slope is computed once for all backward passes."""

    def compiled(self, function: Callable) -> Callable:
        """`function` of tensors without gradients, compiled where the backend gains by it."""

    def selects(self, x: Array) -> bool:
        """Whether a look-up in a small table by selects beats a gather, for tensors like x."""

    def known_nonzero(self, x: Array) -> bool:
        """Whether no entry of x is 0, where a look at x is free; False where it is not.

        It is in PyTorch's eager mode on a CPU, where each operation that it saves takes time.
        """

    def in_place_interpolation(
        self, *, low: float, scale: float, bounds: tuple[float, float]
    ) -> tuple[Callable, Callable] | None:
        """`piecewise.interpolate` and its gradient with temporaries reused, or None."""

    def in_place_spline(
        self, *, low: float, scale: float, bounds: tuple[float, float]
    ) -> tuple[Callable, Callable] | None:
        """The same for those of `splines`."""

    def reverse_first(
        self, function: Callable[[Array], Array], pull_back: Callable[[Array, Array], Iterable]
    ) -> tuple[Callable, Callable] | None:
        """`function` and a quicker `pull_back`, for `custom_gradient`'s `in_place`, or None."""

    def knot_sums(self, terms: Sequence[Array], index: Array, shape: tuple[int, ...]) -> Array:
        """Sums by knot of terms for knots in a row.

        The first of the `terms`, two or four tensors, belongs to the knot of `index`, the second
        to the one behind it, and so on. `shape` is that of the values, and of the result; `index`
        counts its entries, and those of one more knot, whose elements count nowhere. On a CPU by
        scatters; elsewhere by comparisons and reductions, which give the same bits in every run.
        """

    def on_host(self) -> AbstractContextManager:
        """A scope in which new tensors can be read by NumPy's functions."""

    def bessel_i0e(self, x: Array) -> Array:
        """exp(-|x|) I0(x); bfloat16 and float16 are computed in float32."""

    def bessel_i1e(self, x: Array) -> Array:
        """exp(-|x|) I1(x); bfloat16 and float16 are computed in float32."""

    def tanh(self, x: Array) -> Array:
        """The hyperbolic tangent, with a slope that is right for large x."""

    def elu(self, x: Array) -> Array:
        """X for x > 0, exp(x) − 1 below, with slopes that are right for large |x|."""

    def selu(self, x: Array) -> Array:
        """The scaled `elu` of self-normalizing networks."""

    def divide(self, x: Array, y: Array) -> Array:
        """X / y, with slopes that stay finite where y² does not."""

    def power(self, x: Array, y: Array) -> Array:
        """X to the power y, whose slope in y is 0 where x <= 0."""
