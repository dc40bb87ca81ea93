"""Entropy steps on PWL layers during training.

EAFO derives one static function (Section 4.3) and leaves its use during training open
(Sections 1, 7). Here each scheduled epoch ends with one step per function: the density of
its inputs is estimated from samples, the function moves down the entropy of its output as
`keras_actfn.theory.eafo_step` does, and the knots are changed only if the entropy, measured
on samples that the estimate has not seen and with the layer's own slopes, did fall.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from ..layers import PWL
from ..layers.knots import pwl_slopes, pwl_values
from ..models.layer_inputs import Batches, LayerInputs, find_layers, label_names
from ..models.moving_averages import renew_moving_averages
from ..theory import SmoothedPWL, eafo_step

# Slopes below this share of the steepest count as flat. Where f is flat it has no inverse, and
# where it is nearly flat, log f' and with it the entropy hang on a few thousandths of slope.
FLAT = 0.1


@dataclass(frozen=True)
class EafoRecord:
    """What happened to one function at one scheduled epoch.

    Attributes:
        epoch: Epoch, from 0.
        layer: Name of the layer.
        unit: Index of the function within the layer.
        accepted: Whether the knots were changed.
        reason: Why not; empty when accepted.
        region: The monotone region acted on; `None` when there was none.
        step: Step size s.
        max_step: Largest monotone step.
        entropy_before: H before the step, in nats, given the region, by a kernel estimate.
        entropy_change: Change of H, in nats, given the region, on held-out samples.
        normalised_change: Change of H − log std on the same samples.
    """

    epoch: int
    layer: str
    unit: int
    accepted: bool
    reason: str
    region: tuple[float, float] | None = None
    step: float = 0.0
    max_step: float = 0.0
    entropy_before: float = 0.0
    entropy_change: float = 0.0
    normalised_change: float = 0.0


def steepest_region(
    knots: np.ndarray, slopes: np.ndarray, samples: np.ndarray
) -> tuple[float, float] | None:
    """The run of segments of one sign of slope, none of them flat, that holds most samples.

    Args:
        knots: Knot positions, shape (S,).
        slopes: Slopes of the segments, shape (S − 1,).
        samples: Inputs.

    Returns:
        `(low, high)`, infinite where the run reaches the first or last knot; `None` if every
        segment is flat.
    """
    sign = np.where(np.abs(slopes) > FLAT * np.abs(slopes).max(), np.sign(slopes), 0)
    breaks = np.flatnonzero(np.diff(sign)) + 1
    runs = [
        (a, b)
        for a, b in zip(np.r_[0, breaks], np.r_[breaks, sign.size], strict=True)
        if sign[a] != 0
    ]
    best, most = None, 0
    for a, b in runs:
        low = -np.inf if a == 0 else float(knots[a])
        high = np.inf if b == sign.size else float(knots[b])
        held = int(np.count_nonzero((samples > low) & (samples < high)))
        if held > most:
            best, most = (low, high), held
    return best


class EAFO(keras.callbacks.Callback):
    """Lowers the output entropy of PWL layers step by step while a model trains.

    The knots stay trainable by the loss; the callback adds its step at the end of every
    `every`-th epoch. A PWL function has kinks and ReLU, its usual start, is flat on one side,
    so the step is computed for the function averaged over `smooth` (a window of about one
    segment) on its largest monotone region, and its change is added to the knots.

    To first order the step on normal inputs is a pure rescaling, which the next
    BatchNormalization undoes: `normalised_change` (H − log std) shows what is left, and
    `criterion="normalised"` accepts only steps that lower that.

    Args:
        x: Inputs for the density estimate: arrays or a re-iterable of batches; never trained on.
            Masked positions, such as padding, do not count.
        every: Epochs between steps.
        step: Step size as a share of the largest monotone step, in (0, 1).
        schedule: `schedule(epoch)` giving that share instead; 0 skips the epoch.
        criterion: `"entropy"` or `"normalised"`: what must fall for a step to be kept.
        patience: Switch a layer off after this many scheduled epochs in a row without any
            kept step.
        monitor: Name in the logs, such as `"val_loss"`, to watch: when it has grown since the
            previous step for `patience` scheduled epochs in a row, all layers are switched
            off. `None` watches nothing.
        samples: Inputs of each function used per step; half estimate, half check.
        smooth: Window in segment widths.
        min_share: Least share of the inputs in the monotone region for a step to be tried.
        batch_size: Samples run through the model per step.
        layers: Names of the PWL layers; all when `None`.
        renew: Batches that the finished network sees to make the moving averages of its
            BatchNormalization layers again: the last step leaves those of other functions. 0
            leaves them. Callbacks that put weights back belong before this one.
        seed: Seed of the batches.

    Attributes:
        records: List of `EafoRecord`, one for each function and scheduled epoch.

    Logs, on scheduled epochs and per layer: `<layer>_entropy_change`, the mean change of H
    over the kept steps (0 if none), and `<layer>_eafo_kept`, the share of functions changed.

    Example:
        >>> callback = EAFO(x, every=2, step=0.3)
        >>> history = model.fit(x, y, epochs=4, verbose=0, callbacks=[callback])
    """

    def __init__(
        self,
        x: Any,
        *,
        every: int = 1,
        step: float = 0.3,
        schedule: Any = None,
        criterion: str = "entropy",
        patience: int = 3,
        monitor: str | None = None,
        samples: int = 4096,
        smooth: float = 1.0,
        min_share: float = 0.2,
        batch_size: int = 128,
        layers: Any = None,
        renew: int = 40,
        seed: int = 0,
    ):
        super().__init__()
        if schedule is None and not 0 < step < 1:
            raise ValueError(
                f"`step` is a share of the largest monotone step, in (0, 1). Received: {step!r}"
            )
        if criterion not in ("entropy", "normalised"):
            raise ValueError(
                f"`criterion` must be 'entropy' or 'normalised'. Received: {criterion!r}"
            )
        if every < 1 or patience < 1:
            raise ValueError(
                f"`every` and `patience` must be at least 1. Received: {every!r}, {patience!r}"
            )
        if renew < 0:
            raise ValueError(f"`renew` must not be negative. Received: {renew!r}")
        self._batches = Batches(x, None, batch_size, seed)
        self.every, self.step, self.schedule = every, step, schedule
        self.criterion, self.patience, self.monitor = criterion, patience, monitor
        self.samples, self.smooth, self.min_share = samples, smooth, min_share
        self._names, self._batch_size, self.renew = layers, batch_size, renew
        self.records: list[EafoRecord] = []
        self.layers: list = []

    def set_model(self, model: keras.Model) -> None:
        """Find the layers."""
        super().set_model(model)
        layers = find_layers(model, PWL, self._names)
        if layers == self.layers:
            return
        self.layers, self.labels = layers, label_names(layers)
        positions = -(-self.samples // self._batch_size)
        self._inputs = LayerInputs(model, layers, lambda _, *both: both, positions)
        self._misses = [0] * len(layers)
        self._watched: float | None = None
        self._worse = 0

    @property
    def switched_off(self) -> list[str]:
        """Names of the layers that no longer take steps."""
        return [
            name
            for name, misses in zip(self.labels, self._misses, strict=True)
            if misses >= self.patience
        ]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Take the steps of this epoch, if it is scheduled."""
        if (epoch + 1) % self.every:
            return
        share = self.step if self.schedule is None else float(self.schedule(epoch))
        logs = {} if logs is None else logs
        self._watch(logs)
        if share <= 0 or len(self.switched_off) == len(self.layers):
            return
        for i, inputs in enumerate(self._gather()):
            if self._misses[i] >= self.patience:
                continue
            records = self._step_layer(i, inputs, share, epoch)
            self.records.extend(records)
            kept = [r for r in records if r.accepted]
            self._misses[i] = 0 if kept else self._misses[i] + 1
            changes = [r.entropy_change for r in kept]
            logs[f"{self.labels[i]}_entropy_change"] = float(np.mean(changes)) if kept else 0.0
            logs[f"{self.labels[i]}_eafo_kept"] = len(kept) / len(records)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Make the moving averages of BatchNormalization again, if a step was kept."""
        if any(record.accepted for record in self.records):
            renew_moving_averages(self.model, (next(self._batches)[0] for _ in range(self.renew)))

    def _watch(self, logs):
        if self.monitor is None or self.monitor not in logs:
            return
        value = float(logs[self.monitor])
        grown = self._watched is not None and value > self._watched
        self._worse, self._watched = (self._worse + 1 if grown else 0), value
        if self._worse >= self.patience:
            self._misses = [self.patience] * len(self.layers)

    def _gather(self) -> list[list[np.ndarray]]:
        """Unmasked inputs of each unit of every layer, from as many batches as it takes."""
        units: list[list] = [[] for _ in self.layers]
        # A layer after global pooling has one position a sample; others have many.
        for _ in range(max(1, -(-self.samples // self._batch_size))):
            for own, (x, valid) in zip(units, self._inputs(next(self._batches)[0]), strict=True):
                count = x.shape[-1]
                x, valid = x.reshape(-1, count), valid.reshape(-1, count)
                found = [x[valid[:, i], i].astype(np.float64) for i in range(count)]
                own[:] = map(np.append, own, found) if own else found
            if min(x.size for own in units for x in own) >= self.samples:
                break
        return [[x[-self.samples :] for x in own] for own in units]

    def _step_layer(
        self, index: int, inputs: list[np.ndarray], share: float, epoch: int
    ) -> list[EafoRecord]:
        layer, name = self.layers[index], self.labels[index]
        values = ops.convert_to_numpy(layer.values).astype(np.float64)
        columns = values.reshape(layer.knots, -1).copy()
        records = []
        for unit in range(columns.shape[1]):
            outcome = self._step_unit(layer, columns[:, unit], inputs[unit], share)
            new, record = outcome
            if record["accepted"]:
                columns[:, unit] = new
            records.append(EafoRecord(epoch=epoch, layer=name, unit=unit, **record))
        if any(r.accepted for r in records):
            layer.values.assign(columns.reshape(values.shape).astype("float32"))
        return records

    def _step_unit(self, layer, values, inputs, share):
        knots, extrapolation = layer.knot_positions, layer.extrapolation
        # Alternate samples estimate and check; both halves hold every batch alike.
        fitted, held = inputs[::2], inputs[1::2]
        slopes = np.diff(values) / np.diff(knots)
        if len(held) == 0:
            return None, {"accepted": False, "reason": "all inputs are masked"}
        if not np.isfinite(inputs).all():
            return None, {"accepted": False, "reason": "inputs are not finite"}
        region = None if not slopes.any() else steepest_region(knots, slopes, fitted)
        if region is None:
            return None, {"accepted": False, "reason": "the function is flat everywhere"}
        if extrapolation == "clamp":
            region = max(region[0], float(knots[0])), min(region[1], float(knots[-1]))
        inside = (held > region[0]) & (held < region[1])
        if inside.mean() < self.min_share:
            reason = f"the monotone region holds {inside.mean():.0%} of the inputs"
            return None, {"accepted": False, "reason": reason, "region": region}
        width = self.smooth * (knots[1] - knots[0])
        smooth = SmoothedPWL(knots, values, width, extrapolation)
        try:
            step = eafo_step(smooth, fitted, share, region=region, relative=True)
        except ValueError as error:
            return None, {"accepted": False, "reason": str(error), "region": region}
        new = values + step(knots) - smooth(knots)
        changes = self._changes(knots, values, new, held[inside], extrapolation)
        facts = {"region": region, "step": step.step, "max_step": step.max_step}
        facts["entropy_before"] = step.entropy_before
        if changes is None:
            return None, {"accepted": False, "reason": "the knots lose monotonicity", **facts}
        entropy, normalised = changes
        fell = entropy if self.criterion == "entropy" else normalised
        facts.update(entropy_change=entropy, normalised_change=normalised)
        if not fell < 0:
            return None, {"accepted": False, "reason": f"{self.criterion} did not fall", **facts}
        return new, {"accepted": True, "reason": "", **facts}

    @staticmethod
    def _changes(knots, old, new, x, extrapolation):
        """Change of H and of H − log std on samples of the region, from the PWL slopes."""
        before = pwl_slopes(x, knots, old, extrapolation)
        after = pwl_slopes(x, knots, new, extrapolation)
        if (before * after <= 0).any():
            return None
        entropy = float(np.mean(np.log(after / before)))
        spread = [np.std(pwl_values(x, knots, y, extrapolation)) for y in (old, new)]
        return entropy, entropy - float(np.log(spread[1] / spread[0]))
