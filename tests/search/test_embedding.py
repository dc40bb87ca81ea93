"""The embedding: what decides places, missing spectra, small and degenerate pools, errors."""

import warnings

import numpy as np
import pytest
from reference.act_bench import synthetic_bench
from scipy.spatial.distance import cdist, pdist
from threadpoolctl import threadpool_limits

from keras_actfn.search.embedding import (
    EMBEDDINGS,
    embed,
    output_graph,
    prepare_outputs,
    prepare_spectra,
    spectrum_graph,
)

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def bench():
    return synthetic_bench()


def test_pca_is_the_singular_value_decomposition_of_both_features(bench):
    outputs, cdfs = np.arcsinh(bench.outputs[1:].astype("float64")), bench.cdfs[1:] * bench.weights
    scaled = []
    for part in (outputs, cdfs):
        part = part - part.mean(0)
        scaled.append(part / np.sqrt((part**2).sum(1).mean()))
    u, s, _ = np.linalg.svd(np.concatenate(scaled, axis=1), full_matrices=False)
    expected = u[:, :2] * s[:2]
    found = embed(bench.outputs[1:], bench.cdfs[1:], weights=bench.weights, method="pca")
    np.testing.assert_allclose(pdist(found), pdist(expected), rtol=1e-3, atol=1e-4)


def test_a_candidate_without_a_spectrum_is_placed_by_its_outputs(bench):
    rows = [*range(1, 40), 5]
    cdfs = bench.cdfs[rows].copy()
    cdfs[-1] = np.nan
    for method in ("pca", "spectra"):  # 15 spectra: no UMAP
        few = slice(25, None)
        outputs, part = bench.outputs[rows][few].copy(), cdfs[few].copy()
        part[-1], outputs[-1] = np.nan, outputs[3]
        places = embed(outputs, part, method=method)
        np.testing.assert_allclose(places[-1], places[3], atol=1e-6)
    assert np.isfinite(embed(bench.outputs[rows], cdfs, method="pca")).all()


def test_union_is_the_sum_of_two_umap_models(bench):
    """One test for all that needs UMAP, which compiles for tens of seconds."""
    import umap

    rows = np.arange(1, 60)
    outputs, cdfs = bench.outputs[rows], bench.cdfs[rows]
    weighted = (cdfs * bench.weights).astype("float32")
    shape = umap.UMAP(n_neighbors=15, min_dist=0.1, random_state=0)
    spectrum = umap.UMAP(metric="manhattan", n_neighbors=3, min_dist=0.1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape.fit(np.arcsinh(outputs))
        spectrum.fit(weighted)
        union = spectrum + shape
    found = output_graph(np.arcsinh(outputs), 0)
    np.testing.assert_allclose(found.toarray(), shape.graph_.toarray(), atol=2e-3)
    found = spectrum_graph(weighted, 0)
    np.testing.assert_allclose(found.toarray(), spectrum.graph_.toarray(), atol=2e-3)
    # `+` lays out with the seed 42; chaotic in the last digits, so neighbourhoods are compared.
    places = embed(outputs, cdfs, weights=bench.weights, seed=42)
    same = [
        set(a[1:9]) & set(b[1:9])
        for a, b in zip(
            cdist(places, places).argsort(1),
            cdist(union.embedding_, union.embedding_).argsort(1),
            strict=True,
        )
    ]
    assert np.mean([len(part) / 8 for part in same]) > 0.6

    again = embed(outputs, cdfs, weights=bench.weights, seed=42)
    np.testing.assert_array_equal(places, again)
    missing = cdfs.copy()
    missing[::2] = np.nan
    assert np.isfinite(embed(outputs, missing)).all()
    np.testing.assert_array_equal(embed(outputs, None), embed(outputs, method="outputs"))
    copies = np.repeat(outputs[:6], 5, axis=0)
    assert np.isfinite(embed(copies, np.repeat(cdfs[:6], 5, axis=0))).all()


@pytest.mark.parametrize("method", EMBEDDINGS)
@pytest.mark.parametrize("count", [1, 2, 3, 8, 15])
def test_small_pools(method, count, bench):
    rows = slice(1, 1 + count)
    cdfs = bench.cdfs[rows].copy()
    cdfs[1:2] = np.nan
    places = embed(bench.outputs[rows], cdfs, method=method)
    assert places.shape == (count, 2)
    assert np.isfinite(places).all()


@pytest.mark.parametrize("method", EMBEDDINGS)
def test_equal_candidates(method):
    places = embed(np.ones((10, 5)), np.ones((10, 4)), method=method)
    np.testing.assert_allclose(places, np.broadcast_to(places[0], (10, 2)), atol=1e-9)


def test_equal_spectra_have_the_same_neighbors_whatever_the_number_of_threads():
    rng = np.random.default_rng(0)
    cdfs = np.sort(rng.random((40, 30)), axis=1).astype("float32")[rng.integers(0, 40, 300)]
    graphs = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            graphs.append(spectrum_graph(cdfs, 0).toarray())
    np.testing.assert_array_equal(*graphs)


def test_huge_outputs_are_finite_places():
    outputs = np.random.default_rng(0).normal(size=(40, 30))
    outputs[:5] *= 1e37
    assert np.isfinite(embed(outputs, method="pca")).all()


def test_weighted_spectra_have_the_distances_of_equation_2(bench):
    prepared = prepare_spectra(bench.cdfs, bench.weights)
    expected = pdist(bench.cdfs[1:].astype("float64") * bench.weights, "cityblock")
    found = pdist(prepared[1:], "cityblock")
    np.testing.assert_allclose(found / found[0], expected / expected[0], rtol=1e-4)


def test_bins_without_differences_are_left_out_and_change_no_distance():
    cdfs = np.random.default_rng(0).random((6, 5)).astype("float32")
    padded = np.concatenate([np.zeros((6, 3)), cdfs, np.ones((6, 2))], axis=1)
    prepared = prepare_spectra(padded)
    assert prepared.shape == (6, 6)  # the last bin stays
    np.testing.assert_allclose(pdist(prepared, "cityblock"), pdist(cdfs, "cityblock"), rtol=1e-5)


def test_outputs_are_compressed():
    one = np.log(1 + np.sqrt(2))
    np.testing.assert_allclose(prepare_outputs([[0.0, 1.0, -1.0]]), [[0, one, -one]], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(outputs=[[1.0], [np.inf]]), "1 of 2 candidates have others, the first is row 1"),
        (dict(outputs=[1.0]), "one row a candidate"),
        (dict(outputs=[[1.0]], method="tsne"), "one of union, outputs, spectra, pca"),
        (dict(outputs=[[1.0]], method="spectra"), "no candidate has one"),
        (dict(outputs=[[1.0]], cdfs=[[np.nan]], method="spectra"), "no candidate has one"),
        (dict(outputs=[[1.0]], cdfs=[[1.0], [1.0]]), "2 spectra and 1 outputs"),
        (dict(outputs=[[1.0]], cdfs=[[1.0, np.nan]]), "partly finite"),
        (dict(outputs=[[1.0]], cdfs=[[1.0]], weights=[1.0, 2.0]), "each of the 1 bins"),
        (dict(outputs=None, cdfs=[[1.0]], method="union"), "needs outputs"),
        (dict(outputs=None, cdfs=[[1.0], [np.nan]], method="pca"), "placed by their outputs"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        embed(**arguments)
