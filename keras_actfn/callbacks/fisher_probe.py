"""Follow the Fisher spectrum of a model while it trains."""

import time
from pathlib import Path

import keras
import numpy as np

from ..fisher import FisherSpectrum, fisher_spectrum

#: Figures of `FisherSpectrum.summary` that go into the logs.
FIGURES = ("max", "min_positive", "trace", "effective_rank", "log_determinant")


class FisherProbe(keras.callbacks.Callback):
    """Computes the Fisher spectrum on a fixed batch at the start and every n epochs or batches.

    Summary figures of the whole network go into `logs` at the end of each epoch, as
    `fisher_max`, `fisher_trace` and so on, where History, CSVLogger and TensorBoard find them;
    an epoch without a probe has NaN. Spectra go into files `fisher-00000042.npz`, numbered by
    the batches trained before. Training is not disturbed: weights, metrics, seeds and moving
    statistics are the same with and without the probe.

    Put it before callbacks that read `logs`, such as CSVLogger, in the list given to `fit`.

    Args:
        x: The batch of inputs to probe with.
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
        self, x, y=None, every: int = 1, directory=None, *, unit="epoch", per_layer=False, **options
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
        self._begin()

    def _begin(self):
        self.steps: list[int] = []
        self.summaries: list[dict[str, float]] = []
        self.seconds = 0.0
        self._kept: list[FisherSpectrum | Path] = []
        self._batches = 0
        self._fresh: dict[str, float] | None = None
        self._keys: list[str] = []

    @property
    def spectra(self) -> list[FisherSpectrum]:
        """The spectra of all probes, in the order of `steps`."""
        return [FisherSpectrum.load(k) if isinstance(k, Path) else k for k in self._kept]

    def on_train_begin(self, logs=None):
        """Probe the model before its first step."""
        self._begin()
        self._probe()

    def on_train_batch_end(self, batch, logs=None):
        """Count the batch, and probe if it is time."""
        self._batches += 1
        if self.unit == "batch" and self._batches % self.every == 0:
            self._fresh = self._probe()

    def on_epoch_end(self, epoch, logs=None):
        """Probe if it is time, and write the figures into `logs`."""
        if self.unit == "epoch" and (epoch + 1) % self.every == 0:
            self._fresh = self._probe()
        if logs is not None:
            logs.update(self._fresh or dict.fromkeys(self._keys, float("nan")))
        self._fresh = None

    def _probe(self):
        start = time.perf_counter()
        spectrum = fisher_spectrum(self.model, self.x, self.y, **self.options)
        summary = spectrum.summary()
        self.steps.append(self._batches)
        self.summaries.append(summary)
        figures = {f"fisher_{name}": float(summary[name]) for name in FIGURES}
        if self.per_layer:
            for layer in spectrum.layers:
                part = spectrum.summary(layer)
                figures |= {f"fisher_{name}/{layer}": float(part[name]) for name in FIGURES}
        self._keys = list(figures)
        if self.directory is None:
            self._kept.append(spectrum)
        else:
            path = self.directory / f"fisher-{self._batches:08d}.npz"
            spectrum.save(path)
            self._kept.append(path)
        self.seconds += time.perf_counter() - start
        return figures

    def figures(self, name: str) -> np.ndarray:
        """Return one summary figure of every probe, such as `"trace"`."""
        return np.array([summary[name] for summary in self.summaries])

    def plot(self, layer=None):
        """Draw how the distribution of log-eigenvalues changed; returns a Matplotlib figure.

        Args:
            layer: Name or position of one layer; by default all layers together.
        """
        from ..plotting.spectra import evolution_figure

        return evolution_figure(self.spectra, self.steps, layer=layer)
