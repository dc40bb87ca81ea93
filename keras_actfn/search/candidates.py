"""The functions that a search can choose among: those that it has probed, and those that join."""

import math
from typing import TYPE_CHECKING, Any

from .._progress import Progress
from .chooser import Chooser
from .feature_store import FeatureStore
from .joined import group_of, read_groups, write_group
from .moves import LocalMoves
from .pool import Pool
from .probe import Probe
from .probing import probe_many
from .sampler import evaluations_of
from .tandem import TandemPool

if TYPE_CHECKING:
    import optuna

#: Key of the study's user attribute with the number of functions that `probe` was asked for.
PROBES = "probes"


class Candidates:
    """Makes functions of a pool candidates, by their spectra.

    Args:
        study: The search's study.
        storage: Where it is, for messages.
        pool: A `Pool` or `TandemPool`; the functions that have joined the study join it.
        probe: How spectra are computed.
        store: Where they are kept.
        chooser: Who chooses by them.
        first: Numbers of the functions that are probed whatever is drawn.
        moves: How many functions `join_moves` adds.
        seed: Of the draw.
        progress: Whether to show progress bars.
    """

    def __init__(
        self,
        study: "optuna.Study",
        storage: Any,
        pool: Pool | TandemPool,
        probe: Probe,
        store: FeatureStore,
        chooser: Chooser,
        first: tuple[int, ...],
        moves: int = 0,
        seed: int = 0,
        progress: Any = False,
    ) -> None:
        self.pool = pool
        self._study = study
        self._storage = storage
        self._probe, self._store, self._chooser = probe, store, chooser
        self._first = first
        self._seed = seed
        self._progress = progress
        self._moves = moves
        self._local = LocalMoves(pool, seed) if moves and isinstance(pool, Pool) else None
        self._groups: dict[str, list] = {}
        self._seen: set[int] = set()
        self.read_joined()

    def asked(self) -> int:
        """How many functions `probe` was asked for last, in this process or another."""
        return self._study.user_attrs.get(PROBES, -1)

    def unprobed(self) -> list[int]:
        """Numbers of the functions that were to be probed and are not yet."""
        present = self._store.ids()
        return [i for i in self._wanted(max(self.asked(), 0)) if i not in present]

    def probe(self, n: int, workers: int = 1, until: float = math.inf) -> dict[str, int]:
        """See `ActivationSearch.probe`. Functions that joined and have no spectrum are included."""
        if n != self.asked():  # kept first: after a kill it is known what was asked for
            self._study.set_user_attr(PROBES, n)
        wanted = self._wanted(n)
        if n and len(wanted) == len(self._first):
            raise ValueError(
                "A search needs functions with finite outputs. The space has none: use another."
            )
        self.read_joined()
        joined = [number for group in self._groups.values() for number, _ in group]
        self._compute([*wanted, *joined], workers, until, self._progress)
        return self._store.counts()

    def read_joined(self) -> None:
        """Let the functions join that any process has added to the study.

        Raises:
            DamagedFile: If the study keeps them otherwise than they were written.
        """
        if not isinstance(self.pool, Pool):
            return
        groups = read_groups(self._study, self._storage)
        for name in groups.keys() - self._groups.keys():
            for number, function in groups[name]:
                self.pool.join(number, function)
        self._groups = groups

    def join_moves(self, until: float = math.inf) -> None:
        """Add functions around the best evaluated ones, once for each state of the study.

        Nothing joins before all functions that come first are evaluated or being so. Spectra that
        other processes have computed since are taken note of.

        Args:
            until: Time of `time.monotonic` from which on no further spectrum is waited for.
        """
        if self._local is None:
            return
        known, values, taken = evaluations_of(self._study)
        self.read_joined()  # after the trials: what they evaluate has joined before
        group = group_of(known)
        if group not in self._groups and taken.issuperset(self._chooser.first):
            joined = {number for moves in self._groups.values() for number, _ in moves}
            present = self._store.ids() | joined | taken
            moves = self._local.propose(self._moves, known, values, present)
            write_group(self._study, group, moves)
            self.read_joined()
            self._compute([number for number, _ in moves], 1, until, progress=False)
        if self._store.ids() != self._seen:
            self._refresh()

    def _wanted(self, n):
        return [*self._first, *self.pool.draw(n, self._seed, without=self._first)]

    def _compute(self, wanted, workers, until, progress):
        present = self._store.ids()
        missing = [number for number in wanted if number not in present]
        if missing and not present:
            self._probe.check()
        if missing:
            with Progress(len(missing), progress, title="Fisher spectra") as bar:
                probe_many(
                    self._probe,
                    self.pool,
                    missing,
                    self._store,
                    workers=workers,
                    progress=lambda *_: bar.advance(),
                    until=until,
                )
            self._refresh()

    def _refresh(self):
        self._seen = self._store.ids()
        self._chooser.refresh()
