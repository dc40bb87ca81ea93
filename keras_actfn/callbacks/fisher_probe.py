"""Follow the Fisher spectrum of a model while it trains."""

import os
import re
import time
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..fisher import FisherSpectrum, fisher_spectrum

#: Figures of `FisherSpectrum.summary` that go into the logs.
FIGURES = ("max", "min_positive", "trace", "effective_rank", "log_determinant")

_NAME = re.compile(r"fisher-(\d{8,})\.npz")


class FisherProbe(keras.callbacks.Callback):
    """Computes the Fisher spectrum on a fixed batch at the start and every n epochs or batches.

    Summary figures of the whole network go into `logs` at the end of each epoch, as
    `fisher_max`, `fisher_trace` and so on, where History, CSVLogger and TensorBoard find them;
    an epoch without a probe has NaN. Spectra go into files `fisher-00000042.npz`, numbered by
    the batches trained before. Training is not disturbed: weights, metrics, seeds and moving
    statistics are the same with and without the probe.

    Training that goes on, by `BackupAndRestore`, `initial_epoch` or another `fit`, goes on with the
    position: the batches that the optimiser has trained, or those of the epochs before
    `initial_epoch` if the optimiser is new. Earlier files stay and count as probes of this
    training; those of batches that are trained again are written again.

    Put it before callbacks that read `logs`, such as CSVLogger, in the list given to `fit`.

    Args:
        x: The batch of inputs to probe with: an array, or a list or dictionary of arrays.
        y: Labels, for `mode="empirical"`.
        every: Number of epochs (or batches) from one probe to the next.
        directory: Folder for the spectra; `None` keeps only the summaries.
        unit: `"epoch"` or `"batch"`.
        per_layer: Also log `fisher_trace/layer` and so on for every layer.
        **options: Further arguments of `fisher_spectrum`, such as `mode`, `engine`, `seed`.

    Attributes:
        steps: Batches trained before each probe.
        summaries: Figures of each probe, as `FisherSpectrum.summary` gives them.
        spectra: The spectra of each probe; read from the files when there is a directory.

    Example:
        >>> probe = FisherProbe(x[:128], every=1, directory="runs/fisher")
        >>> history = model.fit(x, y, epochs=3, verbose=0, callbacks=[probe])
        >>> len(history.history["fisher_trace"])
        3
    """

    def __init__(
        self,
        x: Any,
        y: np.ndarray | None = None,
        every: int = 1,
        directory: str | os.PathLike | None = None,
        *,
        unit: str = "epoch",
        per_layer: bool = False,
        **options: Any,
    ):
        super().__init__()
        if unit not in ("epoch", "batch"):
            raise ValueError(f"unit must be 'epoch' or 'batch'; received {unit!r}.")
        if int(every) != every or every < 1:
            raise ValueError(f"every must be a positive whole number; received {every!r}.")
        self.x, self.y = x, y
        self.every, self.unit, self.per_layer = int(every), unit, per_layer
        self.directory = None if directory is None else Path(directory)
        self.options = options
        self.steps: list[int] = []
        self.summaries: list[dict[str, float]] = []
        self.seconds = 0.0
        self._kept: list[FisherSpectrum | Path] = []
        self._started = False
        self._batches = self._epoch_start = 0
        self._fresh: dict[str, float] | None = None
        self._keys: list[str] = []

    @property
    def spectra(self) -> list[FisherSpectrum]:
        """The spectra of all probes, in the order of `steps`."""
        return [FisherSpectrum.load(k) if isinstance(k, Path) else k for k in self._kept]

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Forget where the last training was."""
        self._started = False
        self.seconds = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Before the first epoch find the position, and probe the model as it is."""
        # Not in on_train_begin: callbacks behind this one may restore weights there.
        if not self._started:
            self._started = True
            self._go_on_at(self._position(epoch))
        self._epoch_start = self._batches

    def _position(self, epoch):
        """Batches trained before an epoch."""
        optimizer: Any = getattr(self.model, "optimizer", None)
        done = 0 if optimizer is None else int(keras.ops.convert_to_numpy(optimizer.iterations))
        if done:
            return done * (optimizer.gradient_accumulation_steps or 1)
        steps = (self.params or {}).get("steps")
        if epoch and not steps:  # data of unknown length: behind all that is known
            return max([*self.steps, *self._files()], default=0)
        return epoch * (steps or 0)

    def _files(self):
        """Files of earlier probes by their position, in order."""
        if self.directory is None:
            return {}
        names = {path: _NAME.fullmatch(path.name) for path in sorted(self.directory.glob("*.npz"))}
        return {int(match[1]): path for path, match in names.items() if match}

    def _go_on_at(self, position):
        """Keep the probes up to a position, and probe there if that was not done."""
        self._batches, self._fresh, files = position, None, self._files()
        if self.directory is not None and position:
            known = [(n, p, FisherSpectrum.load(p).summary()) for n, p in files.items()]
        else:
            known = list(zip(self.steps, self._kept, self.summaries, strict=True))
        known = [probe for probe in known if probe[0] <= position] if position else []
        self.steps = [number for number, _, _ in known]
        self._kept = [kept for _, kept, _ in known]
        self.summaries = [summary for _, _, summary in known]
        if files and not position:
            warnings.warn(
                f"{self.directory} has spectra of an earlier training, up to batch {max(files)}. "
                "This one starts at batch 0 and writes them again. Pass another directory to keep "
                "them.",
                stacklevel=2,
            )
        if self.steps and self.steps[-1] == position:
            self._keys = list(self._figures(self.spectra[-1]))
        else:
            self._probe()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Count the batches, and probe if it is time."""
        # Under `steps_per_execution` several have passed, and the last may lie behind the epoch.
        done = min(batch + 1, (self.params or {}).get("steps") or batch + 1)
        before, self._batches = self._batches, self._epoch_start + done
        if self.unit == "batch" and self._batches // self.every > before // self.every:
            self._fresh = self._probe()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Probe if it is time, and write the figures into `logs`."""
        if self.unit == "epoch" and (epoch + 1) % self.every == 0:
            self._fresh = self._probe()
        if logs is not None:
            logs.update(self._fresh or dict.fromkeys(self._keys, float("nan")))
        self._fresh = None

    def _probe(self):
        start = time.perf_counter()
        spectrum = fisher_spectrum(self.model, self.x, self.y, **self.options)
        self.steps.append(self._batches)
        self.summaries.append(spectrum.summary())
        figures = self._figures(spectrum)
        self._keys = list(figures)
        if self.directory is None:
            self._kept.append(spectrum)
        else:
            path = self.directory / f"fisher-{self._batches:08d}.npz"
            spectrum.save(path)
            self._kept.append(path)
        self.seconds += time.perf_counter() - start
        return figures

    def _figures(self, spectrum):
        """What goes into the logs."""
        parts = {"": None} | ({f"/{n}": n for n in spectrum.layers} if self.per_layer else {})
        return {
            f"fisher_{name}{suffix}": float(summary[name])
            for suffix, summary in ((s, spectrum.summary(layer)) for s, layer in parts.items())
            for name in FIGURES
        }

    def figures(self, name: str) -> np.ndarray:
        """Return one summary figure of every probe, such as `"trace"`."""
        return np.array([summary[name] for summary in self.summaries])

    def plot(self, layer: str | int | None = None) -> Any:
        """Draw how the distribution of log-eigenvalues changed; returns a Matplotlib figure.

        Args:
            layer: Name or position of one layer; by default all layers together.
        """
        from ..plotting.spectra import evolution_figure

        return evolution_figure(self.spectra, self.steps, layer=layer)
