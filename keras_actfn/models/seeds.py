"""The same start for every activation: weights and random states of one seed.

The start of a seed is the state of the model that the builder makes for `"relu"`, which
has no activation weights, with Keras's seeds drawn from that seed. It does not depend on
which activations are compared. Every other model takes the weights and the states of the
random generators (dropout, augmentation) from it and keeps its own activation weights.
"""

import contextlib
import dataclasses
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from ._keras import default_seeds_from

_RANDOM_STATE = "seed_generator_state"
#: What TensorFlow gives for its global seed where none is set.
_TENSORFLOW_UNSET = 87654321


@dataclasses.dataclass(frozen=True, eq=False)
class Entry:
    """One variable of a model: its short name, its full path and its value."""

    name: str
    path: str
    value: np.ndarray

    @property
    def kind(self) -> tuple[str, tuple[int, ...]]:
        """What identifies a variable where paths do not: name and shape."""
        return self.name, self.value.shape


@contextlib.contextmanager
def seeds_drawn_from(seed: int) -> Iterator[Callable[[], tuple]]:
    """Inside, what Keras draws its default seeds from starts at `seed`; then it is put back.

    Keras's initialisers and random layers that are made without a seed of their own draw
    one from Python's `random` module. All threads share that, and those of a Dask worker draw
    from it at any time, so Keras is given a generator of this thread's own. `random` itself
    starts at `seed` too, for what draws from it while it builds or trains (Keras's `AugMix`
    does); seeding it there, as `keras.utils.set_random_seed` does, changes no default seed. On
    PyTorch, dropout without a seed draws its masks from PyTorch's own generator, which is set
    and put back likewise.

    Args:
        seed: A non-negative integer.

    Yields:
        A function that says where these generators are: equal positions after equal seeds mean
        that as much was drawn.
    """
    before = random.getstate()
    generator = random.Random(seed)

    def position():
        found: tuple = (generator.getstate(), random.getstate())
        if keras.backend.backend() == "torch":
            import torch

            found += (torch.get_rng_state().numpy().tobytes(),)
        return found

    with contextlib.ExitStack() as stack:
        stack.callback(random.setstate, before)
        random.seed(seed)
        stack.enter_context(default_seeds_from(generator))
        if keras.backend.backend() == "torch":
            import torch

            stack.enter_context(torch.random.fork_rng())
            torch.manual_seed(seed)
        yield position


@contextlib.contextmanager
def all_seeds_from(seed: int) -> Iterator[None]:
    """As `seeds_drawn_from`; NumPy's, TensorFlow's and PyTorch's own generators start there too.

    For what the user's code draws from them: the order in which `fit` shuffles arrays, and data
    that a function makes for each run. They are put back at the end. Libraries that are not
    imported are not looked at.

    Args:
        seed: A non-negative integer.
    """
    # What Keras itself draws from: a generator of one's own would not reach it.
    numpy = np.random.get_state()  # noqa: NPY002
    with contextlib.ExitStack() as stack:
        stack.callback(np.random.set_state, numpy)
        stack.enter_context(seeds_drawn_from(seed))
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch: Any = sys.modules.get("torch")
        if torch is not None and keras.backend.backend() != "torch":
            stack.enter_context(torch.random.fork_rng(devices=[]))
            torch.default_generator.manual_seed(seed)
        tensorflow: Any = sys.modules.get("tensorflow")
        if tensorflow is not None:
            before = tensorflow.compat.v1.get_seed(0)[0]
            stack.callback(
                tensorflow.random.set_seed, None if before == _TENSORFLOW_UNSET else before
            )
            tensorflow.random.set_seed(seed)
        yield


def order_drawn_from(seed: int, epoch: int) -> None:
    """Let the order in which `fit` shuffles arrays in an epoch depend on these two alone.

    Keras draws it from NumPy's or PyTorch's own generator, which an activation that is random
    itself draws from as well; a `DataLoader` draws it from PyTorch's on every backend. On
    TensorFlow each order has a generator of its own. Call it inside `all_seeds_from`, which puts
    the generators back.
    """
    start = masks_drawn_from(seed, epoch)
    np.random.seed(start)  # noqa: NPY002
    torch: Any = sys.modules.get("torch")
    if torch is not None and keras.backend.backend() != "torch":
        torch.default_generator.manual_seed(start)


def masks_drawn_from(seed: int, epoch: int) -> int:
    """Let what is drawn in an epoch from Python's and PyTorch's own generators depend on these.

    PyTorch's dropout without a seed draws its masks there, and so does a model when it is traced
    for the first time, before its first epoch. Call it inside `seeds_drawn_from`.

    Returns:
        The seed that both were given.
    """
    start = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    random.seed(start)
    if keras.backend.backend() == "torch":
        import torch

        torch.manual_seed(start)
    return start


def state_of(model: keras.Model) -> list[Entry]:
    """All of a model's variables with copies of their values, random states included."""
    return [
        Entry(v.name, v.path, np.array(keras.ops.convert_to_numpy(v.value)))
        for v in model.variables
    ]


def set_state(model: keras.Model, state: Sequence[Entry]) -> None:
    """Write a state of a model of the same structure."""
    for variable, entry in zip(model.variables, state, strict=True):
        variable.assign(entry.value)


def with_shared_start(own: Sequence[Entry], shared: Sequence[Entry]) -> list[Entry]:
    """A model's state with everything that it has in common with `shared` taken from there.

    Weights correspond if their paths do; where layers have no fixed names, in order by
    name and shape, activation weights being those that are left over. Random states
    correspond in order; if their numbers differ, as when the activation is random itself,
    the model keeps its own.

    Args:
        own: State of the model.
        shared: State of the same seed's model without activation weights.

    Returns:
        The state to start from.

    Raises:
        ValueError: If a weight of `shared` has no counterpart, as when the builder changes
            more than the activation.
    """
    taken = {
        **_random_states(*([e for e in state if _is_random(e)] for state in (own, shared))),
        **_weights(*([e for e in state if not _is_random(e)] for state in (own, shared))),
    }
    return [dataclasses.replace(e, value=taken.get(id(e), e.value)) for e in own]


def batch_order(seed: int, epoch: int, n: int) -> np.ndarray:
    """The order of `n` training images in an epoch, the same for every activation."""
    return np.random.default_rng([seed, epoch]).permutation(n)


def _is_random(entry):
    return entry.name == _RANDOM_STATE


def _random_states(own, shared):
    if len(own) != len(shared):
        return {}
    return {id(mine): theirs.value for mine, theirs in zip(own, shared, strict=True)}


def _weights(own, shared):
    """Values for entries of `own` by their identity."""
    by_path = {entry.path: entry for entry in own}
    if all(e.path in by_path and by_path[e.path].kind == e.kind for e in shared):
        return {id(by_path[e.path]): e.value for e in shared}
    taken, position = {}, 0
    for entry in own:
        if position < len(shared) and entry.kind == shared[position].kind:
            taken[id(entry)] = shared[position].value
            position += 1
    if position < len(shared):
        raise ValueError(
            "build_model changes nothing but the activation: the model for 'relu' and that for "
            "another activation have all other weights in common. No counterpart for the weight "
            f"'{shared[position].path}' of shape {shared[position].value.shape} that the model for "
            "'relu' has."
        )
    return taken
