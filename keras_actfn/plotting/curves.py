"""Figures of a comparison: the activations it learned and the course of its training."""

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from .._files import replacing
from .._optional import require
from .data import learned_curves, quantities, training_curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..training.results import Comparison

_PANEL = 3.2  # inches


def draw_learned_curves(comparison: "Comparison") -> "Figure":
    """One panel for each site, one line for each activation, a faint one for each seed.

    Later lines are thinner, so that curves that coincide show below each other.

    Args:
        comparison: A `keras_actfn.training.Comparison`.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    curves = learned_curves(comparison)
    sites = max((curve.site for curve in curves), default=1)
    figure, panels = _panels(sites)
    for curve in curves:
        axes = panels[curve.site - 1]
        colour = _colour(comparison, curve.activation)
        for values in curve.runs:
            axes.plot(curve.x, values, color=colour, linewidth=0.6, alpha=0.4)
        width = _width(comparison, curve.activation)
        axes.plot(curve.x, curve.mean, color=colour, linewidth=width, label=curve.activation)
    for number, axes in enumerate(panels, start=1):
        axes.set_title(f"site {number}")
        axes.set_xlabel("input")
        axes.axhline(0, color="0.85", linewidth=0.8, zorder=0)
        axes.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    panels[0].set_ylabel("activation after training")
    if not curves:
        panels[0].text(0.5, 0.5, "no activation layers", ha="center", transform=panels[0].transAxes)
    _legend(figure, panels)
    return figure


def draw_training_curves(comparison: "Comparison") -> "Figure":
    """One panel for each quantity: its mean over seeds, and a band from least to greatest.

    Args:
        comparison: A `keras_actfn.training.Comparison`.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    curves = training_curves(comparison)
    found = {curve.quantity for curve in curves}
    shown = [quantity for quantity in quantities(comparison).values() if quantity in found]
    figure, panels = _panels(len(shown))
    for curve in curves:
        axes = panels[shown.index(curve.quantity)]
        colour = _colour(comparison, curve.activation)
        marker = "o" if len(curve.step) < 20 else None
        axes.plot(curve.step, curve.mean, color=colour, label=curve.activation, marker=marker)
        axes.fill_between(curve.step, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
    for quantity, axes in zip(shown, panels, strict=True):
        axes.set_title(quantity)
        axes.set_xlabel("epoch" if quantity.startswith("validation") else "step")
        if quantity == "training loss":
            axes.set_yscale("log")
    _legend(figure, panels)
    return figure


#: Endings of the pictures that `save_figure` writes, and what such a file begins with.
PICTURES = {
    ".png": (b"\x89PNG",),
    ".pdf": (b"%PDF",),
    ".svg": (b"<?xml", b"<svg"),
    ".jpg": (b"\xff\xd8",),
    ".jpeg": (b"\xff\xd8",),
}


def check_picture(path: str | os.PathLike) -> Path:
    """Return the path of a picture to write, which replaces nothing but a picture.

    Raises:
        ValueError: If its ending is not in `PICTURES`, or a file is there that is no picture.
    """
    path = Path(path)
    if path.suffix.lower() not in PICTURES:
        raise ValueError(
            f"A picture's file ends in {', '.join(PICTURES)}. Received: {path}. Choose such a name."
        )
    if path.exists():
        with contextlib.suppress(IsADirectoryError), open(path, "rb") as file:
            start = file.read(8)
            if not start or start.startswith(PICTURES[path.suffix.lower()]):
                return path
        raise ValueError(
            f"A picture replaces nothing but a picture. Received: {path}, which holds something "
            "else. Choose another name."
        )
    return path


def save_figure(figure: "Figure", path: str | os.PathLike) -> Path:
    """Write a figure, all or nothing, and return its path.

    Args:
        figure: A Matplotlib figure.
        path: The file; its ending, one of `PICTURES`, is the format.

    Raises:
        ValueError: See `check_picture`.
    """
    path = check_picture(path)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)
    return path


def _panels(count):
    figure = require("matplotlib.figure", extra="plot").Figure(
        figsize=(_PANEL * max(count, 2), _PANEL + 0.6), layout="constrained"
    )
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def _colour(comparison, activation):
    """The same colour for an activation in every figure, from a cycle of ten."""
    return f"C{comparison.activations.index(activation) % 10}"


def _width(comparison, activation):
    """Width of an activation's line in points, from 4 for the first to 1.2 for the last drawn."""
    last = max(len(comparison.activations) - 1, 1)
    return 4 - 2.8 * comparison.activations.index(activation) / last


def _legend(figure, panels):
    """One legend below all panels."""
    handles, labels = panels[0].get_legend_handles_labels()
    if handles:
        columns = 4 if max(map(len, labels)) < 24 else 2
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
