"""Probing: the spectrum of each function from the same start, or the reason why it has none."""

import dataclasses
import os
import random
import sys
import types
import warnings

import keras
import numpy as np
import pytest

import keras_actfn
from keras_actfn.expressions import SearchSpace
from keras_actfn.fisher import fisher_spectrum
from keras_actfn.initialization import autoinit
from keras_actfn.search.feature_store import FeatureStore
from keras_actfn.search.pool import Pool
from keras_actfn.search.probe import Probe, screen
from keras_actfn.search.probing import _in_rounds, _Shipped, _task, probe_many

X = np.random.RandomState(0).randn(16, 12).astype("float32")
Y = np.arange(16) % 3
SPACE = SearchSpace(
    ["binary(unary(x),unary(x))"], unary=["zero", "relu", "tanh"], binary=["add", "max"]
)


def build(activation):
    return keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(20),
            keras_actfn.activation(activation),
            keras.layers.Dense(15),
            keras_actfn.activation(activation),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


def dense_chain(activations):
    """The same network from Keras's own layers."""
    keras.utils.set_random_seed(5)
    sizes = zip((20, 15, 3), activations, strict=True)
    layers = [keras.layers.Dense(size, activation=activation) for size, activation in sizes]
    return keras.Sequential([keras.Input((12,)), *layers])


@pytest.mark.parametrize("mode", ["exact", "empirical", "sampled"])
def test_the_result_is_the_spectrum_at_the_seeds_initial_weights(mode):
    result = Probe(build, X, Y, seed=5, mode=mode).result("tanh", 7)
    model = dense_chain(["tanh", "tanh", "softmax"])
    expected = fisher_spectrum(model, X, Y, mode=mode, seed=5)
    assert (result.id, result.reason) == (7, None)
    assert result.parameters == (260, 315, 48)
    np.testing.assert_allclose(result.cdf, expected.features(), atol=1e-6)
    assert result.cdf.shape == (5,) and result.cdf.dtype == np.float32


def test_the_callers_random_state_is_untouched():
    before = random.getstate()
    Probe(build, X, seed=5).result("relu")
    assert random.getstate() == before


def test_weights_are_scaled_first_on_request():
    x = 3 * X + 1
    model = dense_chain(["tanh", "tanh", "softmax"])
    autoinit(model, input_mean=float(x.mean()), input_variance=float(x.var()))
    result = Probe(build, x, seed=5, autoinit=True).result("tanh")
    np.testing.assert_allclose(result.cdf, fisher_spectrum(model, x).features(), atol=1e-6)
    assert np.abs(result.cdf - Probe(build, x, seed=5).result("tanh").cdf).max() > 0.01


@pytest.mark.parametrize(
    ("expression", "scale", "reason"),
    [
        ("reciprocal(zero(x))", 1, "its values are not finite on [-5, 5]"),
        ("exp(exp(exp(x)))", 1, "its values are not finite on [-5, 5]"),
        ("exp(x)", 1e3, "the network's output is not finite"),
        ("one(x)", 1, "layer 1: all its eigenvalues are zero"),
    ],
)
def test_a_function_that_fails_is_a_result_with_the_reason(expression, scale, reason):
    result = Probe(build, scale * X).result(expression, 3)
    assert (result.id, result.reason) == (3, reason)
    assert result.cdf is None


def test_an_error_of_one_function_is_its_reason():
    def picky(activation):
        if "tanh" in activation:
            raise KeyError("no tanh here\nsecond line")
        return build(activation)

    assert Probe(picky, X).result("tanh(x)+x").reason == "KeyError: 'no tanh here\\nsecond line'"
    assert Probe(picky, X).result("swish(x)").reason is None


@pytest.mark.parametrize("expression", ["relu", "tanh"])
def test_an_error_of_the_builder_is_raised(expression):
    def broken(activation):
        raise RuntimeError("no such layer")

    with pytest.raises(RuntimeError, match="no such layer"):
        Probe(broken, X).result(expression)


def test_an_error_of_the_labels_is_raised():
    with pytest.raises(ValueError, match="needs the labels: pass y"):
        Probe(build, X, mode="empirical").result("tanh")


def test_a_gradient_that_is_not_finite_is_seen_where_the_output_is():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Activation(keras.ops.sqrt)])
    assert screen(model, np.ones((2, 4))) is None
    assert screen(model, np.zeros((2, 4))) == "the network's gradient is not finite"


def test_models_on_token_numbers_are_screened_by_their_output():
    model = keras.Sequential(
        [keras.Input((4,), dtype="int32"), keras.layers.Embedding(9, 3), keras.layers.Flatten()]
    )
    tokens = np.arange(8).reshape(2, 4) % 9
    assert screen(model, tokens) is None
    model.layers[0].embeddings.assign(np.full((9, 3), np.nan))
    assert screen(model, tokens) == "the network's output is not finite"


def test_a_builder_that_passes_the_activation_on_is_accepted():
    Probe(build, X).check()


def test_a_builder_that_ignores_its_argument_is_refused():
    with pytest.raises(ValueError, match="same Fisher spectra with relu and with tanh"):
        Probe(lambda activation: build("selu"), X).check()


def test_a_builder_that_changes_more_than_the_activation_is_refused():
    def wider(activation):
        width = 20 if activation == "relu(x)" else 21
        return keras.Sequential(
            [
                keras.Input((12,)),
                keras.layers.Dense(width),
                keras_actfn.activation(activation),
                keras.layers.Dense(3, activation="softmax"),
            ]
        )

    with pytest.raises(ValueError, match=r"\[260, 63\] with ReLU and \[273, 66\] with tanh"):
        Probe(wider, X).check()


def test_inputs_without_a_spectrum_are_refused():
    with pytest.raises(ValueError, match=r"layer 1: its factors are not finite.*inputs are finite"):
        Probe(build, np.full_like(X, np.nan)).check()


@pytest.fixture
def pool():
    return Pool(SPACE.unique(), extra=["swish"])


def test_many_functions_are_probed_once_and_kept(tmp_path, pool):
    store = FeatureStore(tmp_path, {"seed": 5})
    seen = []
    ids = [
        pool.find(text) for text in ("relu", "tanh", "zero", "swish", "relu(x)", "tanh(x)+relu(x)")
    ]
    probe = Probe(build, X, seed=5)
    probed = probe_many(probe, pool, ids, store, progress=lambda *count: seen.append(count))
    assert probed == 5
    assert seen == [(i, 5) for i in range(1, 6)]
    features = store.load()
    assert features.invalid == {pool.find("zero"): "layer 1: all its eigenvalues are zero"}
    model = dense_chain(["silu", "silu", "softmax"])
    row = features.ids.tolist().index(pool.find("swish"))
    np.testing.assert_allclose(features.cdfs[row], fisher_spectrum(model, X).features(), atol=1e-6)
    assert probe_many(None, pool, ids, store) == 0


def test_an_interrupt_loses_nothing_that_is_done(tmp_path, pool):
    store = FeatureStore(tmp_path, {})
    ids = [pool.find(text) for text in ("relu", "tanh", "tanh(x)+relu(x)")]
    built = []

    def counted(activation):
        built.append(activation)
        return build(activation)

    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        probe_many(Probe(counted, X), pool, ids, store, progress=interrupt)
    assert store.ids() == set(ids[:2])
    probe_many(Probe(counted, X), pool, ids, store)
    assert store.ids() == set(ids)
    assert built == pool.names(ids)


def test_layers_without_a_spectrum_are_warned_about_once(tmp_path, pool):
    @keras.saving.register_keras_serializable("test_probing")
    class Scale(keras.layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")

        def call(self, x):
            return x * self.scale

    def scaled(activation):
        model = build(activation)
        return keras.Sequential([keras.Input((12,)), Scale(), *model.layers])

    ids = [pool.find(text) for text in ("relu", "tanh", "swish")]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        probe_many(Probe(scaled, X), pool, ids, FeatureStore(tmp_path, {}))
    assert ["leaves out 1 layer" in str(w.message) for w in caught].count(True) == 1


@pytest.mark.once
@pytest.mark.parametrize("kind", ["threading", "multiprocessing"])
def test_threads_and_forks_are_refused(tmp_path, pool, kind):
    import joblib

    with (
        joblib.parallel_config(kind),
        pytest.raises(ValueError, match="processes that are no fork"),
    ):
        probe_many(Probe(build, X), pool, [0, 1], FeatureStore(tmp_path, {}), workers=2)


def self_contained_builder():
    """A builder for processes that cannot import this file; swish fails with their number."""

    def build(activation):
        import os

        import keras

        import keras_actfn

        if activation == "swish(x)":
            raise RuntimeError(os.getpid())
        layers = keras.layers
        hidden = [layers.Dense(20), keras_actfn.activation(activation), layers.Dense(15)]
        hidden.append(keras_actfn.activation(activation))
        return keras.Sequential(
            [keras.Input((12,)), *hidden, layers.Dense(3, activation="softmax")]
        )

    return build


def compare_with_this_process(tmp_path, pool):
    ids = [pool.find(text) for text in ("relu", "tanh", "zero", "swish", "tanh(x)+relu(x)")]
    store = FeatureStore(tmp_path, {})
    probe_many(Probe(self_contained_builder(), X, seed=5), pool, ids, store, workers=2)
    features = store.load()
    error = features.invalid.pop(pool.find("swish"))
    assert error.startswith("RuntimeError: ") and error != f"RuntimeError: {os.getpid()}"
    assert list(features.invalid) == [pool.find("zero")]
    assert store.ids() == set(ids)
    for number, cdf in zip(features.ids, features.cdfs, strict=True):
        expected = Probe(build, X, seed=5).result(pool.expression(number)).cdf
        np.testing.assert_allclose(cdf, expected, atol=1e-6)


@pytest.mark.once
def test_processes_on_this_machine_give_the_same(tmp_path, pool):
    compare_with_this_process(tmp_path, pool)


@pytest.mark.once
def test_a_dask_cluster_gives_the_same(tmp_path, pool):
    import joblib
    from dask.distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster), joblib.parallel_config("dask"):
        compare_with_this_process(tmp_path, pool)


@pytest.mark.once
def test_a_backend_of_lists_is_given_a_few_at_a_time():
    import joblib

    taken = []
    jobs = (taken.append(i) or joblib.delayed(abs)(-i) for i in range(20))
    with joblib.parallel_config("threading"):
        results = _in_rounds(joblib, jobs, workers=2)
        assert next(results) == 0
        assert taken == list(range(8))
        assert list(results) == list(range(1, 20))


@pytest.mark.once
def test_a_ray_cluster_gives_the_same(tmp_path, pool, monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # else a token is written to the home folder
    ray = pytest.importorskip("ray", reason="no Ray here: pip install keras-actfn[ray]")
    import joblib
    from ray.util.joblib import register_ray

    register_ray()
    small = {"num_cpus": 2, "object_store_memory": 100_000_000, "include_dashboard": False}
    with ray.init("local", log_to_driver=False, **small), joblib.parallel_config("ray"):
        compare_with_this_process(tmp_path, pool)


MODULE = "def build_elsewhere(activation):\n    return activation + '!'\n"


@pytest.mark.once
def test_a_module_is_found_where_the_search_finds_it(tmp_path, monkeypatch):
    """As in the current folder, which a console script has not on its path."""
    (tmp_path / "module_elsewhere.py").write_text(MODULE)
    with monkeypatch.context() as here:
        here.syspath_prepend(tmp_path)
        from module_elsewhere import build_elsewhere

        shipped = _Shipped.of(Probe(build_elsewhere, X), 1)
    sys.modules.pop("module_elsewhere")  # in another process it is not imported yet
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert shipped.load().build_model("relu") == "relu!"
    sys.modules.pop("module_elsewhere")


@pytest.mark.once
def test_a_module_that_a_worker_cannot_import(monkeypatch):
    module = types.ModuleType("module_nowhere")
    exec(MODULE, module.__dict__)
    with monkeypatch.context() as here:
        here.setitem(sys.modules, "module_nowhere", module)
        shipped = _Shipped.of(Probe(module.build_elsewhere, X), 1)
    with pytest.raises(ValueError, match=r"No module named 'module_nowhere'.*PYTHONPATH"):
        shipped.load()


@pytest.mark.once
def test_workers_of_another_backend_are_refused(pool):
    with pytest.raises(ValueError, match="Start workers with KERAS_BACKEND=numpy"):
        _task(
            dataclasses.replace(_Shipped.of(Probe(build, X), 1), backend="numpy"),
            0,
            "relu(x)",
            False,
        )
