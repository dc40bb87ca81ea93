"""The values of all functions of a space, in blocks and in order, each computed once.

Every part of a schema is reduced to its *distinct* rows of values before it is composed:
`unary(unary(x))` describes 729 functions but fewer rows, and whatever is built on two equal
rows is equal. An operator then meets whole blocks of rows by broadcasting.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import numpy as np

from .equality import row_keys
from .expression import Expression
from .registry import find_operator
from .spaces import SearchSpace

#: Rows of a block: a few temporaries of 256 x 1,000 float64 stay in the cache (tuned on two
#: cores over 64 ... 4096 by benchmarks/spaces.py).
BLOCK_ROWS = 256


@dataclass(frozen=True)
class Part:
    """The distinct rows of a part of a schema.

    Attributes:
        rows: Values, (distinct rows, inputs), in the order of their first function.
        row_of: Row of every function of the part, (functions,).
    """

    rows: np.ndarray
    row_of: np.ndarray


class Enumeration:
    """Evaluates the schemas of a space on fixed inputs.

    Args:
        space: The space.
        inputs: Inputs, (inputs,).
        equality: `equality.Grid` or `equality.Float32`.
    """

    def __init__(self, space: SearchSpace, inputs: np.ndarray, equality: Any) -> None:
        self.space = space
        self.inputs = np.asarray(inputs, equality.dtype)
        self.equality = equality
        self._parts: dict[Expression, Part] = {}

    def part(self, node: Expression) -> Part:
        """Return the distinct rows of a part of a schema, computed at the first call."""
        if node not in self._parts:
            self._parts[node] = self._leaf(node) if not node.arguments else self._composed(node)
        return self._parts[node]

    def layout(self, schema: Expression) -> np.ndarray:
        """Return for every function of a schema its row in the sequence of `blocks`.

        Two functions share a row if their operators are the same and their arguments have
        equal values.
        """
        if not schema.arguments:
            return np.zeros(1, np.int64)
        parts = [self.part(argument) for argument in schema.arguments]
        row = np.arange(len(self.space.choices(schema)))
        for part in parts:
            row = row[..., None] * len(part.rows) + part.row_of
        return row.reshape(-1)

    def blocks(self, schema: Expression) -> Iterator:
        """Yield functions without arguments that compute successive blocks of rows."""
        if not schema.arguments:
            yield lambda: self.part(schema).rows
            return
        parts = [self.part(argument).rows for argument in schema.arguments]
        pieces = [_pieces(len(rows), size) for rows, size in zip(parts, _sizes(parts), strict=True)]
        for name in self.space.choices(schema):
            operator = find_operator(name)
            for piece in product(*pieces):
                arrays = [rows[where] for rows, where in zip(parts, piece, strict=True)]
                yield lambda operator=operator, arrays=arrays: self._evaluate(operator, arrays)

    def _leaf(self, node):
        if node.head == "x":
            rows = self.inputs[None]
        else:
            rows = np.full((1, len(self.inputs)), node.head, self.inputs.dtype)
        return Part(rows, np.zeros(1, np.int64))

    def _composed(self, node):
        layout = self.layout(node)
        first: dict[bytes, int] = {}
        distinct: list[np.ndarray] = []
        row_of: list = []
        for block in self.blocks(node):
            rows = block()
            rows[np.isnan(rows)] = np.nan
            new: list[int] = []
            for i, key in enumerate(row_keys(rows)):
                found = first.setdefault(key, len(first))
                if found == len(distinct) + len(new):
                    new.append(i)
                row_of.append(found)
            distinct.extend(rows[new])
        return Part(np.stack(distinct), np.asarray(row_of)[layout])

    def _evaluate(self, operator, arrays):
        count = len(arrays)
        shaped = [
            rows.reshape(*(len(rows) if i == axis else 1 for axis in range(count)), -1)
            for i, rows in enumerate(arrays)
        ]
        with np.errstate(all="ignore"):
            values = self.equality.apply(operator, *shaped)
        return np.array(values, self.inputs.dtype, copy=True, order="C").reshape(
            -1, len(self.inputs)
        )


def in_order(tasks: Iterator, threads: int) -> Iterator:
    """Yield the results of `tasks` in their order, a few of them computed ahead by threads."""
    with ThreadPoolExecutor(threads) as pool:
        ahead = [pool.submit(task) for task in islice(tasks, 2 * threads)]
        while ahead:
            done = ahead.pop(0).result()
            ahead.extend(pool.submit(task) for task in islice(tasks, 1))
            yield done


def _sizes(parts):
    """Rows of each part that a block takes, so that blocks follow in row-major order."""
    room, sizes = BLOCK_ROWS, []
    for rows in reversed(parts):
        size = max(1, min(len(rows), room))
        sizes.append(size)
        room = room // size if size == len(rows) else 1
    return sizes[::-1]


def _pieces(count, size):
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
