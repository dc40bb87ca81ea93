"""The functions of `keras_actfn.backend` on JAX."""

import jax
import jax.numpy as jnp


def custom_gradient(forward, backward, x, *parameters):
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
        return tuple(backward(gradient, x, *parameters))

    apply.defvjp(save, pull_back)
    return apply(x, *parameters)


def vector_jacobian_product(function, gradient, x, *parameters):
    """Gradients of `sum(gradient * function(x, *parameters))` to x and each parameter."""
    return jax.vjp(function, x, *parameters)[1](gradient)


def fuses(x):
    """Whether functions of tensors like x are compiled into one kernel: under `jax.jit` only."""
    return isinstance(x, jax.core.Tracer)


def segment_sums(first, second, segments, count):
    """Sums of two flat arrays over equal `segments` in 0 … count − 1."""
    # One scatter of complex numbers costs as much as one scatter of real numbers.
    sums = jax.ops.segment_sum(jax.lax.complex(first, second), segments, count)
    return sums.real, sums.imag


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

    A zero is added to each tapped tensor, and the function is differentiated by these zeros.
    It runs twice: once abstractly, for the shapes of the zeros.

    Args:
        forward: A function of one argument, `tap`, that returns the output and a list of
            further tensors. Inside, `tensor = tap(tensor)` marks a tensor.
    """

    def __init__(self, forward):
        shapes = []

        def observe(tensor):
            shapes.append(jax.ShapeDtypeStruct(tensor.shape, tensor.dtype))
            return tensor

        def perturbed(zeros):
            remaining = iter(zeros)
            return forward(lambda tensor: tensor + next(remaining))

        jax.eval_shape(lambda: forward(observe))
        zeros = [jnp.zeros(shape.shape, shape.dtype) for shape in shapes]
        self.output, self._vjp, self.tensors = jax.vjp(perturbed, zeros, has_aux=True)

    def pullback(self, cotangents):
        """Yield, for each cotangent of the output, the list of the taps' gradients."""
        for cotangent in cotangents:
            yield self._vjp(jnp.asarray(cotangent, dtype=self.output.dtype))[0]


def compiled(function):
    """`function` of tensors without gradients, compiled on its first call for each shape."""
    return jax.jit(function)
