"""The scores of all tasks side by side: functions × tasks, in one unit.

A score s of a task becomes the share of the gap between the best of the eight usual functions, u,
and the best function of all, b:

    gain = max((s - u) / (b - u), FLOOR),

so that 0 is the best usual function, 1 the best function there is, and a failure costs no more than
a function that is as far below the usual ones as the best is above. Functions that a task has not
trained are NaN there.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..._names import nearest
from ...expressions import parse, resolve, simplify
from ...expressions.unique import sampled_inputs

if TYPE_CHECKING:
    from ..benchmarks.act_bench import ActBench

#: The usual functions (section 6 of Bingham and Miikkulainen 2023), ReLU first.
USUAL = ("relu", "elu", "selu", "sigmoid", "softplus", "softsign", "swish", "tanh")

#: The least gain, of a failure and of all that is worse.
FLOOR = -1.0


@dataclasses.dataclass(frozen=True, eq=False)
class Atlas:
    """Functions with their scores in several tasks.

    Attributes:
        tasks: Names of the tasks.
        functions: Texts of all functions that any of them has trained.
        scores: More is better, whatever the task, (functions, tasks); NaN where not trained.

    Example:
    ```python
    from keras_actfn.search.atlas.table import load_atlas

    atlas = load_atlas()
    atlas.gains[atlas.usual["relu"]]  # one number for each task, 0 or less
    ```
    """

    tasks: tuple[str, ...]
    functions: tuple[str, ...]
    scores: np.ndarray

    @classmethod
    def of(cls, benches: "Iterable[ActBench]") -> "Atlas":
        """The atlas of some benchmarks; functions are the same where their texts are."""
        benches = list(benches)
        functions = tuple(dict.fromkeys(text for bench in benches for text in bench.functions))
        scores = np.full((len(functions), len(benches)), np.nan)
        position = {text: i for i, text in enumerate(functions)}
        for column, bench in enumerate(benches):
            scores[[position[text] for text in bench.functions], column] = bench.score
        return cls(tuple(bench.name for bench in benches), functions, scores)

    def __len__(self) -> int:
        return len(self.functions)

    def without(self, tasks: Sequence[str]) -> "Atlas":
        """The atlas without some tasks, and without functions that only those have trained.

        Raises:
            ValueError: If it has no such task.
        """
        for task in tasks:
            if task not in self.tasks:
                raise ValueError(
                    f"The atlas has the tasks {', '.join(self.tasks) or 'none'}. Received: "
                    f"{task!r}. {nearest(str(task), self.tasks)}".rstrip()
                )
        keep = [i for i, task in enumerate(self.tasks) if task not in tasks]
        scores = self.scores[:, keep]
        (rows,) = np.nonzero(~np.isnan(scores).all(1))
        return Atlas(
            tuple(self.tasks[i] for i in keep),
            tuple(self.functions[row] for row in rows),
            scores[rows],
        )

    @functools.cached_property
    def usual(self) -> dict[str, int]:
        """Rows of the usual functions that there are, by name, in the order of `USUAL`."""
        short = {name: i for i, name in enumerate(self.names)}
        return {name: short[f"{name}(x)"] for name in USUAL if f"{name}(x)" in short}

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The functions' shortest texts, as `simplify` writes them."""
        return tuple(map(shortest, self.functions))

    @functools.cached_property
    def gains(self) -> np.ndarray:
        """The formula of the module, (functions, tasks); NaN where not trained.

        Raises:
            ValueError: If a task has trained none of the usual functions.
        """
        return np.stack(
            [
                normalised(column, list(self.usual.values()), task)
                for column, task in zip(self.scores.T, self.tasks, strict=True)
            ],
            axis=1,
        ).reshape(self.scores.shape)

    @functools.cached_property
    def outputs(self) -> np.ndarray:
        """Values at the 1,000 draws of `sampled_inputs(0)`, float32 (functions, 1000)."""
        return values_of(self.functions)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Twenty hexadecimal digits of all scores and functions."""
        found = hashlib.sha256("\n".join([*self.tasks, "", *self.functions]).encode())
        found.update(np.ascontiguousarray(self.scores, "<f8").tobytes())
        return found.hexdigest()[:20]


def normalised(scores: np.ndarray, usual: Sequence[int], task: str = "") -> np.ndarray:
    """Gains of one task's scores, by the formula of the module.

    Args:
        scores: More is better, NaN where not trained, (functions,).
        usual: Rows of the usual functions.
        task: Its name, for the message.

    Raises:
        ValueError: If none of the usual functions is trained.

    Example:
        >>> normalised(np.array([0.8, 0.84, 0.82, 0.1, np.nan]), usual=[0]).round(2).tolist()
        [0.0, 1.0, 0.5, -1.0, nan]
    """
    scores = np.asarray(scores, "float64")
    known = scores[list(usual)]
    known = known[~np.isnan(known)]
    if not len(known):
        raise ValueError(
            f"A task is compared by its usual functions ({', '.join(USUAL)}). Received: the task "
            f"{task!r}, which has trained none of them. Train them first."
        )
    gap = np.nanmax(scores) - known.max()
    lag = scores - known.max()
    # Without a gap a usual function is the best: all others are as much worse as the floor says.
    gains = lag / gap if gap > 0 else np.where(lag < 0, FLOOR, 0.0)
    return np.where(np.isnan(scores), np.nan, np.maximum(gains, FLOOR))


@functools.lru_cache(maxsize=1 << 13)  # each start of a search asks for all of the atlas
def shortest(text: str) -> str:
    """The shortest text of a function: `simplify`'s, where that is shorter."""
    return min(text, str(simplify(parse(text))), key=len)


def values_of(functions: Iterable) -> np.ndarray:
    """Values of functions at the 1,000 draws of `sampled_inputs(0)`, float32 (functions, 1000).

    Args:
        functions: Functions as `keras_actfn.expressions.resolve` takes them.
    """
    inputs = sampled_inputs(0)
    with np.errstate(all="ignore"):
        rows = [
            np.broadcast_to(np.asarray(resolve(function)(inputs)), inputs.shape).astype("float32")
            for function in functions
        ]
    return np.array(rows, "float32").reshape(len(rows), len(inputs))


def load_atlas(tasks: Sequence[str] | None = None, leave_out: Sequence[str] = ()) -> Atlas:
    """The atlas that comes with the package.

    Args:
        tasks: Names of `keras_actfn.search.bench_names()`; None for all.
        leave_out: Tasks that are not used.

    Raises:
        ValueError: If there is no task of a name.

    Example:
    ```python
    load_atlas(leave_out=["digits_mlp"]).tasks
    ```
    """
    atlas = _whole()
    if tasks is not None:
        atlas.without(tasks)  # raises for a name that is not there
        atlas = atlas.without([task for task in atlas.tasks if task not in tasks])
    return atlas.without(leave_out) if leave_out else atlas


@functools.lru_cache(maxsize=1)
def _whole():
    from ..benchmarks.packed import bench, bench_names

    return Atlas.of(map(bench, bench_names()))
