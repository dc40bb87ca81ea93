"""Gradients with respect to tensors inside a function, on PyTorch."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch

#: Backward passes that run side by side on a CPU.
_PASSES = 2


class GradientTaps:
    """Gradients of a function's output with respect to tensors tapped inside it.

    Args:
        forward: A function of one argument, `tap`, that returns the output and a list of
            further tensors. Inside, `tensor = tap(tensor)` marks a tensor.
    """

    def __init__(self, forward: Callable):
        self._taps: list = []
        with torch.enable_grad():
            self.output, self.tensors = forward(self._tap)

    def _tap(self, tensor):
        if not tensor.requires_grad:
            tensor = tensor.detach().requires_grad_()
        self._taps.append(tensor)
        return tensor

    def pullback(self, cotangents: Iterable) -> Iterator[list]:
        """Yield, for each cotangent of the output, the list of the taps' gradients.

        On a CPU some passes run side by side, each with its share of the threads: the many small
        operations of one pass would keep several threads waiting for each other.
        """
        threads = torch.get_num_threads()
        passes = min(_PASSES, threads) if self.output.device.type == "cpu" else 1
        if passes == 1:
            yield from map(self._gradients, cotangents)
            return
        running: deque = deque()
        share = (threads // passes,)
        with ThreadPoolExecutor(passes, initializer=torch.set_num_threads, initargs=share) as pool:
            try:
                for cotangent in cotangents:
                    running.append(pool.submit(self._gradients, cotangent))
                    if len(running) == passes:
                        yield running.popleft().result()
                while running:
                    yield running.popleft().result()
            finally:
                torch.set_num_threads(threads)

    def _gradients(self, cotangent):
        seed = torch.as_tensor(cotangent, dtype=self.output.dtype, device=self.output.device)
        gradients = torch.autograd.grad(
            self.output, self._taps, seed, retain_graph=True, allow_unused=True
        )
        return [
            torch.zeros_like(tap) if gradient is None else gradient.detach()
            for tap, gradient in zip(self._taps, gradients, strict=True)
        ]
