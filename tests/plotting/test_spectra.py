"""The numbers behind the figures of spectra."""

import numpy as np
import pytest

from keras_actfn.fisher import BlockSpectrum, FisherSpectrum
from keras_actfn.fisher.factors import Pair
from keras_actfn.plotting import spectra

pytestmark = pytest.mark.once


def spectrum(scale):
    blocks = [
        BlockSpectrum("a", 4, [Pair(np.array([0.0, scale]), np.array([1.0, np.e]))]),
        BlockSpectrum("b", 2, [Pair(np.array([1.0]), np.array([1.0, scale]))]),
    ]
    return FisherSpectrum(blocks)


def test_curves_are_shares_of_eigenvalues():
    curves = spectra.spectrum_curves({"one": spectrum(1.0)}, bins=200)
    assert [(curve.label, curve.layer) for curve in curves] == [("one", "")]
    np.testing.assert_allclose(curves[0].centers[[0, 100, -1]], [-99.5, 0.5, 99.5])
    # Two zeros in the first bin, three eigenvalues 1, one eigenvalue e.
    found = {i: share for i, share in enumerate(curves[0].shares) if share}
    np.testing.assert_allclose([found[0], found[100], found[101]], [2 / 6, 3 / 6, 1 / 6])
    layers = spectra.spectrum_curves({"one": spectrum(1.0)}, layers=[1, "a"], bins=200)
    assert [curve.layer for curve in layers] == ["b", "a"]
    assert layers[0].shares[100] == 1.0


def test_evolution_has_one_row_a_step():
    found = spectra.spectrum_evolution([spectrum(1.0), spectrum(np.exp(5))], [0, 3], bins=200)
    assert found.shares.shape == (2, 200)
    np.testing.assert_allclose(found.shares.sum(axis=1), 1.0)
    assert found.shares[1, 105] > 0
    one = spectra.spectrum_evolution([spectrum(1.0)], [0], layer="b", bins=200)
    assert one.shares[0, 100] == 1.0
    with pytest.raises(ValueError, match="one step for each spectrum"):
        spectra.spectrum_evolution([spectrum(1.0)], [])


def test_figures_have_a_panel_a_layer():
    figure = spectra.spectrum_figure({"one": spectrum(1.0), "two": spectrum(2.0)}, ["a", "b"])
    assert [len(axes.lines) for axes in figure.axes] == [2, 2]
    figure = spectrum(1.0).plot()
    assert len(figure.axes) == 1
    assert len(spectra.evolution_figure([spectrum(1.0)], [0]).axes[0].lines) == 1
