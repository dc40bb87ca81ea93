"""The candidates of a search: the unique functions of a space, and functions of the user's."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from ..expressions import Expression, UniqueFunctions, resolve

#: Columns that a function is compared on before whole rows are read.
_COLUMNS = 8
_BLOCK = 4096


class Pool:
    """Functions by number: those of a space that differ, then extra ones that are none of them.

    A candidate's number is that of the unique function; extra functions follow, from
    `len(unique)` on. Functions that equal each other are one candidate: an extra function that
    equals a function of the space *is* that candidate, and lends it its shorter text.

    Two functions are equal if their values on the space's inputs differ by at most a step of
    the grid on which the space compares them, 1e-9 + 1e-6 |r| (`expressions.equality.Grid`).

    Args:
        unique: The `UniqueFunctions` of a space; its outputs stay on disk.
        extra: Functions to add, as `keras_actfn.expressions.resolve` takes them.

    Example:
    ```python
    from keras_actfn.expressions import SearchSpace

    space = SearchSpace(["unary(x)"], unary=["relu", "tanh"])
    pool = Pool(space.unique(), extra=["relu", "gelu"])
    number = pool.find("relu")
    pool.names([number, len(pool) - 1])  # ['relu(x)', 'gelu(x)']
    ```
    """

    def __init__(self, unique: UniqueFunctions, extra: Iterable = ()) -> None:
        self.unique = unique
        self._extra: list = []
        self._extra_outputs = np.empty((0, len(unique.inputs)), np.float32)
        self._texts: dict = {}
        self._columns = np.unique(np.linspace(0, len(unique.inputs) - 1, _COLUMNS).astype(int))
        self._corner: np.ndarray | None = None
        for spec in extra:
            self._add(resolve(spec))
        self._valid = np.concatenate([unique.valid, np.isfinite(self._extra_outputs).all(axis=1)])

    def __len__(self) -> int:
        return len(self.unique) + len(self._extra)

    @property
    def valid(self) -> np.ndarray:
        """Whether all outputs of a candidate are finite, (candidates,)."""
        return self._valid

    def expression(self, number: int) -> Expression:
        """The function with a number: an `Expression`, or another function `resolve` gave."""
        number = self._checked([number])[0]
        if number in self._texts:
            return self._texts[number]
        return self.unique.expressions[number]

    def names(self, numbers: Iterable[int]) -> list[str]:
        """The texts of functions; `find` and `keras_actfn.activation` read them."""
        return [str(self.expression(number)) for number in numbers]

    def outputs(self, numbers: ArrayLike) -> np.ndarray:
        """Values of functions on the space's inputs, float32 (numbers, inputs)."""
        checked = self._checked(numbers)
        rows = np.empty((len(checked), len(self.unique.inputs)), np.float32)
        own = checked < len(self.unique)
        rows[own] = self.unique.outputs[checked[own]]
        rows[~own] = self._extra_outputs[checked[~own] - len(self.unique)]
        return rows

    def find(self, spec: object) -> int:
        """The number of a function, in whatever way it is written.

        Args:
            spec: As `keras_actfn.expressions.resolve` takes it: `"relu"`, `"mul(x,sigmoid(x))"`.

        Raises:
            ValueError: If no candidate equals it, or it cannot be read.
        """
        function = resolve(spec)
        number = self._find(function, None)
        if number is None:
            raise ValueError(
                f"A candidate equals a function of the space or an extra function on the space's "
                f"inputs. Received: {function}, which none of the {len(self)} candidates equals. "
                "Add it to the pool with extra=[…]."
            )
        return number

    def draw(self, n: int, seed: int = 0, without: Iterable[int] = ()) -> list[int]:
        """Numbers of n different functions with finite outputs, drawn with a seed.

        A larger n adds to what a smaller one draws. Fewer if there are no more.

        Args:
            n: How many.
            seed: Seed of the draw.
            without: Numbers that are not drawn.
        """
        finite = np.flatnonzero(self.valid)
        finite = finite[~np.isin(finite, list(without))]
        return np.random.default_rng(seed).permutation(finite)[:n].tolist()

    def _add(self, function):
        row = self._row(function)
        number = self._find(function, row)
        if number is None:
            number = len(self)
            self._extra.append(function)
            self._extra_outputs = np.concatenate([self._extra_outputs, row[None]])
        self._texts.setdefault(number, function)

    def _row(self, function):
        with np.errstate(all="ignore"):
            return np.asarray(function(self.unique.inputs)).astype(np.float32)

    def _find(self, function, row):
        """The number of a function whose values may be known, or None."""
        if function in self.unique.space:
            return self.unique.index(function)
        row = self._row(function) if row is None else row
        signs = (1, -1) if self.unique.up_to_sign else (1,)
        for sign in signs:
            for number in self._near(np.float32(sign) * row):
                return int(number)
        return None

    def _near(self, row):
        """Numbers of the candidates that equal a row of values, the nearest first."""
        if self._corner is None:
            self._corner = np.concatenate(
                [
                    self.unique.outputs[start : start + _BLOCK][:, self._columns]
                    for start in range(0, len(self.unique), _BLOCK)
                ]
            )
        own = np.flatnonzero(_differences(self._corner, row[self._columns]) <= 1)
        added = _differences(self._extra_outputs, row)
        differences = np.concatenate(
            [_differences(self.unique.outputs[own], row), added], dtype=np.float64
        )
        numbers = np.concatenate([own, len(self.unique) + np.arange(len(added))])
        equal = differences <= 1
        return numbers[equal][np.argsort(differences[equal], kind="stable")]

    def _checked(self, numbers):
        numbers = np.asarray(numbers, int)
        wrong = numbers[(numbers < 0) | (numbers >= len(self))]
        if len(wrong):
            raise IndexError(f"There are {len(self)} candidates; there is no number {wrong[0]}.")
        return numbers


def _differences(rows, row):
    """The largest difference of each row from `row`, in steps of the grid; NaN equals NaN."""
    with np.errstate(all="ignore"):
        steps = np.abs(rows - row) / (1e-9 + 1e-6 * np.abs(row))
    steps = np.where((rows == row) | (np.isnan(rows) & np.isnan(row)), 0.0, steps)
    return np.where(np.isnan(steps), np.inf, steps).max(axis=1, initial=0.0)
