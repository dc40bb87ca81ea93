"""PyTorch's threads in trainings whose tensors are too small to share."""

import contextlib
import math
import sys
from collections.abc import Iterator

import keras

from ..models import graph

#: Entries below which PyTorch runs an elementwise operation on one thread itself (its
#: `GRAIN_SIZE`). Matrix products of such tensors take threads all the same, gain nothing by
#: them, and wait for each other as soon as another process takes a core.
SMALL = 32_768


def is_small(model: keras.Model, batch_size: int) -> bool:
    """Whether no layer's output for a batch, and no weight, has more than `SMALL` entries.

    A layer whose output shape is not known counts as large.
    """
    for layer in graph.nested(model):
        if graph.is_container(layer):
            continue  # its layers come by themselves
        try:
            sizes = [math.prod(t.shape[1:]) for t in keras.tree.flatten(layer.output)]
        except (AttributeError, TypeError, ValueError):
            return False
        if any(batch_size * size > SMALL for size in sizes):
            return False
    return all(math.prod(weight.shape) <= SMALL for weight in model.weights)


@contextlib.contextmanager
def threads_for(model: keras.Model, batch_size: int) -> Iterator[int | None]:
    """Train a small model on one of PyTorch's threads; change nothing otherwise.

    The number is set back at the end. PyTorch has one number for the whole process.

    Args:
        model: The model to train.
        batch_size: Samples per step.

    Yields:
        PyTorch's number of threads, `None` on other backends.
    """
    torch = sys.modules.get("torch") if keras.backend.backend() == "torch" else None
    if torch is None:
        yield None
        return
    before = torch.get_num_threads()
    if before > 1 and is_small(model, batch_size):
        torch.set_num_threads(1)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
