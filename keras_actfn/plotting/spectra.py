"""Figures of Fisher spectra: first the numbers, then the drawing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._optional import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..fisher.spectrum import FisherSpectrum

LOW, HIGH = -100.0, 100.0


@dataclass(frozen=True)
class SpectrumCurve:
    """The distribution of one block's log-eigenvalues.

    Attributes:
        label: Name of the spectrum, as the activation function.
        layer: Name of the block; empty for the whole network.
        centers: Middles of the bins, natural logarithms.
        shares: Share of the eigenvalues in each bin. Eigenvalues that are zero are in the first.
    """

    label: str
    layer: str
    centers: np.ndarray
    shares: np.ndarray


@dataclass(frozen=True)
class SpectrumEvolution:
    """Distributions of log-eigenvalues over the course of training.

    Attributes:
        steps: Batches trained before each spectrum.
        centers: Middles of the bins, natural logarithms.
        shares: Shares of the eigenvalues, of shape (steps, bins).
    """

    steps: np.ndarray
    centers: np.ndarray
    shares: np.ndarray


def spectrum_curves(
    spectra: Mapping[str, "FisherSpectrum"], layers: Sequence | None = None, bins: int = 400
) -> list[SpectrumCurve]:
    """Return the distribution of each spectrum's blocks.

    Args:
        spectra: `FisherSpectrum` objects by label.
        layers: Names or positions of blocks; by default the whole network as one.
        bins: Number of equal bins from −100 to 100.
    """
    centers = _centers(bins)
    curves = []
    for label, spectrum in spectra.items():
        if layers is None:
            curves.append(SpectrumCurve(label, "", centers, _network_shares(spectrum, bins)))
            continue
        for layer in layers:
            block = spectrum[layer]
            shares = block.histogram(bins) / block.parameters
            name = block.name if isinstance(layer, int) else layer
            curves.append(SpectrumCurve(label, name, centers, shares))
    return curves


def spectrum_evolution(
    spectra: Sequence, steps: Sequence[int], layer: Any = None, bins: int = 400
) -> SpectrumEvolution:
    """Return the distributions of several spectra of one model.

    Args:
        spectra: `FisherSpectrum` objects in the order of training.
        steps: Batches trained before each.
        layer: Name or position of one block; by default the whole network.
        bins: Number of equal bins from −100 to 100.
    """
    if len(spectra) != len(steps) or not len(spectra):
        raise ValueError(
            f"There must be one step for each spectrum, and at least one; received {len(spectra)} "
            f"spectra and {len(steps)} steps."
        )
    if layer is None:
        shares = [_network_shares(spectrum, bins) for spectrum in spectra]
    else:
        shares = [s.histogram(layer, bins) / s[layer].parameters for s in spectra]
    return SpectrumEvolution(np.asarray(steps), _centers(bins), np.stack(shares))


def spectrum_figure(
    spectra: Mapping[str, "FisherSpectrum"], layers: Sequence | None = None, bins: int = 400
) -> "Figure":
    """Draw distributions of log-eigenvalues, one panel a layer; returns a Matplotlib figure."""
    curves = spectrum_curves(spectra, layers, bins)
    names = list(dict.fromkeys(curve.layer for curve in curves))
    figure = require("matplotlib.figure", extra="plot").Figure(
        figsize=(7.0, 1.2 + 2.2 * len(names)), layout="constrained"
    )
    panels = figure.subplots(len(names), 1, squeeze=False)[:, 0]
    for name, axes in zip(names, panels, strict=True):
        for curve in curves:
            if curve.layer == name:
                axes.plot(curve.centers, curve.shares, drawstyle="steps-mid", label=curve.label)
        axes.set_title(name or "all layers", fontsize="medium")
        axes.set_ylabel("share of eigenvalues")
        axes.set_xlim(*_span(curves))
        axes.set_yscale("log")
    panels[-1].set_xlabel("natural log of the eigenvalue")
    if any(curve.label for curve in curves):
        panels[0].legend()
    return figure


def evolution_figure(
    spectra: Sequence, steps: Sequence[int], layer: Any = None, bins: int = 400
) -> "Figure":
    """Draw how a distribution of log-eigenvalues changed; returns a Matplotlib figure."""
    data = spectrum_evolution(spectra, steps, layer, bins)
    figure = require("matplotlib.figure", extra="plot").Figure(
        figsize=(7.0, 4.0), layout="constrained"
    )
    axes = figure.subplots()
    colours = require("matplotlib", extra="plot").colormaps["viridis"]
    for i, (step, shares) in enumerate(zip(data.steps, data.shares, strict=True)):
        colour = colours(i / max(len(data.steps) - 1, 1))
        axes.plot(data.centers, np.cumsum(shares), color=colour, label=f"{step} batches")
    curves = [SpectrumCurve("", "", data.centers, shares) for shares in data.shares]
    axes.set_xlim(*_span(curves))
    axes.set_xlabel("natural log of the eigenvalue")
    axes.set_ylabel("cumulative share of eigenvalues")
    axes.set_title("all layers" if layer is None else str(layer), fontsize="medium")
    if len(data.steps) <= 12:
        axes.legend(fontsize="small")
    return figure


def _centers(bins):
    edges = np.linspace(LOW, HIGH, bins + 1)
    return (edges[:-1] + edges[1:]) / 2


def _network_shares(spectrum, bins):
    counts = sum(block.histogram(bins) for block in spectrum.blocks)
    return counts / spectrum.parameters


def _span(curves):
    """The part of the axis that holds eigenvalues above e^−100."""
    used = np.any([curve.shares[1:] > 0 for curve in curves], axis=0).nonzero()[0]
    if not len(used):
        return LOW, HIGH
    centers = curves[0].centers[1:]
    return centers[used[0]] - 2, centers[used[-1]] + 2
