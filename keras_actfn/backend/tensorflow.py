"""The functions of `keras_actfn.backend` on TensorFlow."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import tensorflow as tf
from tensorflow.python.eager import forwardprop_util, record

from .comparisons import knot_sums_by_comparison, sums_in_a_row
from .folding import folded_gradients

#: The indices that `knot_sums` takes.
INDEX_DTYPE = "int32"

#: Elements of a slice of a batch, at most.
_SLICE = 1 << 17

#: Off the CPU, each element is compared with every knot of up to this many.
_MOST_COMPARED = 128


def custom_gradient(
    forward: Callable[..., tf.Tensor],
    backward: Callable[..., Iterable[tf.Tensor]] | None,
    x: tf.Tensor,
    *parameters: tf.Tensor,
    sums: Callable[..., Iterable[tf.Tensor]] | None = None,
    in_place: tuple[Callable, Callable] | None = None,
) -> tf.Tensor:
    """`forward(x, *parameters)` with `backward` for its gradient; see `elementwise`.

    While a graph is traced under a gradient tape, all become XLA kernels inside it:
    TensorFlow's graph runs one kernel per operation otherwise, several times slower for a
    chain of elementwise ones. Where no tape watches, `forward` alone is traced, in plain
    operations that every export format knows; likewise in forward mode.
    """
    carried = forwardprop_util.pack_tangents([x, *parameters]).tangents
    if carried or not record.could_possibly_record():
        return forward(x, *parameters)
    fused = _fuses(x)

    def fuse(function):
        return tf.function(function, jit_compile=True, autograph=False) if fused else function

    def gradients(gradient, x, *parameters):
        if backward is None:
            return vector_jacobian_product(forward, gradient, x, *parameters)
        to_x, *rest = backward(gradient, x, *parameters)
        return (to_x, *(rest if sums is None else sums(*rest, *parameters)))

    def pull_back(*arguments):
        foldable = sums is None and all(p.shape.rank == 0 for p in parameters)
        apart = fused and parameters and (sums or foldable)
        if not apart or record.could_possibly_record():  # another tape may differentiate it
            return fuse(gradients)(*arguments)
        # One kernel for all would keep what they share in memory, which takes longer.
        to_x = fuse(lambda *arguments: gradients(*arguments)[0])(*arguments)
        if sums:
            return to_x, *fuse(functools.partial(_sums, backward, sums))(*arguments)
        fold = functools.partial(folded_gradients, vector_jacobian_product, forward)
        return to_x, *(tf.reduce_sum(part) for part in fuse(fold)(*arguments))

    @tf.custom_gradient
    def apply(x, *parameters):
        return fuse(forward)(x, *parameters), lambda g: pull_back(g, x, *parameters)

    return apply(x, *parameters)


def _sums(backward, sums, gradient, x, *parameters):
    """Gradients to the parameters: `sums` of what `backward` returns behind that to x.

    On a CPU, one slice of the batch after the other, whose temporaries stay in the cache: for
    whole tensors they would take fresh memory, and longer.
    """

    def part(*arrays):
        return sums(*backward(*arrays, *parameters)[1:], *parameters)

    if not (x.shape.rank and _on_cpu()):
        return part(gradient, x)
    batch, inner = tf.shape(x)[0], x.shape[1:]
    most = max(1, _SLICE // max(1, math.prod(inner)))
    power = tf.bitwise.bitwise_and(batch, -batch)  # the largest power of two that divides it
    count = tf.maximum(batch // tf.clip_by_value(power, 1, 1 << most.bit_length() - 1), 1)
    slices = [tf.reshape(array, [count, batch // count, *inner]) for array in (gradient, x)]

    def add(number, totals):
        found = part(*(array[number] for array in slices))
        return number + 1, [a + b for a, b in zip(totals, found, strict=True)]

    start = 0, [tf.zeros_like(parameter) for parameter in parameters]
    return tf.while_loop(lambda number, _: number < count, add, start)[1]


def vector_jacobian_product(
    function: Callable[..., tf.Tensor], gradient: tf.Tensor, x: tf.Tensor, *parameters: tf.Tensor
) -> Iterable[tf.Tensor]:
    """Gradients of `sum(gradient * function(x, *parameters))` to x and each parameter."""
    sources = (x, *parameters)
    with tf.GradientTape() as tape:
        tape.watch(sources)
        output = function(*sources)
    return tape.gradient(
        output, sources, gradient, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )


def value_and_slopes(
    function: Callable[..., tf.Tensor], *arguments: tf.Tensor
) -> tuple[tf.Tensor, Iterable[tf.Tensor]]:
    """The value of an elementwise function and its partial derivative in each argument."""
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        output = function(*arguments)
    zero = tf.UnconnectedGradients.ZERO
    return output, tape.gradient(output, arguments, unconnected_gradients=zero)


def in_place_interpolation(*, low: float, scale: float, bounds: tuple[float, float]) -> None:
    """None: no operation here writes in place."""


def in_place_spline(*, low: float, scale: float, bounds: tuple[float, float]) -> None:
    """None: no operation here writes in place."""


def reverse_first(function: Callable, pull_back: Callable) -> None:
    """None: a kernel takes no longer for a gradient that is formed from the inside out."""


def knot_sums(terms: Sequence[tf.Tensor], index: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Sums by knot of terms for knots in a row; see `protocol`."""
    if not _on_cpu() and shape[0] <= _MOST_COMPARED:
        return knot_sums_by_comparison(terms, index, shape)
    channels, sums = math.prod(shape[1:]), []
    index, *terms = (tf.reshape(array, [-1]) for array in (index, *terms))
    for real, imaginary in zip(terms[::2], terms[1::2], strict=True):
        # One sum of complex numbers is faster than two sums.
        pairs = tf.complex(real, imaginary)
        found = tf.math.unsorted_segment_sum(pairs, index, (shape[0] + 1) * channels)
        sums += [tf.math.real(found), tf.math.imag(found)]
    found = sums_in_a_row(sums, lambda array, zeros: tf.pad(array, [zeros]), channels)
    return tf.reshape(found, shape)


def _fuses(x: tf.Tensor) -> bool:
    """Whether `custom_gradient` compiles functions of tensors like x into one kernel.

    Eager calls would compile at every call, and inputs of varying inner sizes once per size.
    """
    static = not tf.executing_eagerly() and None not in x.shape[1:]
    return static and record.could_possibly_record()


def selects(x: tf.Tensor) -> bool:
    """Whether a look-up by selects is faster than a gather: in a kernel, but not on a GPU.

    There a small table stays in the cache next to the threads.
    """
    return _fuses(x) and not tf.config.list_logical_devices("GPU")


def known_nonzero(x: tf.Tensor) -> bool:
    """False: tensors are traced, and a comparison costs nothing in a kernel."""
    return False


def _on_cpu():
    return all(device.device_type == "CPU" for device in tf.config.list_logical_devices())


tanh = tf.tanh
divide = tf.divide


def power(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """X to the power y, whose slope in y is 0 where x <= 0."""
    return tf.pow(x, tf.where(x > 0, y, tf.stop_gradient(y)))


#: SELU's alpha and scale.
_SELU = 1.6732632423543772, 1.0507009873554805


def elu(x: tf.Tensor) -> tf.Tensor:
    """X for x > 0, else exp(x) − 1, of which TensorFlow's kernel loses the digits near 0."""
    positive = x > 0
    return tf.where(positive, x, tf.math.expm1(tf.where(positive, tf.zeros_like(x), x)))


def selu(x: tf.Tensor) -> tf.Tensor:
    """1.05 x for x > 0, else 1.05 · 1.67 (exp(x) − 1), with the digits near 0."""
    positive = x > 0
    negative = tf.math.expm1(tf.where(positive, tf.zeros_like(x), x))
    return _SELU[1] * tf.where(positive, x, _SELU[0] * negative)


def on_host() -> contextlib.AbstractContextManager:
    """A scope in which new tensors can be read by NumPy's functions."""
    return contextlib.nullcontext()


def bessel_i0e(x: tf.Tensor) -> tf.Tensor:
    """exp(-|x|) I0(x); bfloat16 and float16 are computed in float32."""
    return _in_float32(tf.math.bessel_i0e, x)


def bessel_i1e(x: tf.Tensor) -> tf.Tensor:
    """exp(-|x|) I1(x); bfloat16 and float16 are computed in float32."""
    return _in_float32(_bessel_i1e, x)


def _bessel_i1e(x):
    small = tf.abs(x) < 1e-18  # where TensorFlow's slope is made of numbers below the smallest
    return tf.where(small, 0.5 * x, tf.math.bessel_i1e(tf.where(small, tf.ones_like(x), x)))


def _in_float32(function, x):
    x = tf.convert_to_tensor(x)
    if x.dtype in (tf.float32, tf.float64):
        return function(x)
    return tf.cast(function(tf.cast(x, tf.float32)), x.dtype)


class GradientTaps:
    """Gradients of a function's output with respect to tensors tapped inside it.

    Args:
        forward: A function of one argument, `tap`, that returns the output and a list of
            further tensors. Inside, `tensor = tap(tensor)` marks a tensor.
    """

    def __init__(self, forward: Callable):
        self._taps: list = []
        self._tape = tf.GradientTape(persistent=True, watch_accessed_variables=False)
        with self._tape:
            self.output, self.tensors = forward(self._tap)

    def _tap(self, tensor):
        self._tape.watch(tensor)
        self._taps.append(tensor)
        return _with_own_gradient(tensor)

    def pullback(self, cotangents: Iterable) -> Iterator[list]:
        """Yield, for each cotangent of the output, the list of the taps' gradients."""
        for cotangent in cotangents:
            yield self._tape.gradient(
                self.output,
                self._taps,
                tf.cast(cotangent, self.output.dtype),
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )


@tf.custom_gradient
def _with_own_gradient(tensor):
    """The same tensor, whose gradient is an object of its own.

    The gradients to both terms of a sum are one object, and TensorFlow 2.21 never frees it where
    both terms are sources.
    """
    return tensor, tf.identity


def keeping(
    forward: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    backward: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    x: tf.Tensor,
) -> tf.Tensor:
    """`forward(x)[0]`, with `backward(gradient, forward(x)[1])` for its gradient."""

    @tf.custom_gradient
    def apply(x):
        with record.stop_recording():
            x = tf.identity(x)  # unknown to any tape, which would keep what `forward` computes
        output, kept = forward(x)
        return output, lambda gradient: backward(gradient, kept)

    return apply(x)


def pointwise(function: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """`function(x)`, elementwise; its slope is computed once, for all backward passes."""

    def forward(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = function(x)
        zero = tf.UnconnectedGradients.ZERO
        return output, tape.gradient(output, x, unconnected_gradients=zero)

    return keeping(forward, tf.multiply, x)


def compiled(function: Callable) -> Callable:
    """`function` of tensors without gradients, compiled on its first call for each shape.

    Traced under a tape, so that activations become XLA kernels as in training; see `elementwise`.
    """

    def traced(*arguments):
        with tf.GradientTape(watch_accessed_variables=False):
            return function(*arguments)

    return tf.function(traced, autograph=False)
