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
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from .comparisons import sums_in_a_row, term_of_knot

#: Knots whose sums are accumulated side by side: all of a layer's by default, with the two beyond
#: the ends of a spline. With many more, XLA writes each term to memory. On a GPU it merges small
#: reductions over all axes with each other and with the gradient to x; where each channel has its
#: own sums, half of the knots at a time took a quarter of the time that all of them did (H200).
_TOGETHER, _TOGETHER_ON_GPU, _TOGETHER_BY_CHANNEL = 35, 8, 18

#: Up to this many knots no loop is needed.
_UNROLLED = 4 * _TOGETHER

#: Blocks that are interleaved, and the elements of which one thread of a GPU adds up 64 or 16, else
#: 4. With fewer threads XLA leaves the terms to other kernels, and writes them all to memory.
_INTERLEAVED, _FOR_64, _FOR_16 = 2, 1 << 23, 1 << 21


def knot_sums(terms: Sequence[jax.Array], index: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Sums by knot of terms for knots in a row; see `protocol`."""
    return _knot_sums.bind(*terms, index, shape=tuple(shape), batches=0)


#: `knot_sums` of (*terms, index), whose first axes, `batches` of them, are kept apart.
_knot_sums = Primitive("actfn_knot_sums")


def scatter(*arrays: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The sums of (*terms, index) by a scatter for each two terms."""
    # One scatter of complex numbers costs as much as one of real numbers; to check the indices
    # would double that.
    *terms, index = arrays
    channels, sums = math.prod(shape[1:]), []
    for real, imaginary in zip(terms[::2], terms[1::2], strict=True):
        pairs = lax.complex(real, imaginary).reshape(-1)
        zeros = jnp.zeros((shape[0] + 1) * channels, pairs.dtype)
        found = zeros.at[index.reshape(-1)].add(pairs, mode="promise_in_bounds")
        sums += [found.real, found.imag]
    return sums_in_a_row(sums, jnp.pad, channels).reshape(shape)


def dense(*arrays: jax.Array, shape: tuple[int, ...], together: int = _TOGETHER) -> jax.Array:
    """The sums by a reduction over all axes but those with values of their own."""
    *terms, index = arrays
    reduced = tuple(axis for axis in range(index.ndim) if not _own(shape, axis))
    row, unit = index - _channels(shape), math.prod(shape[1:])

    def sums(knots):
        return _reduce([term_of_knot(terms, row, k, unit) for k in knots], reduced)

    return _for_all_knots(sums, shape[0], together).reshape(shape)


def in_blocks(*arrays: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The sums where the last axis has values of its own, by blocks of rows of that axis.

    XLA for GPUs reduces all axes but the last through shared memory, of which the sums of all
    knots need more than there is. Over two axes that are no neighbours, each thread adds up its
    own elements in registers instead.
    """
    *terms, index = arrays
    own = [axis for axis in range(index.ndim) if _own(shape, axis)]
    last = range(index.ndim - len(own), index.ndim)
    unit = math.prod(shape[1:])

    def blocks(array, fill=0):
        return _blocks(jnp.moveaxis(array, own, last).reshape(-1, unit), fill)

    terms, behind = [blocks(term) for term in terms], len(terms) - 1
    row = blocks((index - _channels(shape)) // unit, -behind - 1).astype("float32")
    # No comparison is also made for another knot: XLA would write it to memory, to share it.
    rows = [row * (number + 1) for number in range(len(terms))]
    zero = jnp.zeros_like(terms[0])

    def term(k):
        found = zero
        for number, each in reversed(list(enumerate(terms))):
            key = jnp.asarray((k - number) * (number + 1), "float32")
            found = jnp.where(rows[number] == key, each, found)
        return found

    def sums(knots):
        terms = _reduce(map(term, knots), (1, 3))
        while terms[0].shape[0] > 1:
            terms = _reduce([_blocks(each.reshape(-1, unit), 0) for each in terms], (1, 3))
        return [each.sum((0, 1)) for each in terms]

    return _for_all_knots(sums, shape[0], _TOGETHER_BY_CHANNEL).reshape(shape)


def _for_all_knots(sums, count, together):
    """`sums` of each of `count` knots, stacked, `together` at a time."""
    if count <= _UNROLLED:
        groups = (range(first, min(first + together, count)) for first in range(0, count, together))
        return jnp.stack([each for knots in groups for each in sums(knots)])
    firsts = jnp.arange(0, count, together, dtype="int32")
    found = lax.map(lambda first: jnp.stack(sums(first + k for k in range(together))), firsts)
    return found.reshape(-1, *found.shape[2:])[:count]


def on_gpu(*arrays: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The formula for GPUs."""
    index = arrays[-1]
    if _own(shape, index.ndim - 1) and index.size:
        return in_blocks(*arrays, shape=shape)
    return dense(*arrays, shape=shape, together=_TOGETHER_ON_GPU)


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


def _spread(sums, index, shape, terms):
    """The transpose of `knot_sums`: what its value's gradient gives to each of its `terms`."""
    channels = math.prod(shape[1:])
    table = jnp.pad(sums.reshape(-1), (0, terms * channels))
    return tuple(table[index + number * channels] for number in range(terms))


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
def _kind(*arrays, shape, batches):
    first = arrays[0]
    varying = frozenset().union(*(getattr(a, "vma", ()) for a in arrays))
    kind = {"vma": varying} if varying else {}
    return jax.core.ShapedArray(first.shape[:batches] + shape, first.dtype, **kind)


def _differentiate(arrays, tangents, **rules):
    *directions, _ = tangents
    index = arrays[-1]
    directions = map(ad.instantiate_zeros, directions)
    return _knot_sums.bind(*arrays, **rules), _knot_sums.bind(*directions, index, **rules)


def _transpose(sums, *arrays, shape, batches):
    *terms, index = arrays
    spread = functools.partial(_spread, terms=len(terms))
    found = _mapped(spread, shape, batches)(ad.instantiate_zeros(sums), index)
    wanted = map(ad.is_undefined_primal, terms)
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
