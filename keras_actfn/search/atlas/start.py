"""Where a search starts: what comes first, what is usual, and what is expected of the rest."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any

from ...expressions import SearchSpace, parse
from ..pool import baselines_argument
from .portfolio import SIZE, greedy
from .prior import AtlasPrior
from .table import USUAL, load_atlas, shortest


@dataclasses.dataclass(frozen=True, eq=False)
class Start:
    """Where a search starts.

    Attributes:
        first: The functions to evaluate first, ReLU at the head unless others were asked for.
        usual: The functions that what is found is compared with.
        prior: The `AtlasPrior`, or None for a search from scratch.
    """

    first: tuple
    usual: tuple
    prior: AtlasPrior | None = None

    @classmethod
    def of(
        cls,
        space: SearchSpace,
        baselines: Iterable | None = None,
        from_scratch: bool = False,
        leave_out: Sequence[str] = (),
    ) -> "Start":
        """The start of a search.

        Args:
            space: What is searched: the portfolio has functions of its operators only.
            baselines: Functions that were asked for: they are the usual ones, and come first. None:
                `USUAL`, and of these only ReLU comes first, but from scratch all do.
            from_scratch: Whether to use nothing of the atlas.
            leave_out: Tasks of the atlas that are not used.

        Raises:
            ValueError: If no task of the atlas is left.
        """
        usual = USUAL if baselines is None else baselines_argument(baselines)
        if from_scratch:
            if leave_out:
                raise ValueError(
                    "A search from scratch uses no task of the atlas. Received: from_scratch=True "
                    f"and leave_out={tuple(leave_out)!r}. Give one or the other."
                )
            return cls(usual, usual)
        atlas = load_atlas(leave_out=leave_out)
        if not atlas.tasks:
            raise ValueError(
                "A search begins from one task of the atlas or more. Received: leave_out with all "
                "of them. Leave fewer out, or search with from_scratch=True (--from-scratch)."
            )
        names = {name for slot in space.operators.values() for name in slot}
        names |= {node.head for schema in space.schemas for node in schema.subexpressions()}
        allowed = [any(used <= names for used in _operators(text)) for text in atlas.functions]
        portfolio = greedy(atlas, SIZE, allowed=allowed)
        first = portfolio if baselines is None else [*usual, *portfolio]
        return cls(tuple(dict.fromkeys(first)), usual, AtlasPrior(atlas))

    @property
    def functions(self) -> tuple:
        """Those of `first`, then those of `usual`, each once."""
        return tuple(dict.fromkeys([*self.first, *self.usual]))

    @property
    def portfolio(self) -> tuple:
        """Those of `first` that nobody asked for: left out where the spectrum is invalid."""
        return tuple(function for function in self.first if function not in self.usual)

    def record(self) -> dict[str, Any]:
        """What decides a search, for JSON."""
        if self.prior is None:
            return {"baselines": list(self.usual)}
        atlas = self.prior.atlas
        return {
            "baselines": list(map(str, self.functions)),
            "first": list(map(str, self.first)),
            "atlas": {"tasks": list(atlas.tasks), "fingerprint": atlas.fingerprint},
        }


@functools.lru_cache(maxsize=1 << 13)
def _operators(text: str) -> list[set[str | float]]:
    """The operators of a function, in its long and in its short text."""
    return [
        {node.head for node in parse(each).subexpressions() if node.arguments}
        for each in {text, shortest(text)}
    ]
