"""The pictures of the gallery: curves, sections of functions of two numbers, Fisher spectra."""

from collections.abc import Mapping
from pathlib import Path

import keras
import matplotlib
import numpy as np
from function_facts import Function, curve_of
from keras_actfn.applications import LeNet5
from matplotlib.figure import Figure

from keras_actfn import datasets
from keras_actfn.expressions import Operator
from keras_actfn.fisher import FisherSpectrum, fisher_spectrum
from keras_actfn.plotting import spectrum_figure

#: Beyond this a picture is cut off.
_EXTENT = 4.0

# The same picture has the same file, so that only what changed is built again.
matplotlib.rcParams["svg.hashsalt"] = "keras-actfn"


def curve_picture(function: Function, path: Path) -> None:
    """Draw f, f′ and f″ beside each other in one frame."""
    curve = curve_of(function)
    axes, figure = _axes()
    labels = ("f(x)", "f′(x)", "f″(x)")
    for values, label, style, width in zip(
        curve.derivatives, labels, ("-", "--", ":"), (2.0, 1.4, 1.4), strict=True
    ):
        axes.plot(curve.x, np.where(abs(values) < 50, values, np.nan), style, lw=width, label=label)
    _finish(figure, axes, curve.derivatives[0], path)


def sections_picture(operator: Operator, path: Path) -> None:
    """Draw an operator of two numbers or more as functions of x for three values of y."""
    x = np.linspace(-6, 6, 481)
    axes, figure = _axes()
    drawn = []
    for y in (-1.0, 0.5, 2.0):
        with np.errstate(all="ignore"):
            values = np.asarray(operator.on_arrays(x, np.full_like(x, y)), float)
        drawn.append(np.where(np.isfinite(values), values, np.nan))
        steep = np.abs(np.diff(values, prepend=values[0])) > 2
        axes.plot(x, np.where(steep, np.nan, values), lw=1.6, label=f"{operator.name}(x, {y:g})")
    _finish(figure, axes, np.concatenate(drawn), path)


def _axes():
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.axhline(0, color="0.8", lw=0.8, zorder=0)
    axes.axvline(0, color="0.8", lw=0.8, zorder=0)
    axes.set_xlabel("x")
    axes.set_xlim(-6, 6)
    return axes, figure


def _finish(figure, axes, values, path):
    finite = values[np.isfinite(values)]
    low, high = np.clip([min(finite.min(), -1.2), max(finite.max(), 1.2)], -_EXTENT, _EXTENT)
    axes.set_ylim(low - 0.1, high + 0.1)
    axes.legend(frameon=False, loc="best")
    figure.savefig(path, metadata={"Date": None})


def thumbnail(function: Function) -> str:
    """A small curve as an SVG element, in the colour of the text."""
    x = np.linspace(-4, 4, 65)
    with np.errstate(all="ignore"):
        values = np.broadcast_to(np.asarray(function(x), float), x.shape)
    runs, words = True, []
    for position, value in zip(x, values, strict=True):
        if not np.isfinite(value) or abs(value) > 3:
            runs = True
            continue
        words.append(f"{'M' if runs else 'L'}{position * 8 + 32:.0f},{24 - 8 * value:.1f}")
        runs = False
    return (
        '<svg class="thumbnail" viewBox="0 0 64 48" aria-hidden="true"><path class="axes" '
        f'd="M0,24H64M32,0V48"/><path d="{"".join(words)}"/></svg>'
    )


def save_spectra(specs: Mapping[str, str | None], folder: Path) -> set[str]:
    """Draw the Fisher spectrum of LeNet-5 with each activation beside ReLU's.

    Args:
        specs: Specification of each activation by its name.
        folder: Where `NAME_spectrum.png` is written.

    Returns:
        The names whose spectrum is valid.
    """
    relu = _spectrum("relu")
    valid = set()
    for name, spec in specs.items():
        if spec is None:
            continue
        spectrum = _spectrum(spec)
        if not spectrum.valid:
            continue
        valid.add(name)
        path = folder / f"{name}_spectrum.png"
        spectrum_figure(
            {name: spectrum, "ReLU": relu} if name != "relu" else {"ReLU": relu}
        ).savefig(path, dpi=80)
    return valid


def _spectrum(spec: str) -> FisherSpectrum:
    data = datasets.digits(image_size=28)
    x = data.x_train[datasets.balanced_indices(data.y_train, 32)]
    keras.utils.set_random_seed(0)
    return fisher_spectrum(LeNet5(activation=spec), x)
