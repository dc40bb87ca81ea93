"""`ActivationSearch`: find a better activation function for a model and its data.

A search has three steps (Bingham and Miikkulainen 2023, sections 4 to 6 and appendix E):

1. the unique functions of a space, with their outputs on samples of N(0, 1);
2. Fisher spectra of the model at initialisation with some of them, drawn at random; functions
   with an invalid spectrum fail in training and are left out;
3. evaluations, beginning with a portfolio learned from other tasks (`atlas`): each time, a
   regressor predicts what every candidate would reach from those evaluated, and the best
   prediction is evaluated.

Everything is on disk at once, spectra in a folder and evaluations in an Optuna study: a
search that was killed goes on where it was, and several processes can work on one.
"""

import math
import os
import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .._drafts import make_folder
from .._progress import Progress
from ..expressions import Expression, SearchSpace
from ..models.seeds import seeds_drawn_from
from ..training import Task
from ..training.fingerprints import model_fingerprint
from . import claims, disk
from .atlas.start import Start
from .atlas.table import USUAL
from .candidates import Candidates
from .chooser import Chooser
from .evaluating import evaluate_next
from .feature_store import FeatureStore
from .findings import Findings
from .objective import objective_of
from .pool import Pool, unique_of
from .probe import Probe
from .pruning import get_pruner
from .record import about, check_limits, check_moves, study_name
from .results import BestActivation
from .storage import file_of, folder_of, on_disk, open_storage, open_study
from .tandem import Tandem, TandemBuilder, TandemPool
from .trials import check_trials, readable

#: The usual functions (section 6 of the paper, ReLU first): what is found is compared with them,
#: and a search from scratch evaluates them before anything else.
BASELINES = USUAL

#: How many functions are probed where nobody asked for a number.
DEFAULT_PROBES = 200


class ActivationSearch(Findings):
    """A search for the activation function that a model should use on its data.

    Args:
        task: A `keras_actfn.training.Task`: the model, its data and how functions are judged, on
            its validation data; or an objective, with inputs to compute spectra on as `train`.
        space: A `keras_actfn.expressions.SearchSpace`, or its `UniqueFunctions`.
        storage: A file `….db` (SQLite) or `….log` (journal), an Optuna URL or storage; None
            for a file in `runs/search`.
        study: Name of the Optuna study. None: of the model, the data, the space, and a key of all
            that decides a value, so that searches that differ in anything do not meet.
        output: Folder of what is not in the storage: spectra, embedding, pictures. None: next
            to the storage's file. Workers of one study need the same folder.
        probe_examples: Number of examples of `train` a spectrum is computed on: a balanced draw of
            arrays, else those of the first batches.
        probes: How many functions `run` probes first, at least. None: as many as `probe` was asked
            for in this study, or 200 if it was not called.
        mode: How spectra are computed, a mode of `keras_actfn.fisher.fisher_spectrum`. None:
            `"sampled"` for a model whose output has positions, (batch, positions, classes), since
            exact ones would take minutes a function there; `"exact"` for all others; and `"none"`
            for a model that has no Fisher spectrum (a loss that is no likelihood, several outputs),
            with a warning: functions are then predicted from their outputs alone.
        regressor: A name of `keras_actfn.search.REGRESSORS`, or a scikit-learn regressor.
        embedding: A name of `keras_actfn.search.EMBEDDINGS`.
        baselines: The usual functions, with which what is found is compared; they are evaluated
            first, before the atlas's portfolio. None: those of `BASELINES`, of which only ReLU is
            evaluated first; the others, too, from scratch.
        from_scratch: Whether to learn nothing from the atlas, the package's own tasks with known
            results: neither what to evaluate first nor what to expect of other functions.
        leave_out: Names of tasks of the atlas (`bench_names()`) that are not used.
        groups: Number of groups of places in the model that get a function each. With two or
            more, the task's `build_model` takes as many activations, and a candidate is a tuple of
            functions.
        moves: How many functions join the candidates before each evaluation that are one change
            away from the best ones, see `keras_actfn.expressions.neighbors`; of the space or not.
        seed: Seed of initial weights, of which functions are probed, of the embedding and of
            the regressor.
        pruner: What stops a training early that is behind others: a name of
            `keras_actfn.search.PRUNERS`, an Optuna pruner, or None. With one, an objective is
            called with `report` as well, a function of a step and the value after it.
        progress: Whether to show progress bars on standard error.

    Raises:
        ValueError: If an argument is not what it should be, or the study searches another
            space, model or data, or is of an incompatible version.
        ImportError: If a library is missing.

    Example:
    ```python
    from keras_actfn import applications, datasets, expressions, search, training

    task = training.Task(
        lambda activation: applications.LeNet5(activation=activation),
        datasets.digits(image_size=28),
        epochs=2,
    )
    found = search.ActivationSearch(task, expressions.three_node())
    found.run(evaluations=20)
    print(found.best.expression, found.best.value)
    layer = found.best.layer()
    ```
    """

    def __init__(
        self,
        task: Task,
        space: Any,
        *,
        storage: Any = None,
        study: Any = None,
        output: str | os.PathLike | None = None,
        probe_examples: int = 128,
        probes: Any = None,
        mode: str | None = None,
        regressor: Any = "distance_gp",
        embedding: str = "union",
        baselines: Iterable | None = None,
        from_scratch: bool = False,
        leave_out: Sequence[str] = (),
        groups: int = 1,
        moves: int = 0,
        seed: int = 0,
        pruner: Any = None,
        progress: Any = False,
    ):
        if not isinstance(task, Task):
            raise ValueError(
                f"ActivationSearch takes a keras_actfn.training.Task. Received: "
                f"{type(task).__name__}. Write Task(build_model, train, …)."
            )
        check_moves(moves, groups)
        if groups != 1:
            task = task.with_builder(TandemBuilder(task.build_model, groups))
        self.objective = objective_of(task, seed)
        self.seed = seed
        self.probes = probes
        self.progress = progress
        with seeds_drawn_from(seed):
            model = task.build_model("relu")
        of_space = space if isinstance(space, SearchSpace) else unique_of(space).space
        start = Start.of(of_space, baselines, from_scratch, leave_out)
        self.baselines = start.usual
        record = {
            "space": of_space.hash[:20],
            **start.record(),
            "model": model_fingerprint(model)[:20],
            "seed": seed,
            "groups": groups,
            "pruner": pruner if isinstance(pruner, str | None) else type(pruner).__name__,
            **self.objective.settings(model),
        }
        stops = get_pruner(pruner, record.get("epochs"))
        self._probe = Probe.of(self.objective, model, probe_examples, seed, mode)
        self.about = about(model, self.objective, of_space, self._probe.mode)
        key = self._probe.key(record)
        study = study_name(self.about, {**record, **key}) if study is None else study
        #: The storage as it was given, or the file that was chosen.
        self.storage = file_of(study) if storage is None else storage
        self.output = Path(output) if output is not None else folder_of(self.storage, study)
        with disk.named(self._place()), readable(self.storage):
            self.study = open_study(
                open_storage(self.storage),
                study,
                record,
                pruner=stops,
                about=self.about,
                mode=self.objective.criterion.mode,
                place=self.storage,
            )
        with disk.named(self.output):
            make_folder(self.output)
            unique = unique_of(space, path=self.output / "functions")
            self.pool: Pool | TandemPool = Pool(unique, extra=start.functions)
            if groups != 1:
                self.pool = TandemPool(self.pool, groups)
                #: Numbers of the usual functions, and of all that are probed whatever is drawn.
            self.baseline_ids, self.start_ids, first, portfolio = (
                tuple(dict.fromkeys(map(self.pool.find, functions)))
                for functions in (start.usual, start.functions, start.first, start.portfolio)
            )
            self.store = FeatureStore(self.output / "features", key)
        self.chooser = Chooser(
            self.pool,
            self.store,
            self.output,
            first,
            regressor,
            embedding,
            seed,
            start.prior,
            portfolio,
        )
        with readable(self.storage):
            self.candidates = Candidates(
                self.study,
                self.storage,
                self.pool,
                self._probe,
                self.store,
                self.chooser,
                self.start_ids,
                moves,
                seed,
                progress,
            )
            check_trials(self.study, self.storage, self.pool)
        self.study.sampler = self.chooser.sampler()

    def _place(self):
        """A place on the disk that evaluations are written to."""
        return on_disk(self.storage) or self.output

    def probe(self, n: int, workers: int = 1, until: float = math.inf) -> dict[str, int]:
        """Compute the Fisher spectra of functions at initialisation, so that they can be found.

        Functions are drawn from all valid ones of the space, always in the same order; those
        probed before are not probed again. The baselines come first.

        Args:
            n: How many functions of the space are probed in the end.
            workers: Processes (joblib's, see `probe_many`).
            until: Time of `time.monotonic` from which on no further spectrum is waited for; the
                rest is computed by a later call.

        Returns:
            Counts of probed, valid and invalid functions.

        Raises:
            ValueError: If the space has no function with finite outputs, or `build_model`
                gives the same network for different activations.
        """
        with disk.named(self.output):
            return self.candidates.probe(n, workers, until)

    def unprobed(self) -> list[int]:
        """Numbers of the functions that were to be probed and are not yet."""
        return self.candidates.unprobed()

    def suggest(self) -> Expression | Tandem:
        """The expression that would be evaluated next; nothing is changed.

        Raises:
            ValueError: If no candidate is left.
        """
        return self.pool.expression(self.chooser.choose_for(self.study))

    def run(
        self, evaluations: int | None = None, minutes: float | None = None, workers: int = 1
    ) -> BestActivation | None:
        """Evaluate functions until the study has this many evaluations, or the time is over.

        Spectra that were asked for and are not there yet are computed first. Evaluations of other
        processes on the same study count. Interrupted or killed, a later call goes on; a function
        whose evaluation was cut off is evaluated again. Once every function with a valid spectrum
        is evaluated the search ends, with a warning if it was asked for more.

        Args:
            evaluations: Number of evaluations that the study has in the end, baselines included;
                None for as many as the time allows.
            minutes: Minutes of this call after which no evaluation is begun, but for a study's
                first; None for no limit. Spectra take half of them at most; the rest of what was
                asked for is computed by a later call.
            workers: Processes for the spectra that are not there yet.

        Returns:
            `best`.

        Raises:
            ValueError: If no function has a valid spectrum, or neither limit is given.
        """
        check_limits(evaluations, minutes)
        start, limit = time.monotonic(), math.inf if minutes is None else 60 * minutes
        asked = max(self.candidates.asked(), -1 if self.probes is None else self.probes)
        self.probe(asked if asked >= 0 else DEFAULT_PROBES, workers, start + limit / 2)
        with (
            disk.named(self._place()),
            Progress(evaluations, self.progress, title="evaluations") as bar,
        ):
            while True:
                claims.release_expired(self.study)
                finished = len(self.table())
                bar.show(finished, self._best_text())
                late = finished > 0 and time.monotonic() >= start + limit
                if late or (evaluations is not None and finished >= evaluations):
                    break
                if evaluations is not None and self._in_use() >= evaluations:
                    time.sleep(0.5)  # others are evaluating the last ones
                    continue
                self.candidates.join_moves(start + limit)
                if not self.chooser.left(self.study):
                    if self._in_use() > finished:
                        time.sleep(0.5)  # what others find may bring functions around it
                        continue
                    if not finished:
                        raise ValueError(self._nothing_left(finished, evaluations))
                    if evaluations is not None:
                        warnings.warn(self._nothing_left(finished, evaluations), stacklevel=2)
                    break
                evaluate_next(self.study, self.pool, self.objective, evaluations)
        return self.best

    def _in_use(self):
        return len(claims.in_use(self.study.get_trials(deepcopy=False)))

    def _best_text(self):
        best = self.best
        return "" if best is None else f"best: {best.expression}  {best.value:.4f}"

    def _nothing_left(self, finished, evaluations):
        counts = self.store.counts()
        return (
            f"A search evaluates functions with a valid spectrum. All of them are evaluated: "
            f"{finished} of {evaluations} evaluations, {counts['probed']} functions probed, "
            f"{counts['valid']} valid. Probe more with probe(n) (--probe), search a larger space "
            f"(--space), or ask for fewer evaluations."
        )
