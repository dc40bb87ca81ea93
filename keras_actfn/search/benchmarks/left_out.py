"""What the atlas is worth on a task that it has not seen: each task is left out in turn.

On every task searches run that begin from the portfolio and the prior of all the other tasks, and
searches from scratch, which begin with ReLU and seven random functions. Both look results up
(`run`), among the same random nine tenths of the functions in the same trial.

The measure is the number of evaluations, start included, until a search has usual + 0.99 (best -
usual), as in `results`; and, beside it, the number until it has a function of the best hundredth. A
search that does not reach it within the budget counts as infinitely long. Over tasks the median
counts, so that one easy or one hopeless task decides nothing; its interval is a bootstrap over
tasks.

A table's best function is its luckiest, too, and on some tasks the whole gap is less than what
another seed changes (`benchmarks/atlas_noise.txt`). So a second target stands beside the first: a
function that one training does not tell from the best, of the score best - σ or more, with the
standard deviation σ between seeds (`ActBench.noise`). The bar is about the first.
"""

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..._files import write_file
from ..atlas.portfolio import SIZE, greedy
from ..atlas.prior import AtlasPrior
from ..atlas.table import Atlas
from .act_bench import ActBench
from .results import SHARE, BenchRun, count_text, median_interval, upper_quantile
from .run import run_bench

#: The kinds of search: with the atlas, and from scratch.
ATLAS, SCRATCH = "atlas", "scratch"

#: The regressors from scratch.
RIVALS = ("distance_gp", "knr", "random")

#: The part of the functions that each trial searches.
SEARCHED = 0.9

#: What the median over tasks is to reach: evaluations until the target, and until the best
#: hundredth of the functions.
BAR, BAR_TOP = 20, 15


@dataclasses.dataclass(frozen=True)
class LeftOutRow:
    """One kind of search on one task, over trials; infinite where half of them or more never end.

    Attributes:
        task: The task that was left out.
        regressor: Name of the regressor.
        begins: `"atlas"` or `"scratch"`.
        evaluations: Median number of evaluations until the target.
        low: Lower end of its 95 % interval (bootstrap over trials).
        high: Upper end.
        never: Share of the trials that did not reach the target.
        top: Median number of evaluations until a function of the best hundredth.
        tied: Median number of evaluations until a function that one training does not tell from the
            best; NaN where no function has several seeds.
        gains: Mean share of the gap that is closed after 8, 10, 20 and 50 evaluations.
    """

    task: str
    regressor: str
    begins: str
    evaluations: float
    low: float
    high: float
    never: float
    top: float
    tied: float
    gains: tuple[float, ...]


#: After how many evaluations the closed share of the gap is told.
MARKS = (8, 10, 20, 50)


@dataclasses.dataclass(frozen=True, eq=False)
class LeftOut:
    """What `run_left_out` found.

    Attributes:
        runs: A `BenchRun` for each task and kind of search, by (task, `"atlas"` or `"scratch"`).
        portfolios: The functions that the searches of each task began with.
        trials: Searches of each.
        budget: Evaluations of each.
    """

    runs: dict[tuple[str, str], BenchRun]
    portfolios: dict[str, list[str]]
    trials: int
    budget: int

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(self.portfolios)

    def table(self) -> list[LeftOutRow]:
        """A `LeftOutRow` for each task and kind of search, in that order."""
        return [
            self._row(task, begins, *key)
            for task in self.tasks
            for begins in (ATLAS, SCRATCH)
            for key in self.runs[task, begins].trials
        ]

    def kinds(self) -> list[tuple[str, str]]:
        """The kinds of search, (regressor, beginning), with the atlas first."""
        return list(dict.fromkeys((row.regressor, row.begins) for row in self.table()))

    def over_tasks(self, regressor: str, begins: str) -> tuple[float, float, float, float, float]:
        """Median over tasks of the evaluations until the target, its interval, and those of others.

        The others are the best hundredth, and a tie with the best; the latter over the tasks where
        the noise is known.

        Args:
            regressor: Name of the regressor.
            begins: `"atlas"` or `"scratch"`.
        """
        rows = [r for r in self.table() if (r.regressor, r.begins) == (regressor, begins)]
        counts = np.array([row.evaluations for row in rows])
        low, high = median_interval(counts)
        tops = np.array([row.top for row in rows])
        ties = np.array([row.tied for row in rows if not np.isnan(row.tied)])
        tied = float(upper_quantile(ties, 2)) if len(ties) else np.nan
        return float(upper_quantile(counts, 2)), low, high, float(upper_quantile(tops, 2)), tied

    def separated(self, regressor: str, rival: str) -> list[str]:
        """Tasks where the interval with the atlas lies below that of a rival from scratch."""
        rows = {(r.task, r.regressor, r.begins): r for r in self.table()}
        return [
            task
            for task in self.tasks
            if rows[task, regressor, ATLAS].high < rows[task, rival, SCRATCH].low
        ]

    def gain_curve(self, task: str, begins: str, regressor: str, features: str) -> np.ndarray:
        """Share of the gap closed after each evaluation, (trials, budget)."""
        run = self.runs[task, begins]
        score = run.bench.score
        gap = np.nanmax(score) - score[run.usual]
        best = run.best_so_far(regressor, features)
        return np.maximum((best - score[run.usual]) / gap, -1.0)

    def text(self) -> str:
        """The table, and what it says."""
        lines = [
            f"{len(self.tasks)} tasks, each left out in turn; {self.trials} trials of at most "
            f"{self.budget} evaluations.",
            f"Evaluations until {SHARE:.0%} of the gap between the best usual function and the "
            "best, start included; 'top 1 %': until",
            "a function of the best hundredth; 'tied': until a function within one standard "
            "deviation between seeds of the best",
            "(? where that is not known); 'gap closed': mean share of the gap that is closed after "
            f"{', '.join(map(str, MARKS))} evaluations.",
            "",
            f"{'task':<16}{'regressor':<13}{'begins from':<13}{'median':>7}{'95 % interval':>15}"
            f"{'never':>7}{'top 1 %':>9}{'tied':>6}  gap closed",
        ]
        for row in self.table():
            limits = f"{count_text(row.low)}-{count_text(row.high)}"
            lines.append(
                f"{row.task:<16}{row.regressor:<13}{row.begins:<13}"
                f"{count_text(row.evaluations):>7}{limits:>15}{row.never:>7.0%}"
                f"{count_text(row.top):>9}{_tied_text(row.tied):>6}  "
                f"{'  '.join(f'{gain:5.2f}' for gain in row.gains)}"
            )
        lines += ["", "Over tasks (median; interval: bootstrap over tasks):"]
        for regressor, begins in self.kinds():
            found, low, high, top, tied = self.over_tasks(regressor, begins)
            limits = f"{count_text(low)}-{count_text(high)}"
            lines.append(
                f"{'':<16}{regressor:<13}{begins:<13}{count_text(found):>7}{limits:>15}"
                f"{'':>7}{count_text(top):>9}{_tied_text(tied):>6}"
            )
        lines += ["", *self.verdict(), "", "Where the searches with the atlas began:"]
        lines += [f"{task:<16}{', '.join(found)}" for task, found in self.portfolios.items()]
        return "\n".join(lines) + "\n"

    def verdict(self) -> list[str]:
        """What the table says of the bar, a line for each of its parts."""
        regressor = next(name for name, begins in self.kinds() if begins == ATLAS)
        found, _, _, top, _ = self.over_tasks(regressor, ATLAS)
        lines = [
            f"Bar: {count_text(found)} evaluations in the median over tasks, {BAR} or fewer: "
            f"{'reached' if found <= BAR else 'not reached'}.",
            f"Bar: top 1 % after {count_text(top)}, {BAR_TOP} or fewer: "
            f"{'reached' if top <= BAR_TOP else 'not reached'}.",
        ]
        rivals = [name for name, begins in self.kinds() if begins == SCRATCH]
        for rival in rivals:
            apart = self.separated(regressor, rival)
            lines.append(
                f"{regressor} with the atlas against {rival} from scratch: intervals apart on "
                f"{len(apart)} of {len(self.tasks)} tasks"
                + (f" ({', '.join(apart)})." if apart else ".")
            )
        return lines

    def to_dict(self) -> dict:
        """Everything for JSON; infinite numbers are null."""

        def number(value):
            return value if np.isfinite(value) else None

        rows = []
        for row in self.table():
            entry = dataclasses.asdict(row)
            rows.append({k: number(v) if isinstance(v, float) else v for k, v in entry.items()})
        over = {}
        for kind in self.kinds():
            names = ("evaluations", "low", "high", "top", "tied")
            found = self.over_tasks(*kind)
            over["/".join(kind)] = dict(zip(names, map(number, found), strict=True))
        return {
            "tasks": list(self.tasks),
            "trials": self.trials,
            "budget": self.budget,
            "rows": rows,
            "over_tasks": over,
            "verdict": self.verdict(),
            "portfolios": self.portfolios,
        }

    def write(self, folder: str | os.PathLike) -> list[Path]:
        """Write `left_out.json` and `left_out.txt`, each all or nothing.

        Returns:
            The paths.
        """
        contents = {
            "left_out.json": json.dumps(self.to_dict(), indent=1) + "\n",
            "left_out.txt": self.text(),
        }
        for name, text in contents.items():
            write_file(Path(folder) / name, text)
        return [Path(folder) / name for name in contents]

    def _row(self, task, begins, regressor, features):
        run = self.runs[task, begins]
        counts = run.evaluations(regressor, features)
        low, high = median_interval(counts)
        threshold = np.nanquantile(run.bench.score[run.bench.valid], 0.99)
        reached = run.best_so_far(regressor, features) >= threshold
        tops = np.where(reached.any(1), reached.argmax(1) + 1.0, np.inf)
        noise = run.bench.noise
        near = run.best_so_far(regressor, features) >= np.nanmax(run.bench.score) - noise
        ties = np.where(near.any(1), near.argmax(1) + 1.0, np.inf)
        gains = self.gain_curve(task, begins, regressor, features).mean(0)
        return LeftOutRow(
            task=task,
            regressor=regressor,
            begins=begins,
            evaluations=float(upper_quantile(counts, 2)),
            low=low,
            high=high,
            never=float(np.isinf(counts).mean()),
            top=float(upper_quantile(tops, 2)),
            tied=np.nan if np.isnan(noise) else float(upper_quantile(ties, 2)),
            gains=tuple(float(gains[min(mark, self.budget) - 1]) for mark in MARKS),
        )


def _tied_text(count):
    return "?" if np.isnan(count) else count_text(count)


def run_left_out(
    benches: Sequence[ActBench],
    folder: str | os.PathLike | None = None,
    *,
    regressors: Sequence[str] = ("distance_gp",),
    rivals: Sequence[str] = RIVALS,
    features: str = "both",
    trials: int = 100,
    budget: int = 100,
    seed: int = 0,
    embedding: str = "umap",
    workers: int | None = None,
    progress: bool = True,
) -> LeftOut:
    """Run searches on each task with the atlas of the others, and from scratch.

    Args:
        benches: Two benchmarks or more.
        folder: Where trials are kept as they arrive, a folder a task; what is there is not run
            again. None keeps nothing.
        regressors: Those that begin from the atlas; the first is judged.
        rivals: Those from scratch.
        features: A name in `FEATURE_SETS`.
        trials: Searches of each.
        budget: Evaluations of each search.
        seed: Of starts, embeddings and regressors.
        embedding: As for `run_bench`.
        workers: Processes; None for one a core.
        progress: Whether to show bars.

    Returns:
        A `LeftOut`.

    Raises:
        ValueError: If there is one benchmark only, or as `run_bench`.
    """
    if len(benches) < 2:
        raise ValueError(
            "A task is left out of two benchmarks or more. Received: "
            f"{', '.join(bench.name for bench in benches) or 'none'}."
        )
    atlas = Atlas.of(benches)
    runs, portfolios = {}, {}
    options: dict[str, Any] = dict(
        trials=trials, budget=budget, seed=seed, embedding=embedding, workers=workers
    )
    for bench in benches:
        others = atlas.without([bench.name])
        held = set(bench.functions)
        portfolios[bench.name] = greedy(others, SIZE, [text in held for text in others.functions])
        learned: dict[str, Any] = {"prior": AtlasPrior(others), "start": portfolios[bench.name]}
        for begins, names, more in ((ATLAS, regressors, learned), (SCRATCH, rivals, {})):
            place = None if folder is None else Path(folder) / f"{bench.name}-{begins}"
            runs[bench.name, begins] = run_bench(
                bench,
                place,
                regressors=names,
                features=(features,),
                share=SEARCHED,
                progress=progress,
                **options,
                **more,
            )
    return LeftOut(runs, portfolios, trials, budget)
