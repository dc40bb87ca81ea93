"""Candidates as points in the plane: the surrogate's low-dimensional space.

The published embedding (Efficient Activation Function Optimization through Surrogate Modeling,
section 4 and appendix D) is the union of two UMAP graphs: one of the activation functions'
outputs (Euclidean distance, 15 neighbours), one of their Fisher spectra (Manhattan distance of
the layers' cumulative distributions, 3 neighbours), laid out together (`min_dist` 0.1).

Here it departs from the paper in three points:

* Outputs are compared after y → arcsinh(y). Raw outputs contain finite values so large that
  float32 distances overflow and UMAP returns NaN.
* Neighbours come from scikit-learn, exactly, where that is quick, and from NN-descent where it
  is not; UMAP itself would compare all pairs below 4,096 rows, with every bin.
* A candidate without a spectrum has no edges in the second graph, so that its outputs alone
  decide where it lies.

Accuracies do not enter, so an embedding lasts until features of new candidates arrive.
The same seed gives the same coordinates on one machine with one number of threads: sums are
rounded in another order elsewhere, and a layout can enlarge that.
"""

import os
import warnings
from typing import TYPE_CHECKING

import numpy as np

from .._files import DamagedFile, read_npz, warn_made_again
from .._optional import require

if TYPE_CHECKING:
    import scipy.sparse

#: Neighbours of each candidate in the graph of outputs and in that of spectra, and UMAP's
#: least distance in the plane (appendix D, "UMAP Settings").
OUTPUT_NEIGHBORS = 15
SPECTRUM_NEIGHBORS = 3
MIN_DIST = 0.1

_COMPONENTS = 50  # principal components of the outputs in which neighbours are looked for
_FEWEST = OUTPUT_NEIGHBORS + 1  # candidates that UMAP's graph of outputs needs
_EXACT_WORK = 2e10  # differences above which exact neighbours take too long (tens of seconds)


def embed(
    outputs: np.ndarray | None,
    cdfs: np.ndarray | None = None,
    *,
    weights: np.ndarray | None = None,
    method: str = "union",
    seed: int = 0,
) -> np.ndarray:
    """Place candidates in the plane by their features.

    Args:
        outputs: Values of each activation function at the same inputs, (candidates, inputs),
            finite. None for the embeddings of spectra alone, when no spectrum is missing.
        cdfs: Cumulative distributions of each network's Fisher eigenvalues, (candidates, bins);
            a row of NaN where there is no spectrum. None: no candidate has one.
        weights: Weight of each bin, (bins,), that makes the Manhattan distance of two rows the
            paper's Eq. 2. None: all bins count alike.
        method: One of `EMBEDDINGS`: `"union"` of both features (the paper's best), `"outputs"`
            or `"spectra"` alone, or `"pca"`, two principal components of both features without
            UMAP, for small pools. Below 16 candidates, and 4 spectra, every method is `"pca"`
            of its features.
        seed: Seed of the layout.

    Returns:
        Float64 coordinates, (candidates, 2), finite.

    Raises:
        ValueError: If the method is unknown, outputs are not finite, rows do not match, or
            spectra are asked for and there is none.

    Example:
    ```python
    outputs = np.random.default_rng(0).normal(size=(100, 50))
    coordinates = embed(outputs, method="pca")
    ```
    """
    check_method(method)
    if outputs is not None:
        outputs = prepare_outputs(outputs)
    elif method not in ("spectra", "pca") or cdfs is None:
        raise ValueError(f"The embedding '{method}' needs outputs. Received: None.")
    if cdfs is not None:
        if outputs is not None and len(cdfs) != len(outputs):
            raise ValueError(
                "Spectra have the same rows as the outputs, NaN where there is none. Received: "
                f"{len(cdfs)} spectra and {len(outputs)} outputs."
            )
        cdfs = prepare_spectra(cdfs, weights)
    if method == "spectra" and cdfs is None:
        raise ValueError(
            "The embedding 'spectra' needs Fisher spectra, and no candidate has one. Probe some "
            "candidates first, or use method='outputs'."
        )
    coordinates = EMBEDDINGS[method](outputs, cdfs, seed)
    if not np.isfinite(coordinates).all():
        raise ValueError(
            f"The embedding '{method}' gave coordinates that are not finite for "
            f"{int((~np.isfinite(coordinates).all(1)).sum())} candidates. Use method='pca'."
        )
    return np.asarray(coordinates, "float64")


def read_coordinates(path: str | os.PathLike, candidates: int) -> np.ndarray | None:
    """Read the coordinates of an embedding that was kept as the array `coordinates` of an npz file.

    Args:
        path: The file.
        candidates: Number of rows that they have.

    Returns:
        (candidates, 2). None, so that they are made again, if there is no file, or with a
        warning if it is damaged.
    """
    try:
        arrays = read_npz(path, "Delete it.")
        if [array.shape for array in arrays.values()] != [(candidates, 2)]:
            raise DamagedFile(path, f"it holds no coordinates of {candidates} candidates", "")
    except FileNotFoundError:
        return None
    except DamagedFile as error:
        warn_made_again(error)
        return None
    return arrays["coordinates"]


def prepare_outputs(outputs: np.ndarray) -> np.ndarray:
    """Check outputs and compress them: arcsinh, float32.

    Args:
        outputs: As in `embed`.
    """
    outputs = np.asarray(outputs, "float32")
    if outputs.ndim != 2 or not outputs.size:
        raise ValueError(
            "Outputs are a table of one row a candidate, (candidates, inputs). Received: shape "
            f"{outputs.shape}."
        )
    bad = ~np.isfinite(outputs).all(1)
    if bad.any():
        raise ValueError(
            f"Outputs must be finite; {int(bad.sum())} of {len(outputs)} candidates have others, "
            f"the first is row {int(bad.argmax())}. Leave such candidates out of the pool."
        )
    return np.arcsinh(outputs)


def prepare_spectra(cdfs: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray | None:
    """Check spectra and weight them, float32.

    Bins in which all candidates are equal are left out: no distance depends on them.

    Args:
        cdfs: As in `embed`.
        weights: As in `embed`.

    Returns:
        (candidates, bins left), NaN where there is no spectrum; None if there is none at all.
        Weights are relative to the greatest one left.
    """
    cdfs = np.asarray(cdfs, "float32")
    if cdfs.ndim != 2:
        raise ValueError(
            "Spectra are a table of one row a candidate, (candidates, bins). Received: shape "
            f"{cdfs.shape}."
        )
    if weights is not None and np.shape(weights) != (cdfs.shape[1],):
        raise ValueError(
            f"Weights are one number for each of the {cdfs.shape[1]} bins. Received: shape "
            f"{np.shape(weights)}."
        )
    finite = np.isfinite(cdfs)
    known = finite.any(1)
    if not known.any():
        return None
    if not finite[known].all():
        raise ValueError(
            "A spectrum is finite, or NaN in every bin. Received: rows that are partly finite."
        )
    varied = np.nanmax(cdfs, axis=0) > np.nanmin(cdfs, axis=0)
    varied[-1] = True  # the table is never empty
    cdfs = cdfs[:, varied]
    if weights is not None:
        weights = np.asarray(weights, "float64")[varied]
        cdfs = cdfs * (weights / weights.max()).astype("float32")
    return cdfs


def _union(outputs, cdfs, seed):
    if len(outputs) < _FEWEST:
        return _pca(outputs, cdfs, seed)
    rows = _with_spectrum(cdfs)
    graph = output_graph(outputs, seed)
    if len(rows) <= SPECTRUM_NEIGHBORS:
        return _layout(graph, outputs, seed)
    umap = require("umap.umap_", extra="search")
    sparse = require("scipy.sparse", extra="search")
    part = spectrum_graph(cdfs[rows], seed).tocoo()
    size = (len(outputs), len(outputs))
    spread = sparse.coo_matrix((part.data, (rows[part.row], rows[part.col])), shape=size)
    # The next two lines are what `umap_of_spectra + umap_of_outputs` does.
    union = umap.general_simplicial_set_union(spread.tocsr(), graph.tocsr())
    return _layout(umap.reset_local_connectivity(union, True), None, seed)


def _outputs(outputs, cdfs, seed):
    if len(outputs) < _FEWEST:
        return _pca(outputs, None, seed)
    return _layout(output_graph(outputs, seed), outputs, seed)


def _spectra(outputs, cdfs, seed):
    rows, nearest = nearest_with_spectrum(outputs, cdfs)
    if len(rows) < _FEWEST:
        points = _principal(cdfs[rows], 2, seed)
    else:
        points = _layout(spectrum_graph(cdfs[rows], seed), cdfs[rows], seed)
    return points[nearest]


def _pca(outputs, cdfs, seed):
    features = [] if outputs is None else [_principal(outputs, _COMPONENTS, seed)]
    if cdfs is not None:
        rows, nearest = nearest_with_spectrum(outputs, cdfs)
        features.append(_principal(cdfs[rows], _COMPONENTS, seed)[nearest])
    # Both features with the same total variance, so that both count.
    scaled = [part / (np.sqrt(part.var(0).sum()) or 1.0) for part in features]
    return _principal(np.concatenate(scaled, axis=1), 2, seed)


#: Embeddings by name: functions of the prepared outputs, the prepared spectra, and the seed.
EMBEDDINGS = {"union": _union, "outputs": _outputs, "spectra": _spectra, "pca": _pca}


def _with_spectrum(cdfs):
    """The rows that have a spectrum."""
    return np.zeros(0, int) if cdfs is None else np.flatnonzero(np.isfinite(cdfs[:, -1]))


def nearest_with_spectrum(
    outputs: np.ndarray | None, cdfs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For every candidate, itself if it has a spectrum, else the nearest by outputs that has one.

    Args:
        outputs: From `prepare_outputs`; None if no spectrum is missing.
        cdfs: From `prepare_spectra`.

    Returns:
        The rows with a spectrum, and for every candidate a position among them.
    """
    rows = _with_spectrum(cdfs)
    if len(rows) == len(cdfs):
        return rows, rows
    if outputs is None:
        raise ValueError(
            "Candidates without a spectrum are placed by their outputs. Give outputs, or leave "
            f"the {len(cdfs) - len(rows)} candidates without a spectrum out."
        )
    neighbors = require("sklearn.neighbors", extra="search")
    found = neighbors.NearestNeighbors(n_neighbors=1).fit(outputs[rows])
    nearest = np.zeros(len(outputs), int)
    nearest[rows] = np.arange(len(rows))
    missing = np.setdiff1d(np.arange(len(outputs)), rows)
    if len(missing):
        nearest[missing] = found.kneighbors(outputs[missing], return_distance=False)[:, 0]
    return rows, nearest


def _principal(features, components, seed):
    """The first principal components, (rows, components); zeros where there are fewer."""
    decomposition = require("sklearn.decomposition", extra="search")
    found = min(components, *features.shape)
    points = np.zeros((len(features), components))
    if np.ptp(features, axis=0).any():
        pca = decomposition.PCA(found, svd_solver=_solver(features, found), random_state=seed)
        points[:, :found] = pca.fit_transform(np.asarray(features, "float64"))
    return points


def _solver(features, components):
    few = min(features.shape) <= 500 or components > 0.8 * min(features.shape)
    return "full" if few else "randomized"


def output_graph(outputs: np.ndarray, seed: int) -> "scipy.sparse.spmatrix":
    """UMAP's fuzzy graph of outputs; their first 50 components have the same neighbours.

    Args:
        outputs: From `prepare_outputs`.
        seed: Seed of the components.
    """
    points = _principal(outputs, _COMPONENTS, seed)
    neighbors = require("sklearn.neighbors", extra="search")
    search = neighbors.NearestNeighbors(n_neighbors=OUTPUT_NEIGHBORS).fit(points)
    return _fuzzy_graph(points, search.kneighbors(points, return_distance=False), 2, seed)


def spectrum_graph(cdfs: np.ndarray, seed: int) -> "scipy.sparse.spmatrix":
    """UMAP's fuzzy graph of spectra under the Manhattan distance.

    Args:
        cdfs: From `prepare_spectra`, rows without NaN.
        seed: Seed of NN-descent.
    """
    cdfs = np.ascontiguousarray(cdfs)
    if len(cdfs) * cdfs.size <= _EXACT_WORK:
        neighbors = require("sklearn.neighbors", extra="search")
        search = neighbors.NearestNeighbors(
            n_neighbors=SPECTRUM_NEIGHBORS, metric="manhattan", algorithm="brute"
        ).fit(cdfs)
        # Many spectra are equal, and which are found would depend on the number of threads.
        with require("threadpoolctl", extra="search").threadpool_limits(1):
            indices = search.kneighbors(cdfs, return_distance=False)
    else:
        pynndescent = require("pynndescent", extra="search")
        # More neighbours than needed: the first few are right more often.
        search = pynndescent.NNDescent(
            cdfs, metric="manhattan", n_neighbors=OUTPUT_NEIGHBORS, random_state=seed
        )
        indices = search.neighbor_graph[0][:, :SPECTRUM_NEIGHBORS]
    return _fuzzy_graph(cdfs, indices, 1, seed)


def _fuzzy_graph(points, indices, order, seed):
    """UMAP's fuzzy graph of given neighbours, under the distance |difference|_order."""
    umap = require("umap.umap_", extra="search")
    own = np.arange(len(points))
    # UMAP takes each row as its own first neighbour; a duplicate may have taken that place.
    for row in np.flatnonzero(indices[:, 0] != own):
        others = indices[row][indices[row] != row]
        indices[row] = [row, *others][: indices.shape[1]]
    # Searches by matrix products leave rounding in tiny distances, which UMAP would rescale.
    distances = np.stack(
        [np.linalg.norm(points[column] - points, order, axis=1) for column in indices.T], axis=1
    )
    graph, _, _ = umap.fuzzy_simplicial_set(
        points,
        indices.shape[1],
        np.random.RandomState(seed),
        "euclidean",  # not used: the neighbours are given
        knn_indices=indices,
        knn_dists=distances.astype("float32"),
    )
    return graph


def _layout(graph, points, seed):
    """UMAP's layout of a graph in the plane.

    The start is spectral where the graph is connected. Where it is not, UMAP starts from the
    places of the components if `points` are given, and at random for a union, as `+` does.
    """
    umap = require("umap.umap_", extra="search")
    csgraph = require("scipy.sparse.csgraph", extra="search")
    connected = csgraph.connected_components(graph)[0] == 1
    a, b = umap.find_ab_params(1.0, MIN_DIST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the spectral start, which falls back by itself
        coordinates, _ = umap.simplicial_set_embedding(
            points,
            graph,
            n_components=2,
            initial_alpha=1.0,
            a=a,
            b=b,
            gamma=1.0,
            negative_sample_rate=5,
            n_epochs=None,
            init="spectral" if connected or points is not None else "random",
            random_state=np.random.RandomState(seed),
            metric="euclidean",
            metric_kwds={},
            densmap=False,
            densmap_kwds={},
            output_dens=False,
        )
    return coordinates


def check_method(method: str) -> str:
    """The name of an embedding, or a ValueError that lists them."""
    if method not in EMBEDDINGS:
        raise ValueError(f"The embedding is one of {', '.join(EMBEDDINGS)}. Received: {method!r}.")
    return method
