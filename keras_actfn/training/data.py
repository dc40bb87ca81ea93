"""The data of a task: what `fit` takes, and which part is trained on, held out or tested on."""

import dataclasses
import inspect
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from ..datasets import Dataset, balanced_indices, stratified_indices

_RULE = (
    "is what fit takes: a tuple (x, y) or (x, y, sample_weight) of arrays or of nested dicts, "
    "lists and tuples of them, x alone, a tf.data.Dataset, a keras.utils.PyDataset, a torch "
    "DataLoader, or a function that returns one of these or a generator"
)


@dataclasses.dataclass(frozen=True, eq=False)
class Arrays:
    """N examples in memory: nested structures of arrays whose first axis is N.

    Attributes:
        x: Inputs.
        y: Targets, or None.
        sample_weight: Weights, or None.
    """

    x: Any
    y: Any = None
    sample_weight: Any = None

    def __len__(self) -> int:
        return _leaves(self.x)[0].shape[0]

    @property
    def labels(self) -> np.ndarray | None:
        """The labels of a classification as integers from 0, `(N,)`; None for anything else."""
        y = self.y
        if not isinstance(y, np.ndarray) or y.dtype.kind not in "iub" or not len(y):
            return None
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if y.ndim != 1 or y.min() < 0 or 2 * len(np.unique(y)) > len(y):
            return None
        return y.astype("int64")

    def take(self, rows: np.ndarray | slice) -> "Arrays":
        """Some examples."""
        return Arrays(*(_map(lambda a: a[rows], part) for part in self.as_tuple()))

    def draw(self, count: int, seed: int = 0) -> np.ndarray:
        """Positions of `count` examples, classes in balance; see `balanced_indices`."""
        return balanced_indices(self._classes(), count, seed)

    def _classes(self):
        # Without labels there is one class for all examples: a plain draw.
        labels = self.labels
        return np.zeros(len(self), int) if labels is None else labels

    def thinned(self, count: int) -> "Arrays":
        """`count` examples in order, of each class the same share; see `stratified_indices`."""
        return self.take(np.sort(stratified_indices(self._classes(), count)))

    def held_out(self, count: int) -> tuple["Arrays", "Arrays"]:
        """What is left, and `count` examples, of each class the same share; both in order."""
        if not 1 <= count < len(self):
            raise ValueError(
                f"The number of validation examples is from 1 to {len(self) - 1}, one less than "
                f"the training examples there are. Received: validation={count}."
            )
        rows = np.zeros(len(self), bool)
        rows[stratified_indices(self._classes(), count)] = True
        return self.take(~rows), self.take(rows)

    def open(self) -> "Arrays":
        """The same: arrays are there for every run."""
        return self

    def batches(self, size: int) -> Iterator[tuple]:
        """(x, y, sample_weight) of `size` examples after each other."""
        for start in range(0, len(self), size):
            yield self.take(slice(start, start + size)).as_tuple()

    def as_tuple(self) -> tuple:
        """(x, y, sample_weight)."""
        return self.x, self.y, self.sample_weight

    def arguments(self) -> dict[str, Any]:
        """Arguments of `fit` and `evaluate`."""
        return {"x": self.x, "y": self.y, "sample_weight": self.sample_weight}


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """Batches that something else makes: a dataset, a loader, or a function that returns one.

    Attributes:
        origin: The dataset, the loader or the function.
        name: `"train"`, `"validation"` or `"test"`, for messages.
    """

    origin: Any
    name: str

    @property
    def is_function(self) -> bool:
        """Whether it is made anew for each run."""
        return _is_function(self.origin)

    def open(self) -> "Arrays | Opened":
        """What a run reads: fresh where `origin` is a function."""
        if not self.is_function:
            return Opened(self.origin)
        made = self.origin()
        if inspect.isgenerator(made) or _is_source(made):
            return Opened(made)
        return _arrays(made, f"what the function {self.name} returns")


@dataclasses.dataclass(frozen=True, eq=False)
class Opened:
    """A dataset, loader or generator that a run reads."""

    batches_of: Any

    @property
    def is_py_dataset(self) -> bool:
        """Whether it is a dataset that Keras shuffles."""
        return isinstance(self.batches_of, keras.utils.PyDataset)

    def arguments(self) -> dict[str, Any]:
        """Arguments of `fit` and `evaluate`."""
        return {"x": self.batches_of}

    def batches(self, size: int) -> Iterator[tuple]:
        """(x, y, sample_weight) of its batches in NumPy arrays; `size` says nothing here."""
        source = opened = self.batches_of
        if self.is_py_dataset:
            count = source.num_batches
            numbers = itertools.count() if count is None else range(count)
            opened = (source[number] for number in numbers)
        for batch in opened:
            batch = batch if isinstance(batch, tuple | list) else (batch,)
            yield tuple(_map(_array, part) for part in (*batch, None, None)[:3])


Part = Arrays | Source


@dataclasses.dataclass(frozen=True, eq=False)
class TaskData:
    """What is trained on, held out (or None) and tested on (or None)."""

    train: Part
    validation: Part | None
    test: Part | None

    @classmethod
    def of(
        cls,
        train: Any,
        validation: Any = None,
        test: Any = None,
        subset: int | None = None,
    ) -> "TaskData":
        """Check the arguments of a `Task` of these names, hold out and thin.

        Raises:
            ValueError: If an argument is not what it should be.
        """
        if isinstance(train, Dataset):
            test = (train.x_test, train.y_test) if test is None else test
            validation = _validation_of(train, validation)
            train = (train.x_train, train.y_train)
        whole = part_of("train", train)
        tested = None if test is None else part_of("test", test)
        held_out: Part | None = None
        if validation is None or _is_number(validation):
            whole, held_out = _split(whole, validation)
        else:
            held_out = part_of("validation", validation)
        if subset is not None:
            if not isinstance(whole, Arrays):
                raise ValueError(
                    "subset thins arrays. Received: subset with train of another kind. Make the "
                    "data smaller instead."
                )
            check_positive("subset", subset)
            whole = whole.thinned(subset)
        for one, other in ((whole, held_out), (whole, tested)):
            _check_same_structure(one, other)
        return cls(whole, held_out, tested)

    def parts(self) -> dict[str, Part]:
        """The parts that there are, by name."""
        fields = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in fields.items() if part is not None}

    def sizes(self) -> dict[str, int | None]:
        """The number of examples of each part by name: 0 without it, None where unknown."""
        names = ("train", "validation", "test")
        parts = self.parts()
        return {
            name: len(part) if isinstance(part, Arrays) else None if part else 0
            for name in names
            for part in [parts.get(name)]
        }


def _validation_of(data: Dataset, validation: Any) -> Any:
    """The validation part: the dataset's own, where it has one and no other is given."""
    if data.x_validation is None or (_is_number(validation) and validation == 0):
        return validation
    if _is_number(validation):
        raise ValueError(
            f"A dataset with a validation part of its own is judged on that. Received: "
            f"validation={validation!r}. Leave it out, or pass 0 for none."
        )
    return (data.x_validation, data.y_validation) if validation is None else validation


def part_of(name: str, value: Any) -> Part:
    """What `fit` takes, as `Arrays` or a `Source`.

    Args:
        name: `"train"`, `"validation"` or `"test"`.
        value: As in `Task`.

    Raises:
        ValueError: If it is none of what `fit` takes, or a generator, which is used up by one run.
    """
    if inspect.isgenerator(value):
        raise ValueError(
            f"{name} is read by every run. Received: a generator, which the first run uses up. "
            f"Pass the function that makes it, {name}=batches instead of {name}=batches()."
        )
    if _is_source(value) or _is_function(value):
        return Source(value, name)
    return _arrays(value, name)


def first_examples(part: Part, count: int, seed: int = 0) -> Arrays:
    """Examples to look at: of arrays a balanced draw, else those of the first batches.

    Args:
        part: A part of a task's data.
        count: How many at most.
        seed: Seed of the draw.
    """
    opened = part.open()
    if isinstance(opened, Arrays):
        return opened.take(opened.draw(min(count, len(opened)), seed))
    found: list[tuple] = []
    size = 0
    for batch in opened.batches(count):
        found.append(batch)
        size += len(_leaves(batch[0])[0])
        if size >= count:
            break
    if not found:
        raise ValueError("Data has at least one batch. Received: none.")
    joined = [_join([batch[i] for batch in found]) for i in range(3)]
    return Arrays(*joined).take(slice(0, count))


def check_positive(name: str, value: Any) -> None:
    """Raise a ValueError unless `value` is an integer of at least 1."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} is a positive integer. Received: {value!r}.")


def _split(whole, validation):
    """What is trained on and what is held out."""
    if validation is not None and (validation < 0 or not math.isfinite(validation)):
        raise ValueError(
            "validation is data, a number of examples to hold out, or a share below 1. Received: "
            f"validation={validation!r}."
        )
    if validation == 0 or (validation is None and not isinstance(whole, Arrays)):
        return whole, None
    if not isinstance(whole, Arrays):
        raise ValueError(
            "A number of validation examples is held out of arrays. Received: "
            f"validation={validation!r} with train of another kind. Pass the validation data."
        )
    if validation is None:
        validation = max(1, len(whole) // 10)
    elif validation < 1:
        validation = max(1, round(validation * len(whole)))
    elif validation != int(validation):
        raise ValueError(f"A number of validation examples is whole. Received: {validation!r}.")
    return whole.held_out(int(validation))


def _check_same_structure(train, other):
    """Raise a ValueError unless two parts in memory have as many inputs of as many axes."""
    if not isinstance(train, Arrays) or not isinstance(other, Arrays):
        return
    shapes = [[leaf.shape[1:] for leaf in _leaves(part.x)] for part in (train, other)]
    if [len(shape) for shape in shapes[0]] != [len(shape) for shape in shapes[1]]:
        raise ValueError(
            "All parts have inputs of one structure. Received: examples of the shapes "
            f"{shapes[0]} in train and {shapes[1]} beside it."
        )


def _arrays(value, name):
    parts = value if isinstance(value, tuple) else (value,)
    received = type(value).__name__
    if not 1 <= len(parts) <= 3 or isinstance(value, str | bytes | list | set) or value is None:
        if isinstance(value, tuple | list):
            received += f" of {len(value)}"
        raise ValueError(f"{name} {_RULE}. Received: {received}.")
    try:
        x, y, weight = (_map(_array, part) for part in (*parts, None, None)[:3])
        sizes = [leaf.shape[0] for part in (x, y, weight) for leaf in _leaves(part)]
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise ValueError(f"{name} {_RULE}. Received: {received} ({error}).") from error
    if not _leaves(x):
        raise ValueError(f"{name} {_RULE}. Received: {received} without arrays.")
    if len(set(sizes)) > 1 or not sizes[0]:
        raise ValueError(
            f"Arrays of {name} have one first axis, the examples, at least one. Received: "
            f"{', '.join(map(str, sizes))} examples."
        )
    return Arrays(x, y, weight)


def _array(leaf):
    """One array in NumPy, from whatever library; sparse matrices as they are."""
    if leaf is None or isinstance(leaf, np.ndarray) or type(leaf).__module__.startswith("scipy."):
        return leaf
    if hasattr(leaf, "detach"):  # PyTorch's tensors, which may need gradients or be elsewhere
        return leaf.detach().cpu().numpy()
    return np.asarray(leaf)


def _map(function, part):
    """A function of each array of a nested structure; a list of numbers is an array."""
    if part is None:
        return None
    if isinstance(part, list) and part and all(np.isscalar(entry) for entry in part):
        return function(np.asarray(part))
    if isinstance(part, dict):
        return {key: _map(function, value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return type(part)([_map(function, value) for value in part])
    return function(part)


def _leaves(part):
    return [leaf for leaf in keras.tree.flatten(part) if leaf is not None]


def _join(parts):
    """The examples of several batches in one structure."""
    first = parts[0]
    if first is None:
        return None
    if isinstance(first, dict):
        return {key: _join([part[key] for part in parts]) for key in first}
    if isinstance(first, list | tuple):
        return type(first)([_join(list(entries)) for entries in zip(*parts, strict=True)])
    return np.concatenate(parts)


def _is_number(value):
    kinds = int | float | np.integer | np.floating
    return isinstance(value, kinds) and not isinstance(value, bool)


def _is_function(value: Any) -> bool:
    return isinstance(value, Callable) and not hasattr(value, "__array__") and not _is_source(value)  # type: ignore[arg-type]


def _is_source(value):
    """Whether a value is a dataset or loader of Keras, TensorFlow, PyTorch or Grain."""
    if isinstance(value, keras.utils.PyDataset):
        return True
    names = {
        ("tensorflow", "DatasetV2"),
        ("tensorflow", "DistributedDataset"),
        ("torch", "DataLoader"),
        ("grain", "MapDataset"),
        ("grain", "IterDataset"),
        ("grain", "DataLoader"),
    }
    return any((k.__module__.partition(".")[0], k.__name__) in names for k in type(value).__mro__)
