"""The functions of `keras_actfn.backend` on JAX."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero

from . import _jax_knots
from ._jax_linear import with_gradient
from .folding import folded_gradients

#: The indices that `knot_sums` takes.
INDEX_DTYPE = "int32"

#: Elements of a slice of a batch, about.
_SLICE = 1 << 17

#: Elements of the one shape that an elementwise function is compiled for.
_CHUNK = 1 << 16


def custom_gradient(
    forward: Callable[..., jax.Array],
    backward: Callable[..., Iterable[jax.Array]] | None,
    x: jax.Array,
    *parameters: jax.Array,
    sums: Callable[..., Iterable[jax.Array]] | None = None,
    in_place: tuple[Callable, Callable] | None = None,
) -> jax.Array:
    """`forward(x, *parameters)` with `backward` for its gradient; see `elementwise`."""
    gradients = functools.partial(_gradients, forward, backward, sums)
    return with_gradient(forward, gradients, x, *parameters)


def _gradients(forward, backward, sums, gradient, x, *parameters):
    """Gradients to x and the parameters."""
    if backward is None:
        to_x, *rest = vector_jacobian_product(forward, gradient, x, *parameters)
    else:
        to_x, *rest = backward(gradient, x, *parameters)
    arguments = rest, gradient, x, *parameters
    if sums is not None:
        by_slice = functools.partial(_sums_by_slice, backward, sums)
        rest = _by_device(by_slice, functools.partial(_sums, backward, sums), *arguments)
    elif parameters and _fuses(x) and all(p.ndim == 0 for p in parameters):
        rest = _by_device(functools.partial(_folded, forward), _as_they_are, *arguments)
    return (to_x, *rest)


def _by_device(on_cpu, elsewhere, *arguments):
    """`on_cpu(*arguments)` in a program that is lowered for a CPU, else `elsewhere(*arguments)`.

    Both return a list. `jax.export` lowers for any device, whatever this machine has.
    """
    return jax.lax.platform_dependent(*arguments, cpu=on_cpu, default=elsewhere)


def _as_they_are(rest, *arguments):
    return rest


def _folded(forward, rest, gradient, x, *parameters):
    """Gradients to scalar parameters, added up as XLA does it quickly on a CPU."""
    # The gradient to x is kept apart: what both share would be kept in memory, which
    # takes longer than computing it twice.
    arguments = *jax.lax.optimization_barrier((gradient, x)), *parameters
    folded = folded_gradients(vector_jacobian_product, forward, *arguments)
    return [part.sum() for part in folded]


def _sums(backward, sums, rest, gradient, x, *parameters):
    """Gradients to the parameters: `sums` of `rest`, what `backward` returns behind that to x."""
    if any(p.ndim == x.ndim and p.shape[-1] > 1 for p in parameters):
        # Sums for each entry of the last axis are a kernel of their own on a GPU. To compute their
        # terms in it again takes half the traffic of keeping them.
        rest = backward(*jax.lax.optimization_barrier((gradient, x)), *parameters)[1:]
    return list(sums(*rest, *parameters))


def _sums_by_slice(backward, sums, rest, gradient, x, *parameters):
    """The same, compiled for a CPU: one slice of the batch after the other.

    Their temporaries stay in the cache: for whole tensors they would take fresh memory, and longer.
    """
    count = _slice_count(x.shape) if _fuses(x) else 1
    if count == 1:
        return list(sums(*rest, *parameters))

    def add(totals, arrays):
        rest = backward(*arrays, *parameters)[1:]
        return [a + b for a, b in zip(totals, sums(*rest, *parameters), strict=True)], None

    zeros = [jnp.zeros_like(parameter) for parameter in parameters]
    slices = [array.reshape(count, -1, *x.shape[1:]) for array in (gradient, x)]
    return jax.lax.scan(add, zeros, slices)[0]


def _slice_count(shape):
    """Into how many equal slices to cut a batch; 1 without a size or a suitable divisor."""
    if not all(isinstance(size, int) for size in shape):  # exported for every batch size
        return 1
    wanted = -(-math.prod(shape) // _SLICE)
    counts = range(wanted, 8 * wanted)
    return next((count for count in counts if shape and shape[0] % count == 0), 1)


def vector_jacobian_product(
    function: Callable[..., jax.Array], gradient: jax.Array, x: jax.Array, *parameters: jax.Array
) -> Iterable[jax.Array]:
    """Gradients of `sum(gradient * function(x, *parameters))` to x and each parameter."""
    return jax.vjp(function, x, *parameters)[1](gradient)


def value_and_slopes(
    function: Callable[..., jax.Array], *arguments: jax.Array
) -> tuple[jax.Array, Iterable[jax.Array]]:
    """The value of an elementwise function and its partial derivative in each argument."""
    output, pull_back = jax.vjp(function, *arguments)
    return output, pull_back(jnp.ones_like(output))


def _fuses(x: jax.Array) -> bool:
    """Whether functions of tensors like x are compiled into one kernel: under `jax.jit` only."""
    return isinstance(x, jax.core.Tracer)


def selects(x: jax.Array) -> bool:
    """Whether a look-up by selects is faster than a gather: in a kernel, but not on a GPU.

    There a small table stays in the cache next to the threads.
    """
    return _fuses(x) and jax.default_backend() != "gpu"


def known_nonzero(x: jax.Array) -> bool:
    """False: tensors are traced, and a comparison costs nothing in a kernel."""
    return False


def keeping(
    forward: Callable[[jax.Array], tuple[jax.Array, jax.Array]],
    backward: Callable[[jax.Array, jax.Array], jax.Array],
    x: jax.Array,
) -> jax.Array:
    """`forward(x)[0]`, with `backward(gradient, forward(x)[1])` for its gradient."""
    return _keeping(lambda x: forward(x)[0], forward, backward, x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _keeping(value, forward, backward, x):
    return value(x)


_keeping.defvjp(
    lambda value, forward, backward, x: forward(x),
    lambda value, forward, backward, kept, gradient: (backward(gradient, kept),),
)


def pointwise(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """`function(x)`, elementwise, compiled for one shape only, however many x has.

    Run operation by operation, a new function is compiled once for each of its operations,
    their derivatives, and each shape. Here its value and slope are one kernel over a chunk of
    elements. Only on a CPU, outside `jax.jit`.
    """
    return _keeping(function, functools.partial(_in_chunks, function), jnp.multiply, x)


def _in_chunks(function, x):
    if isinstance(x, jax.core.Tracer) or any(d.platform != "cpu" for d in x.devices()):
        return _value_and_slope(function, x)
    kernel = _kernel(function)
    flat = np.asarray(x).reshape(-1)
    both = np.empty((2, flat.size), flat.dtype)
    for start in range(0, flat.size, _CHUNK):
        part = flat[start : start + _CHUNK]
        values = kernel(part if part.size == _CHUNK else np.resize(part, _CHUNK))
        both[:, start : start + part.size] = np.asarray(values)[:, : part.size]
    return tuple(jnp.asarray(each.reshape(x.shape)) for each in both)


def _value_and_slope(function, x):
    output, pull_back = jax.vjp(function, x)
    return output, pull_back(jnp.ones_like(output))[0]


@functools.lru_cache(maxsize=32)
def _kernel(function):
    # One output, and so one loop: two would be compiled as three.
    return jax.jit(lambda x: jnp.stack(_value_and_slope(function, x)))


def in_place_interpolation(*, low: float, scale: float, bounds: tuple[float, float]) -> None:
    """None: no operation here writes in place."""


def in_place_spline(*, low: float, scale: float, bounds: tuple[float, float]) -> None:
    """None: no operation here writes in place."""


knot_sums = _jax_knots.knot_sums


def reverse_first(function: Callable, pull_back: Callable) -> None:
    """None: a kernel takes no longer for a gradient that is formed from the inside out."""


elu = jax.nn.elu
selu = jax.nn.selu


@jax.custom_jvp
def tanh(x: jax.Array) -> jax.Array:
    """The hyperbolic tangent t of x, whose slope (1 − t)(1 + t) is 0 where t is −1.

    JAX adds (1 − t) and (1 − t) t up, each multiplied by what may be 1e10.
    """
    return _tanh(x)


@functools.partial(jax.jit, inline=True)
def _tanh(x):
    return lax.platform_dependent(x, cuda=_tanh_by_expm1, default=jnp.tanh)


def _tanh_by_expm1(x):
    """Tanh as fast as memory in kernels that read 16 bits, where XLA's takes twice as long."""
    less = jnp.expm1(-2 * jnp.abs(x))
    return jnp.copysign(-less / (2 + less), x)


@tanh.defjvp
def _tanh_slope(primals, tangents):
    output = tanh(*primals)
    return output, tangents[0] * ((1 - output) * (1 + output))


@jax.custom_jvp
def divide(x: jax.Array, y: jax.Array) -> jax.Array:
    """The quotient, whose slopes are divided by y twice, where JAX divides by y² that overflows."""
    return jnp.divide(x, y)


@divide.defjvp
def _divide_slopes(primals, tangents):
    output = divide(*primals)
    return output, divide(tangents[0] - output * tangents[1], primals[1])


@jax.custom_jvp
def power(x: jax.Array, y: jax.Array) -> jax.Array:
    """X to the power y, whose slope in y is 0 where x <= 0, where JAX's has the logarithm of x."""
    return jnp.power(x, y)


def _power_slopes(primals, tangents):
    x, y = primals
    output, total = power(x, y), 0.0
    if not isinstance(tangents[0], SymbolicZero):
        total += tangents[0] * y * power(x, jnp.where(y == 0, 1, y - 1))
    if not isinstance(tangents[1], SymbolicZero):
        positive = x > 0
        logarithm = jnp.log(jnp.where(positive, x, 1))
        total += tangents[1] * (jnp.where(positive, output, 0) * logarithm)
    return output, jnp.broadcast_to(total, output.shape).astype(output.dtype)


power.defjvp(_power_slopes, symbolic_zeros=True)


def on_host() -> contextlib.AbstractContextManager:
    """A scope in which new tensors can be read by NumPy's functions."""
    return contextlib.nullcontext()


def bessel_i0e(x: jax.Array) -> jax.Array:
    """exp(-|x|) I0(x); bfloat16 and float16 are computed in float32."""
    return _in_float32(jax.scipy.special.i0e, x)


def bessel_i1e(x: jax.Array) -> jax.Array:
    """exp(-|x|) I1(x); bfloat16 and float16 are computed in float32."""
    return _in_float32(jax.scipy.special.i1e, x)


def _in_float32(function, x):
    if x.dtype in ("float32", "float64"):
        return function(x)
    return function(x.astype("float32")).astype(x.dtype)


class GradientTaps:
    """Gradients of a function's output with respect to tensors tapped inside it.

    The function is differentiated by a number that it does not depend on: on the way back to
    it, the gradients pass the taps, which keep them. Outside `jax.jit` only.

    Args:
        forward: A function of one argument, `tap`, that returns the output and a list of
            further tensors. Inside, `tensor = tap(tensor)` marks a tensor.
    """

    def __init__(self, forward: Callable):
        self._kinds: list[tuple] = []
        self._gradients: dict[int, Any] = {}

        def tapped(nothing):
            def tap(tensor):
                keep = functools.partial(self._gradients.__setitem__, len(self._kinds))
                self._kinds.append((tensor.shape, tensor.dtype))
                return _tapped(keep, tensor, nothing)

            return forward(tap)

        self.output, self._pull_back, self.tensors = jax.vjp(tapped, 0.0, has_aux=True)

    def pullback(self, cotangents: Iterable) -> Iterator[list]:
        """Yield, for each cotangent of the output, the list of the taps' gradients."""
        for cotangent in cotangents:
            self._gradients.clear()
            self._pull_back(jnp.asarray(cotangent, self.output.dtype))
            yield [
                self._gradients[number] if number in self._gradients else jnp.zeros(*kind)
                for number, kind in enumerate(self._kinds)
            ]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _tapped(keep, tensor, nothing):
    return tensor


def _keep_gradient(keep, _, gradient):
    keep(gradient)
    return gradient, jnp.zeros(())


_tapped.defvjp(lambda keep, tensor, nothing: (tensor, None), _keep_gradient)


def compiled(function: Callable) -> Callable:
    """`function` of tensors without gradients, compiled on its first call for each shape."""
    return jax.jit(function)
