"""What the figures of a comparison show, as numbers."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..training.results import Comparison


@dataclasses.dataclass(frozen=True, eq=False)
class LearnedCurve:
    """An activation at one site of the network after training.

    Attributes:
        activation: Label of the activation.
        site: Number of the site, from 1, in the order of the network's layers.
        x: Inputs, `(points,)`.
        runs: Values, `(seeds, points)`; the mean over channels where each has its own.
        mean: Mean over the seeds, `(points,)`.
    """

    activation: str
    site: int
    x: np.ndarray
    runs: np.ndarray
    mean: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingCurve:
    """A quantity in the course of training, over the seeds.

    Attributes:
        activation: Label of the activation.
        quantity: `"training loss"`, or the leading metric in training or validation, as
            `"validation accuracy"`.
        step: Training steps, `(points,)`; epochs for the validation.
        mean: Mean over the seeds, `(points,)`.
        low: Least of the seeds.
        high: Greatest of the seeds.
    """

    activation: str
    quantity: str
    step: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def quantities(comparison: "Comparison") -> dict[str, str]:
    """Quantities of training curves by the array of a run that has them."""
    metric = comparison.criterion.metric
    shown = metric.replace("_", " ")
    return {
        "loss": "training loss",
        metric: f"training {shown}",
        f"validation_{metric}": f"validation {shown}",
    }


def learned_curves(comparison: "Comparison") -> list[LearnedCurve]:
    """Every activation at every site: a list of `LearnedCurve`, sites in order.

    Args:
        comparison: A `keras_actfn.training.Comparison`.
    """
    curves = []
    for label in comparison.activations:
        runs = [run.arrays for run in comparison.runs_of(label)]
        site = 1
        while f"site_{site}" in runs[0]:
            values = [run[f"site_{site}"].reshape(len(run["x"]), -1).mean(-1) for run in runs]
            mean = np.mean(values, axis=0)
            curves.append(LearnedCurve(label, site, runs[0]["x"], np.array(values), mean))
            site += 1
    return sorted(curves, key=lambda curve: curve.site)


def training_curves(comparison: "Comparison") -> list[TrainingCurve]:
    """The course of every run, over seeds: a list of `TrainingCurve`.

    A diverged run ends early; where one has ended, the others go on without it.

    Args:
        comparison: A `keras_actfn.training.Comparison`.
    """
    curves = []
    for name, quantity in quantities(comparison).items():
        for label in comparison.activations:
            runs = [run.arrays for run in comparison.runs_of(label) if name in run.arrays]
            if not runs:
                continue
            values = np.full((len(runs), max(len(run[name]) for run in runs)), np.nan)
            for row, run in zip(values, runs, strict=True):
                row[: len(run[name])] = run[name]
            step = _longest(runs, name)
            known = np.isfinite(values).any(axis=0)
            values = values[:, known]
            curves.append(
                TrainingCurve(
                    label,
                    quantity,
                    step[known],
                    np.nanmean(values, axis=0),
                    np.nanmin(values, axis=0),
                    np.nanmax(values, axis=0),
                )
            )
    return curves


def _longest(runs, name):
    """The horizontal axis of the longest run."""
    longest = max(runs, key=lambda run: len(run[name]))
    if name.startswith("validation_"):
        return longest.get("validation_epoch", np.arange(1, len(longest[name]) + 1))
    return longest["step"]
