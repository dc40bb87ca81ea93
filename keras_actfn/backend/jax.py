"""The functions of `keras_actfn.backend` on JAX."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

#: The indices that `knot_sums` takes.
INDEX_DTYPE = "int32"

#: Elements of the one shape that an elementwise function is compiled for.
_CHUNK = 1 << 16


def custom_gradient(forward, backward, x, *parameters, sums=None):
    """`forward(x, *parameters)` with `backward` for its gradient; see the package's docstring.

    Reverse mode only: JAX has no forward mode for a function with its own vector-Jacobian
    product.
    """

    @jax.custom_vjp
    def apply(x, *parameters):
        return forward(x, *parameters)

    def save(x, *parameters):
        return forward(x, *parameters), (x, parameters)

    def pull_back(saved, gradient):
        x, parameters = saved
        if backward is None:
            to_x, *rest = vector_jacobian_product(forward, gradient, x, *parameters)
        else:
            to_x, *rest = backward(gradient, x, *parameters)
        if sums is not None:
            rest = sums(*rest, *parameters)
        elif parameters and _folds(x, parameters):
            rest = _folded_gradients(forward, gradient, x, *parameters)
        return (to_x, *rest)

    apply.defvjp(save, pull_back)
    return apply(x, *parameters)


def _folds(x, parameters):
    """Whether the gradients to scalar `parameters` are compiled for a CPU."""
    scalars = all(parameter.ndim == 0 for parameter in parameters)
    return scalars and fuses(x) and jax.default_backend() == "cpu"


def _folded_gradients(function, gradient, x, *parameters):
    """Gradients to scalar parameters.

    XLA adds up a tensor slowly on a CPU, and several tensors quickly: each sample is folded
    into equal parts, and the parts added. The barrier keeps the gradient to x apart: what both
    share would be kept in memory, which takes longer than computing it twice.
    """
    size = math.prod(x.shape[1:])
    count = max(count for count in range(1, 9) if size % count == 0)
    gradient, x = (
        jnp.moveaxis(array.reshape(-1, count, size // count), 1, 0)
        for array in jax.lax.optimization_barrier((gradient, x))
    )
    parameters = [jnp.broadcast_to(parameter, x.shape[1:]) for parameter in parameters]
    _, pull_back = jax.vjp(lambda *p: [function(part, *p) for part in x], *parameters)
    return [part.sum() for part in pull_back(list(gradient))]


def vector_jacobian_product(function, gradient, x, *parameters):
    """Gradients of `sum(gradient * function(x, *parameters))` to x and each parameter."""
    return jax.vjp(function, x, *parameters)[1](gradient)


def fuses(x):
    """Whether functions of tensors like x are compiled into one kernel: under `jax.jit` only."""
    return isinstance(x, jax.core.Tracer)


def keeping(forward, backward, x):
    """`forward(x)[0]`, with `backward(gradient, forward(x)[1])` for its gradient."""
    return _keeping(lambda x: forward(x)[0], forward, backward, x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _keeping(value, forward, backward, x):
    return value(x)


_keeping.defvjp(
    lambda value, forward, backward, x: forward(x),
    lambda value, forward, backward, kept, gradient: (backward(gradient, kept),),
)


def pointwise(function, x):
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


def knot_sums(gradient, right, index, knots, channels):
    """Sums over equal indices of `gradient − right`, and over the next ones of `right`."""
    # One scatter of complex numbers costs as much as one of real numbers; to check the indices
    # would double that.
    pairs = jax.lax.complex(gradient, right).reshape(-1)
    size = (knots + 1) * channels
    sums = jnp.zeros(size, pairs.dtype).at[index.reshape(-1)].add(pairs, mode="promise_in_bounds")
    left = (sums.real - sums.imag)[:-channels]
    return left + jnp.pad(sums.imag, (channels, 0))[: knots * channels]


def bessel_i0e(x):
    """exp(-|x|) I0(x); bfloat16 and float16 are computed in float32."""
    return _in_float32(jax.scipy.special.i0e, x)


def bessel_i1e(x):
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

    def __init__(self, forward):
        self._kinds, self._gradients = [], {}

        def tapped(nothing):
            def tap(tensor):
                keep = functools.partial(self._gradients.__setitem__, len(self._kinds))
                self._kinds.append((tensor.shape, tensor.dtype))
                return _tapped(keep, tensor, nothing)

            return forward(tap)

        self.output, self._pull_back, self.tensors = jax.vjp(tapped, 0.0, has_aux=True)

    def pullback(self, cotangents):
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


def compiled(function):
    """`function` of tensors without gradients, compiled on its first call for each shape."""
    return jax.jit(function)
