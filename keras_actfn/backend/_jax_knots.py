"""The sums of `knot_sums` on JAX: one primitive, with a formula for each kind of device.

On a CPU they are one scatter. On a GPU a scatter is millions of atomic additions to the same few
addresses, whose order and rounding vary from run to run, and on a TPU it runs element by element.
There each knot has a sum of its own over all elements, of those that are its neighbours and zeros
elsewhere, and all knots' sums are accumulated side by side in one pass (a reduction of several
operands): K comparisons for each element, all in registers, and partial sums that are added up
in the same order in every run.

The formula is chosen when a program is lowered, so that one exported on a CPU for another device
has that device's. The sums are linear in the gradients, and differentiate as such.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

#: Knots whose sums are accumulated side by side: all of a PWL layer's by default. With more, XLA
#: writes each term to memory. On a GPU it merges small reductions over all axes with each other
#: and with the gradient to x.
_TOGETHER, _TOGETHER_ON_GPU = 33, 8

#: Up to this many knots no loop is needed.
_UNROLLED = 4 * _TOGETHER

#: Blocks that are interleaved, and the elements of which one thread of a GPU adds up 64 or 16, else
#: 4. With fewer threads XLA leaves the terms to other kernels, and writes them all to memory.
_INTERLEAVED, _FOR_64, _FOR_16 = 2, 1 << 23, 1 << 21


def knot_sums(
    gradient: jax.Array, right: jax.Array, index: jax.Array, shape: tuple[int, ...]
) -> jax.Array:
    """Sums over equal indices of `gradient − right`, and over the next knots' of `right`."""
    return _knot_sums.bind(gradient, right, index, shape=tuple(shape), batches=0)


#: `knot_sums` of arrays whose first axes, `batches` of them, are kept apart.
_knot_sums = Primitive("actfn_knot_sums")


def scatter(
    gradient: jax.Array, right: jax.Array, index: jax.Array, shape: tuple[int, ...]
) -> jax.Array:
    """The sums by a scatter."""
    # One scatter of complex numbers costs as much as one of real numbers; to check the indices
    # would double that.
    channels = math.prod(shape[1:])
    pairs = lax.complex(gradient, right).reshape(-1)
    size = (shape[0] + 1) * channels
    sums = jnp.zeros(size, pairs.dtype).at[index.reshape(-1)].add(pairs, mode="promise_in_bounds")
    left = (sums.real - sums.imag)[:-channels]
    return (left + jnp.pad(sums.imag, (channels, 0))[: shape[0] * channels]).reshape(shape)


def dense(
    gradient: jax.Array,
    right: jax.Array,
    index: jax.Array,
    shape: tuple[int, ...],
    together: int = _TOGETHER,
) -> jax.Array:
    """The sums by a reduction over all axes but those with values of their own."""
    reduced = tuple(axis for axis in range(gradient.ndim) if not _own(shape, axis))
    left, row = gradient - right, index - _channels(shape)
    unit, zero = math.prod(shape[1:]), jnp.zeros_like(gradient)

    def sums(knots):
        return _reduce(
            [
                jnp.where(row == k * unit, left, jnp.where(row == (k - 1) * unit, right, zero))
                for k in knots
            ],
            reduced,
        )

    return _for_all_knots(sums, shape[0], together).reshape(shape)


def in_blocks(
    gradient: jax.Array, right: jax.Array, index: jax.Array, shape: tuple[int, ...]
) -> jax.Array:
    """The sums where the last axis has values of its own, by blocks of rows of that axis.

    XLA for GPUs reduces all axes but the last through shared memory, of which the sums of all
    knots need more than there is. Over two axes that are no neighbours, each thread adds up its
    own elements in registers instead.
    """
    own = [axis for axis in range(gradient.ndim) if _own(shape, axis)]
    last = range(gradient.ndim - len(own), gradient.ndim)
    unit = math.prod(shape[1:])
    arrays = (gradient, 0), (right, 0), (index - _channels(shape), -unit - 1)
    gradient, right, row = (
        _blocks(jnp.moveaxis(array, own, last).reshape(-1, unit), fill) for array, fill in arrays
    )
    left, zero = gradient - right, jnp.zeros_like(gradient)

    def term(k):
        # No comparison is also made for another knot: XLA would write it to memory, to share it.
        near = (row >= (k - 1) * unit) & (row <= k * unit)
        return jnp.where(near, jnp.where(row == k * unit, left, right), zero)

    def sums(knots):
        terms = _reduce(map(term, knots), (1, 3))
        while terms[0].shape[0] > 1:
            terms = _reduce([_blocks(each.reshape(-1, unit), 0) for each in terms], (1, 3))
        return [each.sum((0, 1)) for each in terms]

    return _for_all_knots(sums, shape[0], _TOGETHER).reshape(shape)


def _for_all_knots(sums, count, together):
    """`sums` of each of `count` knots, stacked, `together` at a time."""
    if count <= _UNROLLED:
        groups = (range(first, min(first + together, count)) for first in range(0, count, together))
        return jnp.stack([each for knots in groups for each in sums(knots)])
    firsts = jnp.arange(0, count, _TOGETHER, dtype="int32")
    found = lax.map(lambda first: jnp.stack(sums(first + k for k in range(_TOGETHER))), firsts)
    return found.reshape(-1, *found.shape[2:])[:count]


def on_gpu(
    gradient: jax.Array, right: jax.Array, index: jax.Array, shape: tuple[int, ...]
) -> jax.Array:
    """The formula for GPUs."""
    if _own(shape, gradient.ndim - 1) and gradient.size:
        return in_blocks(gradient, right, index, shape)
    return dense(gradient, right, index, shape, _TOGETHER_ON_GPU)


def _own(shape, axis):
    """Whether values of `shape` differ along an axis of the array; see `piecewise`."""
    return 0 < axis < len(shape) and shape[axis] > 1


def _channels(shape):
    """The part of an index that is the channel's, to be broadcast against the array."""
    channels = math.prod(shape[1:])
    return jnp.arange(channels, dtype="int32").reshape(shape[1:]) if channels > 1 else 0


def _reduce(terms, axes):
    """The sum over `axes` of each array, in one pass."""
    terms = tuple(terms)
    zeros = tuple(jnp.zeros((), term.dtype) for term in terms)
    return lax.reduce(terms, zeros, lambda a, b: tuple(map(lax.add, a, b)), axes)


def _blocks(rows, fill):
    """Rows (N, C), filled up to whole blocks, as (blocks, part, interleaved, part, C)."""
    part = 8 if rows.size >= _FOR_64 else 4 if rows.size >= _FOR_16 else 2
    missing = -len(rows) % (part * _INTERLEAVED * part)
    if missing:
        rows = jnp.pad(rows, ((0, missing), (0, 0)), constant_values=fill)
    return rows.reshape(-1, part, _INTERLEAVED, part, rows.shape[1])


def _spread(sums, index, shape):
    """The transpose of `knot_sums`: what its value's gradient gives to both of its arguments."""
    channels = math.prod(shape[1:])
    table = jnp.pad(sums.reshape(-1), (0, 2 * channels))
    return table[index], table[index + channels] - table[index]


def _mapped(function, shape, batches):
    function = functools.partial(function, shape=shape)
    for _ in range(batches):
        function = jax.vmap(function)
    return function


def _lowered(formula):
    def function(*arrays, shape, batches):
        return _mapped(formula, shape, batches)(*arrays)

    return mlir.lower_fun(function, multiple_results=False)


@_knot_sums.def_impl
@functools.partial(jax.jit, static_argnames=("shape", "batches"))
def _evaluate(*arrays, shape, batches):
    return _knot_sums.bind(*arrays, shape=shape, batches=batches)


@_knot_sums.def_abstract_eval
def _kind(gradient, right, index, *, shape, batches):
    varying = frozenset().union(*(getattr(a, "vma", ()) for a in (gradient, right, index)))
    kind = {"vma": varying} if varying else {}
    return jax.core.ShapedArray(gradient.shape[:batches] + shape, gradient.dtype, **kind)


def _differentiate(arrays, tangents, **rules):
    *directions, _ = tangents
    index = arrays[-1]
    directions = map(ad.instantiate_zeros, directions)
    return _knot_sums.bind(*arrays, **rules), _knot_sums.bind(*directions, index, **rules)


def _transpose(sums, gradient, right, index, *, shape, batches):
    found = _mapped(_spread, shape, batches)(ad.instantiate_zeros(sums), index)
    wanted = map(ad.is_undefined_primal, (gradient, right))
    return *(each if want else None for each, want in zip(found, wanted, strict=True)), None


def _batch(arrays, axes, *, shape, batches):
    size = next(a.shape[axis] for a, axis in zip(arrays, axes, strict=True) if axis is not None)
    arrays = [
        jnp.broadcast_to(array, (size, *array.shape))
        if axis is None
        else jnp.moveaxis(array, axis, 0)
        for array, axis in zip(arrays, axes, strict=True)
    ]
    return _knot_sums.bind(*arrays, shape=shape, batches=batches + 1), 0


ad.primitive_jvps[_knot_sums] = _differentiate
ad.primitive_transposes[_knot_sums] = _transpose
batching.primitive_batchers[_knot_sums] = _batch
mlir.register_lowering(_knot_sums, _lowered(on_gpu))
mlir.register_lowering(_knot_sums, _lowered(dense), platform="tpu")
mlir.register_lowering(_knot_sums, _lowered(scatter), platform="cpu")
