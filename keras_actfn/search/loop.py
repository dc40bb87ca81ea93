"""`ActivationSearch`: find a better activation function for a model and its data.

A search has three steps (Bingham and Miikkulainen 2023, sections 4 to 6 and appendix E):

1. the unique functions of a space, with their outputs on samples of N(0, 1);
2. Fisher spectra of the model at initialisation with some of them, drawn at random; functions
   with an invalid spectrum fail in training and are left out;
3. evaluations, beginning with the usual functions: each time, a regressor predicts what
   every candidate would reach from those evaluated, and the best prediction is evaluated.

Everything is on disk at once, spectra in a folder and evaluations in an Optuna study: a
search that was killed goes on where it was, and several processes can work on one.
"""

import time
from pathlib import Path

from .._progress import Progress
from ..models.seeds import seeds_drawn_from
from ..training.fingerprints import data_fingerprint, model_fingerprint
from . import claims
from .candidates import Candidates
from .evaluating import evaluate_next, get_pruner
from .feature_store import FeatureStore
from .objective import TrainingObjective, images_to_probe, objective_of
from .pool import Pool
from .probing import check_builder, probe_many
from .results import BestActivation, SearchRow
from .storage import folder_of, open_storage, open_study
from .tandem import TandemBuilder, TandemPool

#: Evaluated before anything else, in this order (section 6 of the paper, ReLU first).
BASELINES = ("relu", "elu", "selu", "sigmoid", "softplus", "softsign", "swish", "tanh")


class ActivationSearch:
    """A search for the activation function that a model should use on its data.

    Args:
        build_model: Function of an activation (`keras_actfn.activation` takes it) that returns
            a new model; uncompiled and ending in a softmax if it is to be trained here.
        objective_or_data: The data to train on, a `keras_actfn.datasets.Dataset` or
            `((x_train, y_train), (x_test, y_test))`; or a function from an activation to the
            number to maximise, which then trains and measures by itself.
        space: A `keras_actfn.expressions.SearchSpace`, or its `UniqueFunctions`.
        storage: A file `….db` (SQLite) or `….log` (journal), an Optuna URL or storage; None
            for a file in `runs/search`.
        study: Name of the Optuna study.
        output: Folder of what is not in the storage: spectra, embedding, pictures. None: next
            to the storage's file. Workers of one study need the same folder.
        probe_data: Images to compute spectra on, if an objective is given; else the first
            `probe_images` of a balanced draw from the training images.
        probe_images: Number of images a spectrum is computed on.
        probes: How many functions `run` probes first if `probe` was not called.
        regressor: A name of `keras_actfn.search.REGRESSORS`, or a scikit-learn regressor.
        embedding: A name of `keras_actfn.search.EMBEDDINGS`.
        baselines: Functions to evaluate first.
        groups: Number of groups of places in the model that get a function each. With two or
            more, `build_model` takes so many activations, and a candidate is a tuple of functions.
        seed: Seed of initial weights, of which functions are probed, of the embedding and of
            the regressor.
        failure: The value of a failed evaluation where an objective is given.
        pruner: What stops a training early that is behind others: a name of
            `keras_actfn.search.PRUNERS`, an Optuna pruner, or None. With one, an objective is
            called with `report` as well, a function of a step and the value after it.
        progress: Whether to show progress bars on standard error.
        **training: `epochs`, `batch_size`, `recipe`, `subset`, `validation` and `metric` of
            `TrainingObjective`, if data is given.

    Raises:
        ValueError: If an argument is not what it should be, or the study searches another
            space, model or data, or is of an incompatible version.
        ImportError: If a library is missing.

    Example:
    ```python
    from keras_actfn import applications, datasets, expressions, search

    found = search.ActivationSearch(
        lambda activation: applications.LeNet5(activation=activation),
        datasets.digits(image_size=28),
        expressions.three_node(),
        epochs=2,
    )
    found.run(evaluations=20)
    print(found.best.expression, found.best.value)
    layer = found.best.layer()
    ```
    """

    def __init__(
        self,
        build_model,
        objective_or_data,
        space,
        *,
        storage=None,
        study="activation-search",
        output=None,
        probe_data=None,
        probe_images=128,
        probes=200,
        regressor="knr",
        embedding="union",
        baselines=BASELINES,
        groups=1,
        seed=0,
        failure=0.0,
        pruner=None,
        progress=False,
        **training,
    ):
        if not callable(build_model):
            raise ValueError(
                f"build_model is a function of an activation. Received: {build_model!r}."
            )
        if groups != 1:
            build_model = TandemBuilder(build_model, groups)
        self.build_model = build_model
        self.objective = objective_of(build_model, objective_or_data, seed, failure, training)
        self.seed = seed
        self.probes = probes
        self.baselines = tuple(baselines)
        self.progress = progress
        if storage is None:
            storage = Path("runs/search") / f"{study}.db"
        self.output = Path(output) if output is not None else folder_of(storage, study)
        self.output.mkdir(parents=True, exist_ok=True)
        unique = space
        if hasattr(space, "unique"):
            unique = space.unique(path=self.output / "functions")
        self.pool = Pool(unique, extra=self.baselines)
        if groups != 1:
            self.pool = TandemPool(self.pool, groups)
        self.baseline_ids = tuple(dict.fromkeys(self.pool.find(b) for b in self.baselines))
        self._probe_x, self._probe_y = images_to_probe(
            self.objective, probe_data, probe_images, seed
        )
        # Spectra are those of the network that is trained: as the recipe starts it.
        trained = isinstance(self.objective, TrainingObjective)
        self._autoinit = trained and self.objective.setup.recipe.autoinit
        with seeds_drawn_from(seed):
            model = model_fingerprint(build_model("relu"))[:20]
        record = {
            "space": unique.space.hash[:20],
            "baselines": list(self.baselines),
            "model": model,
            "seed": seed,
            "groups": groups,
            "pruner": pruner if isinstance(pruner, str | None) else type(pruner).__name__,
            **self.objective.settings(),
        }
        stops = get_pruner(pruner, record.get("epochs"))
        probed_with = {
            "space": record["space"],
            "baselines": record["baselines"],
            "model": model,
            "seed": seed,
            "batch": data_fingerprint(self._probe_x)[:20],
            "groups": groups,
            "mode": "exact",
            "autoinit": self._autoinit,
        }
        self.store = FeatureStore(self.output / "features", probed_with)
        self.candidates = Candidates(
            self.pool, self.store, self.output, self.baseline_ids, regressor, embedding, seed
        )
        self.study = open_study(
            open_storage(storage), study, record, self.candidates.sampler(), stops
        )

    def probe(self, n, workers=1):
        """Compute the Fisher spectra of functions at initialisation, so that they can be found.

        Functions are drawn from all valid ones of the space, always in the same order; those
        probed before are not probed again. The baselines come first.

        Args:
            n: How many functions of the space are probed in the end.
            workers: Processes (joblib's, see `probe_many`).

        Returns:
            Counts of probed, valid and invalid functions.

        Raises:
            ValueError: If the space has no function with finite outputs, or `build_model`
                gives the same network for different activations.
        """
        drawn = self.pool.draw(n, self.seed, without=self.baseline_ids)
        if n and not drawn:
            raise ValueError(
                "A search needs functions with finite outputs. The space has none: use another."
            )
        wanted = [*self.baseline_ids, *drawn]
        present = self.store.ids()
        missing = [i for i in wanted if i not in present]
        if missing and not present:
            check_builder(
                self.build_model,
                self._probe_x,
                self._probe_y,
                seed=self.seed,
                autoinit=self._autoinit,
            )
        if missing:
            with Progress(len(missing), self.progress, title="Fisher spectra") as bar:
                probe_many(
                    self.build_model,
                    self.pool,
                    missing,
                    self._probe_x,
                    self._probe_y,
                    self.store,
                    seed=self.seed,
                    autoinit=self._autoinit,
                    workers=workers,
                    progress=lambda *_: bar.advance(),
                )
            self.candidates.refresh()
        return self.store.counts()

    def suggest(self):
        """The expression that would be evaluated next; nothing is changed.

        Raises:
            ValueError: If no candidate is left.
        """
        return self.pool.expression(self.candidates.choose_for(self.study))

    def run(self, evaluations, workers=1):
        """Evaluate functions until the study has so many evaluations.

        Evaluations of other processes on the same study count. Interrupted or killed, a later
        call goes on; a function whose evaluation was cut off is evaluated again.

        Args:
            evaluations: Number of evaluations that the study has in the end, baselines included.
            workers: Processes for the spectra, where `probe` was not called.

        Returns:
            `best`.

        Raises:
            ValueError: If there is nothing to evaluate.
        """
        if evaluations < 1:
            raise ValueError(f"evaluations is a positive number. Received: {evaluations}.")
        if not set(self.baseline_ids) <= self.store.ids():
            self.probe(self.probes, workers)
        with Progress(evaluations, self.progress, title="evaluations") as bar:
            while True:
                claims.release_expired(self.study)
                finished = len(self._finished())
                bar.show(finished, self._best_text())
                if finished >= evaluations:
                    break
                if len(claims.in_use(self.study.get_trials(deepcopy=False))) >= evaluations:
                    time.sleep(0.5)  # others are evaluating the last ones
                    continue
                if not self.candidates.left(self.study):
                    raise ValueError(self._nothing_left(finished, evaluations))
                evaluate_next(self.study, self.pool, self.objective, evaluations)
        return self.best

    def _finished(self):
        trials = self.study.get_trials(deepcopy=False, states=claims.evaluated())
        return [trial for trial in trials if claims.CANDIDATE in trial.params]

    def _best_text(self):
        rows = self.table()
        return f"best: {rows[0].expression}  {rows[0].value:.4f}" if rows else ""

    def _nothing_left(self, finished, evaluations):
        counts = self.store.counts()
        return (
            f"A search evaluates functions with a valid spectrum. All of them are evaluated: "
            f"{finished} of {evaluations} evaluations, {counts['probed']} functions probed, "
            f"{counts['valid']} valid. Probe more with probe(n)."
        )

    @property
    def best(self):
        """The best function found, a `BestActivation`, or None before the first evaluation."""
        rows = self.table()
        return BestActivation(rows[0].expression, rows[0].value) if rows else None

    def table(self):
        """Every evaluation as a `SearchRow`, the best first; of equals, the earliest.

        Those that a pruner stopped come last: their values are of fewer epochs.
        """
        rows = [
            SearchRow(
                number=trial.number,
                candidate=trial.params[claims.CANDIDATE],
                expression=trial.user_attrs["expression"],
                value=trial.value,
                diverged=bool(trial.user_attrs.get("diverged", False)),
                baseline=trial.params[claims.CANDIDATE] in self.baseline_ids,
                seconds=trial.user_attrs.get("seconds"),
                pruned=trial.state.name == "PRUNED",
            )
            for trial in self._finished()
        ]
        return sorted(rows, key=lambda row: (row.pruned, -row.value, row.number))

    def retrain(self, seeds=3, top=1):
        """Train the best functions and the best baseline anew with several seeds, and test them.

        Only here test images are used. Finished runs are kept in `output`.

        Args:
            seeds: The seeds, or their number n: then n seeds that follow the search's own, which
                chose the functions.
            top: How many of the best functions besides the best baseline.

        Returns:
            A `keras_actfn.training.Comparison`; functions are compared with the best baseline.
        """
        if not isinstance(self.objective, TrainingObjective):
            raise ValueError(
                "The search trains again only what it trained itself. It was given an objective: "
                "train search.best.layer() with your own code."
            )
        rows = self.table()
        if not rows:
            raise ValueError("There is nothing to train again: no function was evaluated yet.")
        baseline = next((row for row in rows if row.baseline), None)
        others = [row.expression for row in rows if row is not baseline]
        chosen = others[:top]
        if baseline is not None:  # the table has two rows also where it is the best of all
            chosen = [baseline.expression, *chosen]
        if isinstance(seeds, int):
            seeds = range(self.seed + 1, self.seed + 1 + seeds)
        return self.objective.retrain(
            chosen, seeds, output=self.output / "retrained", progress=self.progress
        )

    def plot(self, folder=None):
        """Draw progress, the map of the candidates and the best functions.

        Args:
            folder: Where to save them as PNG; None saves nothing.

        Returns:
            Matplotlib figures by name.
        """
        from ..plotting.search import search_figures

        figures = search_figures(self)
        if folder is not None:
            from ..plotting import save_figure

            Path(folder).mkdir(parents=True, exist_ok=True)
            for name, figure in figures.items():
                save_figure(figure, Path(folder) / f"{name}.png")
        return figures

    def report(self, path, comparison=None):
        """Write a self-contained HTML page: table, formulas, pictures, settings.

        Args:
            path: The file.
            comparison: What `retrain` returned, for its table; None for none.

        Returns:
            The path.
        """
        from .report import write_report

        return write_report(self, Path(path), comparison)
