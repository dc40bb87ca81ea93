"""Gradient taps: right gradients where paths meet, and nothing kept longer than needed."""

import gc
from concurrent.futures import Future

import keras
import numpy as np
import pytest

from keras_actfn.backend import GradientTaps, pointwise
from keras_actfn.fisher.factors import VectorBlock
from keras_actfn.fisher.native import add_gradients, add_inputs

ops = keras.ops


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def tensors():
    """All tensors that there are."""
    gc.collect()
    kind = type(ops.ones(1))
    return [o for o in gc.get_objects() if type(o) is kind]  # isinstance would load lazy modules


def live():
    """How many tensors there are."""
    return len(tensors())


def sum_of_taps(weights):
    """Taps a, b = tanh(a) w_1 and c = tanh(a) w_2; the output is b + c."""

    def forward(tap):
        first, *others = map(ops.convert_to_tensor, weights)
        h = ops.tanh(tap(first))
        b, c = (tap(ops.matmul(h, other)) for other in others)
        return b + c, []

    return GradientTaps(forward)


def test_both_terms_of_a_sum_are_tapped_and_freed():
    a, w_1, w_2 = weights = draw(4, 3), draw(3, 3), draw(3, 3)[::-1].copy()
    cotangents = draw(5, 4, 3)
    list(sum_of_taps(weights).pullback(cotangents))
    before = live()
    for cotangent, found in zip(cotangents, sum_of_taps(weights).pullback(cotangents), strict=True):
        to_a = cotangent @ (w_1 + w_2).T / np.cosh(a) ** 2
        for one, expected in zip(found, (to_a, cotangent, cotangent), strict=True):
            np.testing.assert_allclose(ops.convert_to_numpy(one), expected, rtol=1e-5, atol=1e-6)
    del found, one
    assert live() <= before  # what other tests left may go at any time


def test_a_tap_that_the_output_does_not_need_has_the_gradient_zero():
    def forward(tap):
        x = tap(ops.convert_to_tensor(draw(4, 3)))
        tap(x * 2)
        return ops.sum(x * x, axis=-1), []

    for to_x, to_other in GradientTaps(forward).pullback(np.ones((2, 4), "float32")):
        np.testing.assert_allclose(ops.convert_to_numpy(to_x), 2 * draw(4, 3), rtol=1e-6)
        np.testing.assert_array_equal(ops.convert_to_numpy(to_other), np.zeros((4, 3)))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counts TensorFlow's tensors")
def test_a_pointwise_function_keeps_its_output_and_slope_only():
    x = ops.convert_to_tensor(draw(1000))

    def buffers():
        return {np.asarray(memoryview(t)).ctypes.data for t in tensors() if t.shape == x.shape}

    before = buffers()
    taps = GradientTaps(lambda tap: (pointwise(keras.activations.gelu, tap(x)), []))
    assert taps.output.shape == x.shape
    assert len(buffers() - before) == 2


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch's passes and threads")
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_passes_side_by_side_keep_the_order_and_the_number_of_threads(threads):
    import torch

    before = torch.get_num_threads()
    a, w_1, w_2 = weights = draw(4, 3), draw(3, 3), draw(3, 3)[::-1].copy()
    cotangents = np.random.default_rng(1).normal(size=(7, 4, 3)).astype("float32")
    torch.set_num_threads(threads)
    try:
        gradients = list(sum_of_taps(weights).pullback(cotangents))
        assert torch.get_num_threads() == threads
        next(passes := sum_of_taps(weights).pullback(cotangents))
        passes.close()
        assert torch.get_num_threads() == threads
        with pytest.raises(RuntimeError, match="Mismatch in shape"):
            list(sum_of_taps(weights).pullback(cotangents[:, :2]))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(gradients) == len(cotangents)
    for cotangent, (to_a, *_) in zip(cotangents, gradients, strict=True):
        expected = cotangent @ (w_1 + w_2).T / np.cosh(a) ** 2
        np.testing.assert_allclose(to_a, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.once
def test_parameter_blocks_wait_for_their_inputs():
    class Block(VectorBlock):
        def example_gradients(self, x, gradient):
            return x * gradient

    class Inputs(Future):
        """A job that has not added the inputs before its result is asked for."""

        def result(self, timeout=None):
            add_inputs(block, [(x, x.shape) for x in values])

    block, values, gradient = Block("late", 3), (draw(5, 3), 2 * draw(5, 3)), draw(5, 3)
    add_gradients(block, [gradient, gradient], Inputs())
    total = sum(x.astype("float64") * gradient for x in values)
    np.testing.assert_allclose(block.matrices(5)[0][1], total.T @ total / 5, rtol=1e-6)
