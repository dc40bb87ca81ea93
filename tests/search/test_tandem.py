"""One activation function for each of several groups of places."""

import keras
import numpy as np
import pytest
from small_search import task_of

from keras_actfn import activation, search
from keras_actfn.expressions import SearchSpace, parse
from keras_actfn.fisher import fisher_spectrum
from keras_actfn.models.seeds import seeds_drawn_from
from keras_actfn.search.pool import Pool
from keras_actfn.search.tandem import TandemPool, functions_of, latex_of

pytestmark = pytest.mark.once

SPACE = SearchSpace(
    ["binary(unary(x),unary(x))"],
    unary=["identity", "relu", "tanh", "square", "zero"],
    binary=["add", "max"],
)
X = np.random.default_rng(0).normal(size=(24, 6)).astype("float32")


def build(early, late):
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(40),
            activation(early),
            keras.layers.Dense(40),
            activation(late),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def wish(text):
    """Best for tanh in front and ReLU behind."""
    x = np.linspace(-3, 3, 61)
    early, late = (function(x) for function in functions_of(text))
    return -float(np.abs(early - np.tanh(x)).mean() + np.abs(late - np.maximum(x, 0)).mean())


def open_search(folder, **options):
    return search.ActivationSearch(
        task_of(wish, X, build),
        SPACE,
        groups=2,
        from_scratch=True,
        baselines=("relu", "tanh"),
        embedding="pca",
        storage=folder / "search.db",
        **options,
    )


@pytest.fixture(scope="module")
def pool():
    return TandemPool(Pool(SPACE.unique(), extra=("relu", "tanh")), 2)


def test_numbers(pool):
    n = len(pool.pool)
    assert len(pool) == n**2
    assert pool.digits(3 * n + 5) == (3, 5) and pool.number((3, 5)) == 3 * n + 5
    first, second = pool.pool.outputs([3, 5])
    np.testing.assert_array_equal(pool.outputs([3 * n + 5])[0], np.concatenate([first, second]))
    assert pool.names([3 * n + 5]) == ["; ".join(pool.pool.names([3, 5]))]
    assert pool.find(pool.names([3 * n + 5])[0]) == 3 * n + 5
    assert pool.digits(pool.find("relu")) == (pool.pool.find("relu"),) * 2
    with pytest.raises(ValueError, match="one function or 2, separated by ';'"):
        pool.find("relu; tanh; relu")
    with pytest.raises(IndexError, match="there is no number"):
        pool.digits(n**2)
    with pytest.raises(ValueError, match="Groups are 2 or more"):
        TandemPool(pool.pool, 1)


def test_draws_extend_each_other(pool):
    few, more = pool.draw(5, seed=1), pool.draw(12, seed=1)
    assert more[:5] == few and len(set(more)) == 12
    everything = pool.draw(10**6, seed=0, without=few)
    finite = int(pool.pool.valid.sum())
    assert len(set(everything)) == finite**2 - 5 and not set(few) & set(everything)


def test_texts():
    assert latex_of("relu(x); tanh(x)").split(r",\ ") == [
        parse("relu(x)").latex(),
        parse("tanh(x)").latex(),
    ]


def test_a_search(tmp_path):
    found = open_search(tmp_path, probes=30)
    found.run(14)
    rows = found.table()
    assert len({row.candidate for row in rows}) == 14
    assert {row.expression for row in rows if row.baseline} == {
        "relu(x); relu(x)",
        "tanh(x); tanh(x)",
    }
    for row in rows:
        assert row.value == pytest.approx(wish(row.expression))
    early, late = found.best.layers()
    x = np.array([-1.5, 0.5, 2.0], "float32")
    functions = functions_of(found.best.expression)
    for layer, function in zip((early, late), functions, strict=True):
        values = keras.ops.convert_to_numpy(layer(keras.ops.convert_to_tensor(x)))
        np.testing.assert_allclose(values, function(x), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"one for each of 2 groups.*Use layers\(\)"):
        found.best.layer()
    assert "; " in found.report(tmp_path / "report.html").read_text()


def test_spectra_are_those_of_the_network_with_both(tmp_path):
    found = open_search(tmp_path)
    found.probe(4)
    features = found.store.load()
    number = int(features.ids[-1])
    with seeds_drawn_from(0):
        model = build(*map(str, functions_of(found.pool.expression(number))))
    expected = fisher_spectrum(model, X).features()
    row = features.cdfs[features.ids.tolist().index(number)]
    np.testing.assert_allclose(row, expected, atol=1e-6)
