"""What a search found: the best function, the table, the verdict, pictures and the report."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .._drafts import make_folder
from ..training.data import check_positive
from ..training.sequential import LOOKS
from .chooser import Chooser
from .objective import FunctionObjective, TrainingObjective
from .pool import Pool
from .results import BestActivation, SearchRow, search_rows
from .tandem import TandemPool
from .verdict import Verdict, confirm, obstacle

if TYPE_CHECKING:
    import optuna
    from matplotlib.figure import Figure

    from .loop import ActivationSearch


class Findings:
    """The part of `ActivationSearch` that reads its study and changes nothing in it.

    Attributes:
        study: The Optuna study.
        objective: What the search looks for.
        output: Folder of what is not in the study.
        pool: Its functions by number.
        chooser: What chooses among them.
        baseline_ids: Numbers of the usual functions.
        seed: Its seed.
        progress: Whether to show progress bars.
    """

    study: "optuna.Study"
    objective: "TrainingObjective | FunctionObjective"
    output: Path
    pool: Pool | TandemPool
    chooser: Chooser
    baseline_ids: tuple[int, ...]
    seed: int
    progress: Any

    @property
    def best(self) -> BestActivation | None:
        """The best function found, or None before the first evaluation that did not fail."""
        for row in self.table():
            return None if row.value is None else BestActivation(row.expression, row.value)
        return None

    def table(self) -> list[SearchRow]:
        """Every evaluation as a `SearchRow`, the best first; of equals, the earliest.

        Those that a pruner stopped come behind all that ended, since their values are of fewer
        epochs; evaluations that failed come last, whatever the scale of the values.
        """
        return search_rows(self.study, self.baseline_ids)

    def confirm(self, candidates: int = 3, looks: Sequence[int] = LOOKS) -> Verdict:
        """Find out whether the best function found is better than the usual ones.

        The best functions found and the two best usual ones are trained with fresh seeds and judged
        on the validation data; then the best of each side are compared in pairs on the test data,
        which are used only here, with more seeds until the interval of their difference excludes
        zero or the last look is reached. The intervals hold for all looks at once (see
        `keras_actfn.training.sequential`). Finished runs are kept in `output`: after an
        interruption the same call continues.

        Args:
            candidates: How many of the functions found are in the choice.
            looks: Numbers of seeds after which the difference is looked at.

        Returns:
            A `Verdict`: `print` shows both sides and the answer.

        Raises:
            ValueError: If the task has an objective, or no test data; or if no function that was
                found, or no usual one, has an evaluation that did not fail.
        """
        reason = self.cannot_confirm
        if reason is not None:
            raise ValueError(reason)
        check_positive("candidates", candidates)
        found, usual = self._ended()
        return confirm(
            self.objective.task,
            found[:candidates],
            usual[:2],
            first_seed=self.seed + 1,
            output=self.output / "confirmed",
            looks=looks,
            progress=self.progress,
        )

    @property
    def cannot_confirm(self) -> str | None:
        """Why `confirm` has nothing to say, or None."""
        if not isinstance(self.objective, TrainingObjective):
            return (
                "A search confirms what it trained itself. Received: a task with an objective. "
                "Train search.best.layer() with your own code and other seeds."
            )
        return obstacle(self.objective.task, *self._ended())

    def _ended(self):
        """The functions found and the usual ones, the best first, without failures.

        Usual ones that were not evaluated follow, those first that the surrogate expects most of.
        """
        rows = [row for row in self.table() if not row.diverged]
        found, usual = (
            [row.expression for row in rows if row.baseline is b] for b in (False, True)
        )
        evaluated = {row.candidate for row in self.table()}
        left = [number for number in self.baseline_ids if number not in evaluated]
        if found and len(usual) < 2 and left:
            usual += self.pool.names(self.chooser.expected(self.study, left))
        return found, usual

    def plot(self, folder: str | os.PathLike | None = None) -> dict[str, "Figure"]:
        """Draw progress, the map of the candidates and the best functions.

        Args:
            folder: Where to save them as PNG; None saves nothing.

        Returns:
            Matplotlib figures by name.
        """
        from ..plotting.search import search_figures

        figures = search_figures(cast("ActivationSearch", self))
        if folder is not None:
            from ..plotting import save_figure

            make_folder(folder)
            for name, figure in figures.items():
                save_figure(figure, Path(folder) / f"{name}.png")
        return figures

    def report(
        self,
        path: str | os.PathLike,
        verdict: Verdict | None = None,
        figures: "dict[str, Figure] | None" = None,
    ) -> Path:
        """Write a self-contained HTML page: table, formulas, pictures, settings.

        Args:
            path: The file.
            verdict: What `confirm` returned, or None.
            figures: What `plot` returned; None draws them.

        Returns:
            The path.
        """
        from ..plotting.search_report import write_report

        return write_report(cast("ActivationSearch", self), Path(path), verdict, figures)
