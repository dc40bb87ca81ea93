"""The candidates of a search: the unique functions of a space, and others."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..expressions import Expression, SearchSpace, UniqueFunctions, resolve
from ..expressions.equality import Grid

#: Columns that a function is compared on before whole rows are read.
_COLUMNS = 8
_BLOCK = 4096
#: Bytes of the number that a function's values give it. Optuna's tables keep 53 bits of a number.
_NUMBER_BYTES = 6


def unique_of(space: SearchSpace | UniqueFunctions, **options: Any) -> UniqueFunctions:
    """The unique functions of a space, or what is given if it is these.

    Args:
        space: A `keras_actfn.expressions.SearchSpace`, or its `UniqueFunctions`.
        **options: Arguments of `SearchSpace.unique`.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(space, UniqueFunctions):
        return space
    if isinstance(space, SearchSpace):
        return space.unique(**options)
    raise ValueError(
        f"A space is a keras_actfn.expressions.SearchSpace or its UniqueFunctions. Received: "
        f"{space!r}. Write expressions.three_node(), for example."
    )


def baselines_argument(baselines: Iterable) -> tuple:
    """The usual functions of a search, as a tuple.

    Raises:
        ValueError: If they are no collection of functions.
    """
    if isinstance(baselines, str) or not isinstance(baselines, Iterable):
        raise ValueError(
            "baselines is a list of functions. Received: "
            f"{baselines!r}. Write baselines=('relu', 'tanh'), for example."
        )
    return tuple(baselines)


class Pool:
    """Functions by number: those of a space that differ, then extra ones that are none of them.

    A candidate's number is that of the unique function; extra functions follow, from
    `len(unique)` on. Functions that equal each other are one candidate: an extra function that
    equals a function of the space *is* that candidate, and lends it its shorter text.

    Functions can `join` later. Their numbers follow, with gaps: a number is made of the function's
    values alone, so that processes that know nothing of each other give a function the same one.

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
        #: Row in `_rows` of each function that is none of the space's, by its number.
        self._added: dict[int, int] = {}
        self._rows = np.empty((0, len(unique.inputs)), np.float32)
        self._texts: dict = {}
        self._columns = np.unique(np.linspace(0, len(unique.inputs) - 1, _COLUMNS).astype(int))
        self._corner: _Corner | None = None
        for spec in extra:
            self._add(resolve(spec))
        self._size = len(unique) + len(self._added)
        self._valid = np.concatenate([unique.valid, np.isfinite(self._rows).all(axis=1)])

    def __len__(self) -> int:
        """The number of candidates that did not join later: their numbers begin at 0."""
        return self._size

    @property
    def limit(self) -> int:
        """What all numbers are below."""
        joined = len(self.unique) + len(self._added) > len(self)
        return len(self) + (256**_NUMBER_BYTES if joined else 0)

    @property
    def valid(self) -> np.ndarray:
        """Whether all outputs of a candidate are finite, (candidates,), without joined ones."""
        return self._valid

    def holds(self, numbers: ArrayLike) -> np.ndarray:
        """Whether there are candidates with these numbers, bool (numbers,)."""
        numbers = np.asarray(numbers, np.int64)
        return ((numbers >= 0) & (numbers < len(self))) | np.isin(numbers, list(self._added))

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
        rows[~own] = self._rows[[self._added[number] for number in checked[~own].tolist()]]
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
                f"inputs. Received: {function}, which none of the "
                f"{len(self.unique) + len(self._added)} candidates equals. "
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

    def number_of(self, function: Expression) -> int:
        """The number that a function has, or gets if it joins.

        Args:
            function: An expression with finite outputs.
        """
        row = self._values(function)
        found = self._find(function, row.astype(np.float32))
        if found is not None:
            return found
        key = Grid().keys(row[None], self.unique.up_to_sign)[0]
        return len(self) + int.from_bytes(key[:_NUMBER_BYTES], "big")

    def join(self, number: int, function: Expression) -> None:
        """Add a function that is none of the space's, under the number that `number_of` gave.

        Where there is a candidate of that number, it stays.
        """
        if not self.holds([number])[0]:
            self._keep(number, function, self._row(function))

    def _add(self, function):
        row = self._row(function)
        number = self._find(function, row)
        if number is None:
            number = len(self.unique) + len(self._added)
            self._keep(number, function, row)
        self._texts.setdefault(number, function)

    def _keep(self, number, function, row):
        self._added[number] = len(self._rows)
        self._rows = np.concatenate([self._rows, row[None]])
        self._texts[number] = function

    def _values(self, function):
        with np.errstate(all="ignore"):
            return np.asarray(function(self.unique.inputs))

    def _row(self, function):
        with np.errstate(all="ignore"):
            return self._values(function).astype(np.float32)

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
            self._corner = _Corner(self.unique.outputs, self._columns)
        own = self._corner.near(row[self._columns])
        differences = np.concatenate(
            [_differences(self.unique.outputs[own], row), _differences(self._rows, row)],
            dtype=np.float64,
        )
        numbers = np.concatenate([own, np.fromiter(self._added, np.int64, len(self._added))])
        equal = differences <= 1
        return numbers[equal][np.argsort(differences[equal], kind="stable")]

    def _checked(self, numbers):
        numbers = np.asarray(numbers, np.int64)
        wrong = numbers[~self.holds(numbers)]
        if len(wrong):
            count = len(self.unique) + len(self._added)
            raise IndexError(f"There are {count} candidates; there is no number {wrong[0]}.")
        return numbers


class _Corner:
    """A few columns of the outputs of a space, in order: few rows are near a value of one."""

    def __init__(self, outputs, columns):
        blocks = range(0, len(outputs), _BLOCK)
        self.values = np.concatenate([outputs[i : i + _BLOCK][:, columns] for i in blocks])
        each = np.ascontiguousarray(self.values.T)
        self.order = np.argsort(each, axis=1, kind="stable").astype(np.int32)
        self.sorted = np.take_along_axis(each, self.order, axis=1)

    def near(self, row):
        """Rows that equal a row of values in these columns."""
        found = np.arange(len(self.values))
        for order, ascending, value in zip(self.order, self.sorted, row, strict=True):
            if np.isfinite(value):
                step = 2 * _step(np.float64(value))
                ends = np.array([value - step, value + step], np.float32)
                low, high = (
                    ascending.searchsorted(ends[0]),
                    ascending.searchsorted(ends[1], "right"),
                )
                if high - low < len(found):
                    found = np.sort(order[low:high])
        return found[_differences(self.values[found], row) <= 1]


def _step(values):
    """A step of the grid on which functions are compared."""
    return 1e-9 + 1e-6 * np.abs(values)


def _differences(rows, row):
    """The largest difference of each row from `row`, in steps of the grid; NaN equals NaN."""
    with np.errstate(all="ignore"):
        steps = np.abs(rows - row) / _step(row)
    steps = np.where((rows == row) | (np.isnan(rows) & np.isnan(row)), 0.0, steps)
    return np.where(np.isnan(steps), np.inf, steps).max(axis=1, initial=0.0)
