"""Functions on JAX with a lean gradient of their own that stay differentiable in every mode.

`jax.custom_vjp` takes such a gradient, but rules forward mode out; `jax.custom_jvp` allows every
mode, but derives the gradient from the tangent. So the tangent here is one primitive, linear in
the directions, which knows its transpose: in forward mode it is the derivative of the plain
function, in reverse mode the lean gradient takes its place. Both are plain operations, so that
derivatives of derivatives are theirs.
"""

from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir


def with_gradient(
    function: Callable[..., jax.Array],
    gradient: Callable[..., Iterable[jax.Array]],
    *arguments: jax.Array,
) -> jax.Array:
    """`function(*arguments)`, with a gradient of its own.

    Args:
        function: Differentiable function of arrays to an array shaped as the first one.
        gradient: Function of the gradient to the value and of the arguments that returns the
            gradients to them.
        *arguments: Float arrays.
    """

    @jax.custom_jvp
    def apply(*arguments):
        return function(*arguments)

    def push(*both):
        arguments, directions = _halves(both)
        return jax.jvp(function, arguments, directions)[1]

    @apply.defjvp
    def value_and_tangent(arguments, directions):
        directions = _varying_alike(arguments, directions)
        tangent = _tangent.bind(*arguments, *directions, push=push, pull=gradient)
        return apply(*arguments), tangent

    return apply(*arguments)


def _varying_alike(arguments, directions):
    """The directions, each typed as varying over all mesh axes that any array varies over.

    Only under `jax.shard_map`, where the gradient to a parameter of all devices is then their sum.
    """
    kinds: list[frozenset] = [
        getattr(jax.typeof(each), "vma", frozenset()) for each in (*arguments, *directions)
    ]
    axes = frozenset().union(*kinds)
    return [
        jax.lax.pcast(direction, tuple(axes - kind), to="varying") if axes - kind else direction
        for direction, kind in zip(directions, kinds[len(arguments) :], strict=True)
    ]


#: `push(*arguments, *directions)`, linear in the directions, with `pull(gradient, *arguments)`
#: for its transpose. The first direction has the shape of the value.
_tangent = Primitive("actfn_tangent")


def _halves(both):
    return tuple(both[: len(both) // 2]), tuple(both[len(both) // 2 :])


@_tangent.def_impl
def _evaluate(*both, push, pull):
    return push(*both)


@_tangent.def_abstract_eval
def _shape(*both, push, pull):
    return _halves(both)[1][0]


def _differentiate(both, tangents, *, push, pull):
    directions = tuple(ad.instantiate_zeros(tangent) for tangent in tangents)
    return jax.jvp(push, tuple(both), directions)


def _transpose(gradient, *both, push, pull):
    arguments, directions = _halves(both)
    gradients = pull(ad.instantiate_zeros(gradient), *arguments)
    wanted = map(ad.is_undefined_primal, directions)
    return [None] * len(arguments) + [
        each if is_wanted else None for each, is_wanted in zip(gradients, wanted, strict=True)
    ]


def _batch(both, axes, *, push, pull):
    """One primitive for all of the batch: its directions get the axis of the batch, the first."""
    arguments, directions = _halves(both)
    axes, direction_axes = _halves(axes)
    size = next(
        array.shape[axis]
        for array, axis in zip(both, (*axes, *direction_axes), strict=True)
        if axis is not None
    )
    directions = [
        jnp.broadcast_to(direction, (size, *direction.shape))
        if axis is None
        else jnp.moveaxis(direction, axis, 0)
        for direction, axis in zip(directions, direction_axes, strict=True)
    ]
    tangent = _tangent.bind(
        *arguments,
        *directions,
        push=jax.vmap(push, (*axes, *(0 for _ in directions))),
        pull=jax.vmap(pull, (0, *axes)),
    )
    return tangent, 0


ad.primitive_jvps[_tangent] = _differentiate
ad.primitive_transposes[_tangent] = _transpose
batching.primitive_batchers[_tangent] = _batch
mlir.register_lowering(_tangent, mlir.lower_fun(_evaluate, multiple_results=False))
