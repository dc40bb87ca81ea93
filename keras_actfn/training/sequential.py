"""Paired differences that are looked at several times, with a level that holds for all looks.

Seeds are dear, so one adds them until the answer is clear. An ordinary 95 % interval that is
looked at after 3, 6 and 12 seeds, and believed as soon as it excludes zero, is wrong more often
than 1 in 20 times. Here the level is split over the L looks (Bonferroni): each has an interval of
level

    1 − (1 − 0.95) / L

so that all L of them hold at once with a probability of at least 95 %, whichever look is the last.
The intervals are Student's, for differences that are normally distributed over seeds. Where all
differences are equal, as accuracies on few examples may be, their spread says nothing yet: only the
last look believes it.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from .results import LEVEL, paired_difference

#: Numbers of seeds after which a difference is looked at.
LOOKS = (3, 6, 12)


@dataclasses.dataclass(frozen=True)
class Look:
    """A paired difference after some seeds.

    Attributes:
        seeds: Number of pairs n.
        difference: Their mean difference.
        low: Lower end of its interval.
        high: Upper end.
    """

    seeds: int
    difference: float
    low: float
    high: float

    @property
    def decided(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


def look_until_decided(
    measure: Callable[[int], tuple[Sequence[float], Sequence[float]]],
    looks: Sequence[int] = LOOKS,
    level: float = LEVEL,
) -> list[Look]:
    """Look at a paired difference until its interval excludes zero, or to the last look.

    Args:
        measure: Function of a number n of seeds that returns the n values of one side and the n
            values of the other, those of one seed in the same place.
        looks: Increasing numbers of seeds, each at least 2.
        level: Probability with which the intervals of all looks hold at once, at least.

    Returns:
        The looks that were taken, the last one being the answer.

    Raises:
        ValueError: If `looks` is not an increasing list of numbers from 2.
        ImportError: If scipy is missing.

    Example:
    ```python
    draws = np.random.default_rng(0).normal(1.0, 0.5, 12)
    look_until_decided(lambda n: (draws[:n], np.zeros(n)))[-1].difference  # 0.92
    ```
    """
    looks = check_looks(looks)
    each = 1 - (1 - level) / len(looks)
    taken: list[Look] = []
    for n in looks:
        values, base = measure(n)
        difference, low, high = paired_difference(values, base, each)
        assert low is not None and high is not None  # n is at least 2
        taken.append(Look(n, difference, low, high))
        if taken[-1].decided and low < high:
            break
    return taken


def looks_up_to(seeds: int) -> tuple[int, ...]:
    """The numbers of seeds 3, 6, 12, … up to `seeds`, which is the last one.

    Example:
        >>> looks_up_to(12), looks_up_to(20), looks_up_to(2)
        ((3, 6, 12), (3, 6, 12, 20), (2,))
    """
    doubled = [3 * 2**k for k in range(seeds.bit_length())]
    return check_looks((*[n for n in doubled if n < seeds], seeds))


def check_looks(looks: Any) -> tuple[int, ...]:
    """`looks` as a tuple, or a ValueError."""
    found = tuple(looks) if isinstance(looks, Sequence) and not isinstance(looks, str) else ()
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 2 for n in found)
    if not found or not whole or list(found) != sorted(set(found)):
        raise ValueError(
            "Looks are an increasing list of numbers of seeds, each at least 2, such as "
            f"(3, 6, 12). Received: {looks!r}."
        )
    return found
