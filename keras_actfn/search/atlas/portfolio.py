"""A portfolio: a few functions of which one is good in every task.

A set S of functions is worth

    worth(S) = mean over tasks of max over f in S of max(gain(f, task), 0),

with the gains of `table`: the part of the gap that its best function closes. What is no better than
the usual functions closes nothing, however much better than ReLU it is. The set grows greedily
from ReLU, by the function that adds most; since the worth is submodular, it reaches (1 - 1/e) of
what the best set of its size adds to ReLU (Nemhauser, Wolsey and Fisher 1978). Of functions that
add the same, the one with the greater mean worth is taken, and of these the one with the shorter
text. A task that has not trained a function is not covered by it: its gain there counts as 0.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .table import Atlas, load_atlas

#: How many functions a search evaluates first.
SIZE = 6


def greedy(atlas: Atlas, size: int = SIZE, allowed: ArrayLike | None = None) -> list[str]:
    """The portfolio of an atlas: `size` functions by their shortest texts, ReLU first.

    Args:
        atlas: An `Atlas`.
        size: How many; fewer if there are no more.
        allowed: Which functions beside ReLU may be in it, bool (functions,); None: all.

    Raises:
        ValueError: If the size is less than one, or no task is left, or they have no ReLU.
    """
    if size < 1:
        raise ValueError(f"A portfolio has one function or more. Received: size={size}.")
    if not atlas.tasks or "relu" not in atlas.usual:
        raise ValueError(
            "A portfolio is learned from one task or more that have trained ReLU. Received: "
            f"{', '.join(atlas.tasks) or 'no task'}. Leave fewer out."
        )
    gains = np.maximum(np.nan_to_num(atlas.gains), 0.0)
    usable = np.ones(len(gains), bool) if allowed is None else np.array(allowed, bool)
    usable[atlas.usual["relu"]] = True
    rows = np.flatnonzero(usable)
    texts = np.array([len(atlas.names[row]) for row in rows])
    # Sorted so that the first of equals is the one to take.
    rows = rows[np.lexsort((rows, texts, -gains[rows].mean(1)))]
    relu = atlas.usual["relu"]
    chosen, covered = [relu], gains[relu]
    while len(chosen) < min(size, len(rows)):
        worth = np.maximum(gains[rows], covered).mean(1)
        worth[np.isin(rows, chosen)] = -np.inf
        best = int(rows[np.argmax(worth > worth.max() - 1e-12)])
        chosen.append(best)
        covered = np.maximum(covered, gains[best])
    return [atlas.names[row] for row in chosen]


def portfolio(
    tasks: Sequence[str] | None = None, size: int = SIZE, leave_out: Sequence[str] = ()
) -> list[str]:
    """The functions to try first on a new task: a few of which one is good in every known task.

    Args:
        tasks: Names of `keras_actfn.search.bench_names()` to learn from; None for all.
        size: How many functions.
        leave_out: Tasks that are not learned from.

    Returns:
        Their texts, ReLU first, then in the order in which they add most.

    Raises:
        ValueError: If there is no such task, or none is left, or the size is less than one.

    Example:
        >>> from keras_actfn import search
        >>> functions = search.portfolio(size=3)
        >>> functions[0], len(functions)
        ('relu(x)', 3)
    """
    return greedy(load_atlas(tasks, leave_out), size)
