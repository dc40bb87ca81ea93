"""Elementwise functions with a gradient of their own: what every activation layer is made of."""

from collections.abc import Callable, Iterable
from typing import Any

from keras import ops

from ._load import backend
from .protocol import Array


def custom_gradient(
    forward: Callable[..., Array],
    backward: Callable[..., Iterable[Array]] | None,
    x: Array,
    *parameters: Array,
    sums: Callable[..., Iterable[Array]] | None = None,
    in_place: tuple[Callable, Callable] | None = None,
) -> Array:
    """`forward(x, *parameters)`, of which only x and the parameters are kept for the gradient.

    It can be differentiated in every mode of the backend, any number of times: reverse and
    forward, mixed, and for each example. `backward` is what a training step runs; wherever
    another derivative may follow, the same derivative comes from operations that have one.

    Args:
        forward: Function of tensors, elementwise in x, in differentiable operations. It may be
            called on slices of the batch, as may the others.
        backward: `backward(gradient, x, *parameters)` returns the gradients to x and to each
            parameter, given the gradient to the value, in differentiable operations. Where
            None, the backend differentiates `forward`.
        x: Float tensor with the batch first; a tensor without axes is a batch of one.
        *parameters: Float tensors that broadcast against the axes of x behind the batch.
        sums: Where given, what `backward` returns behind the gradient to x is elementwise as
            well, and `sums(*that, *parameters)` returns the gradients to the parameters.
        in_place: `forward` and `backward` once more, for where operations run one by one: they
            may reuse their temporaries and need not be differentiable. Read on PyTorch only.

    Returns:
        Tensor of the shape and dtype of x.
    """
    rules: dict[str, Any] = {"sums": sums, "in_place": in_place}
    if x.shape != ():
        return backend.custom_gradient(forward, backward, x, *parameters, **rules)
    batch = ops.reshape(x, (1,))
    return ops.reshape(custom_gradient(forward, backward, batch, *parameters, **rules), ())


def elementwise(function: Callable[..., Array], x: Array, *parameters: Array) -> Array:
    """`function(x, *parameters)` that keeps x only and recomputes the rest in its gradient.

    Args:
        function: As `forward` of `custom_gradient`.
        x: Float tensor with the batch first.
        *parameters: Float tensors.

    Returns:
        Tensor of the shape and dtype of x.
    """
    return custom_gradient(function, None, x, *parameters)
