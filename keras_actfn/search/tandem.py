"""Several activation functions in tandem: one for each group of places in a model.

Bingham and Miikkulainen (2023, appendix F) leave this to future work: "features for multiple
candidate activation functions" concatenated "into a single feature vector". A candidate is
then a tuple of functions. Its outputs are those of its functions one after the other; its Fisher
spectrum is that of the network with all of them, which has every layer's block already.

Of n functions there are n^groups tuples. They are numbered like digits, the last group fastest,
and never listed.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np
from numpy.typing import ArrayLike

from ..expressions import resolve, serialize
from .pool import Pool

#: Between the texts of the functions of a tuple.
SEPARATOR = "; "


@dataclasses.dataclass(frozen=True)
class Tandem:
    """One function for each group of places.

    Attributes:
        functions: Expressions, or other functions that `resolve` gave.
    """

    functions: tuple

    def __str__(self) -> str:
        return SEPARATOR.join(map(serialize, self.functions))

    @property
    def name(self) -> str:
        """The text, from which `functions_of` gives the functions again."""
        return str(self)


def functions_of(candidate: object) -> tuple:
    """The functions of a candidate: of a `Tandem`, a text of one or several, or one function."""
    if isinstance(candidate, Tandem):
        return candidate.functions
    if isinstance(candidate, str):
        return tuple(resolve(part) for part in candidate.split(SEPARATOR.strip()))
    return (resolve(candidate),)


def latex_of(text: str) -> str:
    """LaTeX of the functions of a candidate's text; of one without a formula, its name."""
    return r",\ ".join(
        function.latex() if hasattr(function, "latex") else rf"\mathrm{{{serialize(function)}}}"
        for function in functions_of(text)
    )


class TandemBuilder:
    """A function of one text from a function of several activations.

    A single function in the text goes into every group.

    Args:
        build_model: Function of `groups` activations that returns a new model.
        groups: Number of groups.
    """

    def __init__(self, build_model: Callable, groups: int) -> None:
        self.build_model = build_model
        self.groups = groups

    def __call__(self, text: str) -> keras.Model:
        """Build the model with the activations of the text."""
        parts = [serialize(function) for function in functions_of(text)]
        if len(parts) == 1:
            parts *= self.groups
        return self.build_model(*parts)


class TandemPool:
    """Tuples of a pool's functions by number; the same interface as `Pool`.

    Args:
        pool: A `Pool`.
        groups: Functions in a tuple, 2 or more.
    """

    def __init__(self, pool: Pool, groups: int) -> None:
        if not isinstance(groups, int) or groups < 2 or len(pool) ** groups > 2**62:
            raise ValueError(
                "Groups are 2 or more, and their tuples at most 2^62. Received: "
                f"groups={groups!r} of {len(pool)} functions."
            )
        self.pool = pool
        self.groups = groups

    def __len__(self) -> int:
        return len(self.pool) ** self.groups

    @property
    def limit(self) -> int:
        """What all numbers are below."""
        return len(self)

    def holds(self, numbers: ArrayLike) -> np.ndarray:
        """Whether there are candidates with these numbers, bool (numbers,)."""
        numbers = np.asarray(numbers, np.int64)
        return (numbers >= 0) & (numbers < len(self))

    def digits(self, number: int) -> tuple[int, ...]:
        """The numbers of the functions in the pool, one a group."""
        if not 0 <= number < len(self):
            raise IndexError(f"There are {len(self)} candidates; there is no number {number}.")
        found = []
        for _ in range(self.groups):
            number, digit = divmod(int(number), len(self.pool))
            found.append(digit)
        return tuple(reversed(found))

    def number(self, digits: Iterable[int]) -> int:
        """The number of a tuple from those of its functions."""
        found = 0
        for digit in digits:
            found = found * len(self.pool) + int(digit)
        return found

    def expression(self, number: int) -> Tandem:
        """The functions with a number, a `Tandem`."""
        return Tandem(tuple(self.pool.expression(digit) for digit in self.digits(number)))

    def names(self, numbers: Iterable[int]) -> list[str]:
        """The texts of tuples."""
        return [str(self.expression(number)) for number in numbers]

    def outputs(self, numbers: Sequence[int]) -> np.ndarray:
        """Values of the functions side by side, float32 (numbers, groups · inputs)."""
        digits = np.array([self.digits(number) for number in numbers], int)
        digits = digits.reshape(-1, self.groups)
        return np.concatenate([self.pool.outputs(column) for column in digits.T], axis=1)

    def find(self, spec: object) -> int:
        """The number of a tuple by its text; one function stands for all groups."""
        functions = functions_of(spec)
        if len(functions) == 1:
            functions *= self.groups
        if len(functions) != self.groups:
            raise ValueError(
                f"A candidate has one function or {self.groups}, separated by ';'. Received: "
                f"{spec}."
            )
        return self.number(self.pool.find(function) for function in functions)

    def draw(self, n: int, seed: int = 0, without: Iterable[int] = ()) -> list[int]:
        """Numbers of n different tuples of finite functions, drawn with a seed; see `Pool.draw`."""
        rng = np.random.default_rng(seed)
        finite = np.flatnonzero(self.pool.valid)
        taken = set(map(int, without))
        drawn: list[int] = []
        possible = len(finite) ** self.groups
        while len(drawn) < n and len(taken) < possible:
            number = self.number(rng.choice(finite, self.groups))
            if number not in taken:
                taken.add(number)
                drawn.append(number)
        return drawn
