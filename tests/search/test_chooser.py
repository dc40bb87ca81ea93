"""Which candidates a search has, and where their map places them."""

import numpy as np
import pytest

from keras_actfn.expressions import SearchSpace
from keras_actfn.fisher.spectrum import bin_weights
from keras_actfn.search.chooser import Chooser
from keras_actfn.search.embedding import embed
from keras_actfn.search.feature_store import FeatureStore, ProbeResult
from keras_actfn.search.pool import Pool

pytestmark = pytest.mark.once

#: Weights of two layers: bins of the first count 200/4 / 400, of the second 200/20 / 2000.
LAYERS = (400, 2000)


def test_the_map_weights_layers_as_equation_2_does(tmp_path):
    space = SearchSpace(["unary(unary(x))"], unary=["relu", "tanh", "exp", "sigmoid", "square"])
    pool = Pool(space.unique())
    cdfs = np.sort(np.random.default_rng(0).random((len(pool), 24)), axis=1).astype("float32")
    store = FeatureStore(tmp_path / "features", {})
    ids = np.flatnonzero(pool.valid)
    store.append(ProbeResult(int(i), cdfs[i], parameters=LAYERS) for i in ids)
    chooser = Chooser(pool, store, tmp_path, [], embedding="pca")
    outputs, cdfs = pool.outputs(ids), cdfs[ids]
    weights = np.repeat([50 / 400, 10 / 2000], [4, 20])
    np.testing.assert_allclose(weights, bin_weights(LAYERS))
    places = chooser.features.places()
    np.testing.assert_array_equal(places, embed(outputs, cdfs, weights=weights, method="pca"))
    assert not np.allclose(places, embed(outputs, cdfs, method="pca"), atol=1e-2)
    # Read again from the folder.
    again = Chooser(pool, store, tmp_path, [], embedding="pca")
    np.testing.assert_array_equal(again.features.places(), places)
