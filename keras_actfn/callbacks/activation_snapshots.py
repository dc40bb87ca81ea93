"""Record how learnable activations and their inputs change over training.

For each learnable activation layer and epoch: its curve on fixed positions, and the
histogram of its inputs for every class (correlation objectives, Figs. 3 and 4, and the
check of the Gaussian assumption in Section 4.2). One npz file, written anew after each epoch
with what it had before.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from .._files import DamagedFile, parse_json, read_npz, write_npz
from ..models.layer_inputs import Batches, LayerInputs, find_layers, label_names
from ..theory.gaussianity import Gaussianity, gaussianity
from .trackers import WandbWriter, summary_writer

_REMEDY = "Pass a file written by ActivationSnapshots or Snapshots.save."


@dataclass(frozen=True, eq=False)
class Snapshots:
    """Recorded curves and histograms.

    Attributes:
        epochs: Epochs recorded, 0 being before training, shape (E,).
        x: Positions of the curves, shape (P,).
        edges: Histogram edges, shape (B + 1,); inputs beyond them are in the outer bins.
        curves: Layer name to values of shape (E, P, units).
        histograms: Layer name to counts of shape (E, classes, B); empty without data.
    """

    epochs: np.ndarray
    x: np.ndarray
    edges: np.ndarray
    curves: dict
    histograms: dict

    @property
    def layers(self) -> list[str]:
        """Layer names, in the order of the model."""
        return list(self.curves)

    def gaussianity(self, layer: str, snapshot: int = -1) -> list[Gaussianity | None]:
        """Distance from the normal law per class; `None` for a class with too few data."""
        if layer not in self.histograms:
            raise ValueError(
                f"No histograms of layer '{layer}'. Recorded: {list(self.histograms)}. Pass x "
                "and y to ActivationSnapshots to record them."
            )
        return [
            gaussianity(counts, self.edges) if np.count_nonzero(counts) > 1 else None
            for counts in self.histograms[layer][snapshot]
        ]

    def plot(self, what: str = "evolution") -> Any:
        """Draw the curves over training, or the class histograms beside normal laws.

        Args:
            what: `"evolution"` (as the paper's Figs. 3 and 4) or `"gaussianity"`.

        Returns:
            A `matplotlib.figure.Figure`.
        """
        from ..plotting import theory

        drawings = {"evolution": theory.draw_evolution, "gaussianity": theory.draw_gaussianity}
        if what not in drawings:
            raise ValueError(f"`what` must be one of {', '.join(drawings)}. Received: {what!r}")
        return drawings[what](self)

    def save(self, path: str | os.PathLike) -> None:
        """Write an npz file, replacing an older one in one move."""
        arrays = {"epochs": self.epochs, "x": self.x, "edges": self.edges}
        arrays["layers"] = np.array(json.dumps(self.layers))
        for i, name in enumerate(self.layers):
            arrays[f"curve_{i}"] = self.curves[name]
            if name in self.histograms:
                arrays[f"histogram_{i}"] = self.histograms[name]
        write_npz(path, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Snapshots":
        """Read a file written by `save`.

        Raises:
            ValueError: If the file is damaged or holds something else.
        """
        arrays = read_npz(path, _REMEDY)
        try:
            names = parse_json(str(arrays.pop("layers")))
            epochs, x, edges = (arrays.pop(name) for name in ("epochs", "x", "edges"))
            curves = {name: arrays.pop(f"curve_{i}") for i, name in enumerate(names)}
            histograms = {
                name: arrays.pop(f"histogram_{i}")
                for i, name in enumerate(names)
                if f"histogram_{i}" in arrays
            }
            _check_shapes(epochs, x, edges, curves, histograms, arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedFile(path, f"it holds no snapshots ({error})", _REMEDY) from error
        return cls(epochs, x, edges, curves, histograms)


def _check_shapes(epochs, x, edges, curves, histograms, others):
    if not epochs.ndim == x.ndim == edges.ndim == 1 or others:
        raise ValueError("epochs, x and edges are rows of numbers, beside curves and histograms")
    for curve in curves.values():
        if curve.ndim != 3 or curve.shape[:2] != (len(epochs), len(x)):
            raise ValueError(f"a curve is (epochs, x, units). Received: {curve.shape}")
    for counts in histograms.values():
        if counts.ndim != 3 or (len(counts), counts.shape[2] + 1) != (len(epochs), len(edges)):
            raise ValueError(f"a histogram is (epochs, classes, bins). Received: {counts.shape}")


class ActivationSnapshots(keras.callbacks.Callback):
    """Records curves of learnable activations and class histograms of their inputs.

    Snapshots are numbered by the epochs trained before, 0 being the state before training. A
    training that goes on (`initial_epoch`, `BackupAndRestore`, another `fit` with the same
    callback) continues the numbers and keeps the snapshots in the file; those of epochs that are
    trained again are replaced. A training that starts at its first epoch begins a new file.

    Args:
        path: The npz file; read it back with `Snapshots.load`.
        x: Inputs for the histograms; without them only curves are recorded. Masked positions
            do not count.
        y: Their labels.
        every: Epochs between snapshots; the state before training is always the first.
        points: Number of curve positions.
        low: Left end of curves and histograms.
        high: Right end.
        bins: Histogram bins.
        layers: Names of layers to record; all learnable activations when `None`.
        batch_size: Samples per forward pass; all of `x` is used, less the last short batch.
        max_positions: At most this many positions of each sample enter the histograms.
        tensorboard: Folder for TensorBoard event files, or `None`. Needs TensorFlow or
            tensorboardX.
        wandb: An active Weights & Biases run (anything with `log(dict)`), or `None`. The epoch
            is logged as `snapshot/epoch` beside the figures, not as the run's step, so that
            loggers of batches do not collide. Offline runs work.

    Raises:
        ValueError: If the model has no learnable activation, arguments do not fit, or a training
            goes on and the file has snapshots of other layers or settings.
        ImportError: If `tensorboard` is given and no writer is installed.

    Example:
        >>> snapshots = ActivationSnapshots("runs/snapshots.npz", x, y)
        >>> history = model.fit(x, y, verbose=0, callbacks=[snapshots])
        >>> Snapshots.load("runs/snapshots.npz").layers
        ['pwl']
    """

    def __init__(
        self,
        path: str | os.PathLike,
        x: Any = None,
        y: Any = None,
        *,
        every: int = 1,
        points: int = 121,
        low: float = -4.0,
        high: float = 4.0,
        bins: int = 80,
        layers: Any = None,
        batch_size: int = 128,
        max_positions: int | None = 256,
        tensorboard: Any = None,
        wandb: Any = None,
    ):
        super().__init__()
        if not low < high or every < 1:
            raise ValueError(
                "`low` must be below `high` and `every` at least 1. "
                f"Received: low={low!r}, high={high!r}, every={every!r}"
            )
        if (x is None) != (y is None):
            raise ValueError("Histograms per class need both `x` and `y`, or neither.")
        self.path, self.every, self._names = Path(path), every, layers
        self._grid, self._edges = np.linspace(low, high, points), np.linspace(low, high, bins + 1)
        self._data, self._batch_size, self._max_positions = (x, y), batch_size, max_positions
        labels = None if y is None else Batches(x, y).labels
        self._classes: Any = None if labels is None else int(labels.max()) + 1
        self._writers = [] if tensorboard is None else [summary_writer(tensorboard)]
        self._writers += [] if wandb is None else [WandbWriter(wandb)]
        self.layers: list = []
        self._forget()

    def _forget(self):
        self._epochs, self._curves, self._histograms = [], [], []
        self._trained = 0  # epochs trained before now
        self._offset: Any = None  # what an epoch's number of this fit lacks to that of all

    def set_model(self, model: keras.Model) -> None:
        """Find the layers."""
        super().set_model(model)
        layers = find_layers(model, layers=self._names)
        if layers == self.layers:
            return
        self.layers, self.labels = layers, label_names(layers)
        self._forget()
        if self._classes is not None:
            self._inputs = LayerInputs(
                model, layers, self._reduce, self._max_positions, training=False
            )

    def _reduce(self, layer, x, valid, labels):
        """Counts per class and bin of what is not masked."""
        bins = self._edges.size - 1
        low, high = self._edges[0], self._edges[-1]
        cell = ops.cast(
            ops.clip(ops.floor((x - low) * (bins / (high - low))), 0, bins - 1), "int32"
        )
        cell = cell + bins * ops.reshape(ops.cast(labels, "int32"), (-1, 1, 1))
        ones = ops.cast(ops.reshape(valid, (-1,)), "float32")
        counts = ops.segment_sum(ones, ops.reshape(cell, (-1,)), self._classes * bins)
        return ops.reshape(counts, (self._classes, bins))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Wait for the first epoch: only then is it known where a training goes on."""
        self._offset = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Record the state before training, or go on with earlier snapshots."""
        if self._offset is not None:
            return
        if not self._epochs and epoch:
            self._read(epoch)
        self._offset = self._trained - epoch if self._epochs else 0
        if not self._epochs:
            self._record(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Record the state after a scheduled epoch."""
        self._trained = epoch + 1 + self._offset
        if self._trained % self.every == 0:
            self._record(self._trained)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Flush the writers."""
        for writer in self._writers:
            writer.flush()

    def _read(self, epoch):
        """Take over the file's snapshots up to an epoch, if there is a file."""
        if not self.path.is_file():
            return
        found = Snapshots.load(self.path)
        own: tuple = (self.labels, self._grid, self._edges, self._classes is not None)
        theirs: tuple = (found.layers, found.x, found.edges, bool(found.histograms))
        if not all(np.array_equal(a, b) for a, b in zip(own, theirs, strict=True)):
            raise ValueError(
                "ActivationSnapshots goes on in its file with the same layers, positions and "
                f"bins. Received: {self.path} with the layers {found.layers} and "
                f"{found.x.size} positions. Choose another path."
            )
        keep = np.flatnonzero(found.epochs <= epoch)
        self._epochs = found.epochs[keep].tolist()
        self._curves = [[found.curves[name][i] for name in self.labels] for i in keep]
        if self._classes is not None:
            self._histograms = [[found.histograms[n][i] for n in self.labels] for i in keep]
        self._trained = epoch

    def _record(self, epoch):
        self._epochs.append(epoch)
        curves = [np.asarray(layer.evaluate(self._grid)) for layer in self.layers]
        self._curves.append([c.reshape(self._grid.size, -1).astype("float32") for c in curves])
        if self._classes is not None:
            x, y = self._data
            # A fresh stream with the same seed: every snapshot sees the same samples.
            batches = Batches(x, y, self._batch_size)
            labels: Any = batches.labels  # x and y are arrays
            steps = max(len(labels) // self._batch_size, 1)
            totals = [np.zeros((self._classes, self._edges.size - 1)) for _ in self.layers]
            for _ in range(steps):
                for total, counts in zip(totals, self._inputs(*next(batches)), strict=True):
                    total += counts
            self._histograms.append(totals)
        self.snapshots().save(self.path)
        self._report(epoch)

    def snapshots(self) -> Snapshots:
        """What has been recorded so far."""
        curves = {
            name: np.stack([snapshot[i] for snapshot in self._curves])
            for i, name in enumerate(self.labels)
        }
        histograms = {
            name: np.stack([snapshot[i] for snapshot in self._histograms])
            for i, name in enumerate(self.labels)
            if self._histograms
        }
        return Snapshots(np.array(self._epochs), self._grid, self._edges, curves, histograms)

    def _report(self, epoch):
        if not self._writers:
            return
        scalars, images = {}, {}
        data = self.snapshots()
        for name in self.labels:
            images[f"activations/{name}"] = curve_image(data, name)
            for k, found in enumerate(data.gaussianity(name) if data.histograms else []):
                if found is not None:
                    scalars[f"gaussianity/{name}/class_{k}"] = found.distance
        for writer in self._writers:
            writer.write(epoch, scalars, images)


def curve_image(data: Snapshots, layer: str, size: int = 160) -> np.ndarray:
    """A small picture of a layer's latest curve, (size, size, 3) uint8, one line a unit."""
    picture = np.full((size, size, 3), 255, dtype="uint8")
    curves = data.curves[layer][-1].astype(np.float64)
    low, high = np.nanmin(curves), np.nanmax(curves)
    span = high - low if high > low else 1.0
    columns = np.linspace(0, data.x.size - 1, size)
    for curve in curves.T[:16]:
        values = np.interp(columns, np.arange(data.x.size), curve)
        rows = np.clip(np.round((high - values) / span * (size - 1)), 0, size - 1).astype(int)
        for left, right, column in zip(rows[:-1], rows[1:], range(size - 1), strict=True):
            picture[min(left, right) : max(left, right) + 1, column] = (31, 119, 180)
    return picture
