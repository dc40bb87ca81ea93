"""The one way in which this package replaces what a layer does for a while.

`intercepted` puts a function in front of the `call` of layers, for the calling thread only. Other
threads that run the same model meanwhile, or intercept it themselves, do not notice. What stood
on the layer is put back at the end. `call_with` runs a layer with other attributes, for example
without its activation, and changes nothing on the layer.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras

_LOCK = threading.Lock()


class _Call:
    """Stands for the `call` of one layer: the functions of this thread, else the layer's own.

    Attributes:
        before: What the instance had as `call`; missing as a rule, as the class has it.
        original: The layer's call.
        stacks: The functions in front of it, by thread, the last one first to run.
    """

    def __init__(self, layer: keras.layers.Layer):
        self.before = {k: v for k, v in vars(layer).items() if k == "call"}
        self.original = layer.call
        self.stacks: dict[int, list[Callable]] = {}

    def top(self) -> Callable:
        """Return what to call in this thread."""
        stack = self.stacks.get(threading.get_ident())
        return stack[-1] if stack else self.original

    def __call__(self, *args, **kwargs):
        return self.top()(*args, **kwargs)


@contextlib.contextmanager
def intercepted(
    replacements: Iterable[tuple[keras.layers.Layer, Callable[..., Any]]],
) -> Iterator[None]:
    """Within this context, calls of layers in this thread go to other functions.

    Args:
        replacements: Pairs of a layer and the function `function(call, *args, **kwargs)` that runs
            instead of its `call`, where `call` is what it stands in front of. A layer may be
            named several times, and contexts may be nested: the last function runs first.

    Example:
    ```python
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    inputs = []

    def record(call, x, *args, **kwargs):
        inputs.append(x)
        return call(x, *args, **kwargs)

    with intercepted([(model.layers[0], record)]):
        model(keras.ops.ones((2, 4)))
    len(inputs)  # 1
    ```
    """
    entered = []
    try:
        for layer, function in replacements:
            entered.append((layer, _enter(layer, function)))
        yield
    finally:
        for layer, own in reversed(entered):
            _leave(layer, own)


def is_replaced(layer: keras.layers.Layer) -> bool:
    """Whether something else than this module replaced the `call` of this one layer."""
    own = vars(layer).get("call")
    return "call" in own.before if isinstance(own, _Call) else own is not None


def call_with(layer: keras.layers.Layer, **attributes: Any) -> Callable[..., Any]:
    """Return the `call` of a layer's class for the same weights and other attributes.

    Args:
        layer: A built layer. It is not changed.
        **attributes: Attributes that `call` sees, such as `activation=None`.
    """
    twin = object.__new__(type(layer))
    vars(twin).update(vars(layer))
    vars(twin).update(attributes)
    return functools.partial(type(layer).call, twin)


def _enter(layer, function):
    with _LOCK:
        own = vars(layer).get("call")
        if not isinstance(own, _Call):
            own = _Call(layer)
            # Past the tracking of Keras and PyTorch.
            object.__setattr__(layer, "call", own)
        below = own.top()
        stack = own.stacks.setdefault(threading.get_ident(), [])
        stack.append(functools.partial(function, below))
        return own


def _leave(layer, own):
    with _LOCK:
        thread = threading.get_ident()
        own.stacks[thread].pop()
        if not own.stacks[thread]:
            del own.stacks[thread]
        if own.stacks or vars(layer).get("call") is not own:
            return
        object.__delattr__(layer, "call")
        for name, value in own.before.items():
            object.__setattr__(layer, name, value)
