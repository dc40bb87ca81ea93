"""The cores of a machine, shared out among workers."""

import os
import subprocess
import sys

import numpy as np
import pytest

from keras_actfn.expressions import SearchSpace
from keras_actfn.search import cores
from keras_actfn.search.feature_store import FeatureStore
from keras_actfn.search.pool import Pool
from keras_actfn.search.probe import Probe
from keras_actfn.search.probing import probe_many

pytestmark = pytest.mark.once


@pytest.fixture
def unset(monkeypatch):
    for name in cores.VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("workers", "threads"), [(1, 8), (2, 4), (3, 2), (8, 1), (9, 1), (100, 1), (-1, 1)]
)
def test_shares(workers, threads, monkeypatch):
    monkeypatch.setattr(cores, "cores", lambda: 8)
    assert cores.share(workers) == threads


def test_what_the_user_has_set_stays(unset, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    found = cores.environment(2)
    assert found.pop("OMP_NUM_THREADS") == "7"
    assert set(found.values()) == {"2"} and "NPROC" in found and "TF_NUM_INTRAOP_THREADS" in found


def test_a_share_is_given_back(unset, monkeypatch):
    import torch

    monkeypatch.setattr(cores, "cores", lambda: 6)
    monkeypatch.setenv("MKL_NUM_THREADS", "5")
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        with cores.shared_among(3) as share:
            assert (share, torch.get_num_threads()) == (2, 2)
            assert (os.environ["NPROC"], os.environ["MKL_NUM_THREADS"]) == ("2", "5")
        assert torch.get_num_threads() == 4
        assert "NPROC" not in os.environ and os.environ["MKL_NUM_THREADS"] == "5"
        with cores.shared_among(1) as share:
            assert share == 6 and torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(threads)


def test_processes_that_compute_spectra_take_their_share(unset, tmp_path, monkeypatch):
    """The builder fails with what it sees in its process, which is then the reason."""

    def build(activation):
        import os

        import torch

        if activation == "relu(x)":  # which would be the builder's own fault
            import keras

            return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
        names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "NPROC")
        raise RuntimeError([torch.get_num_threads(), *(os.environ[name] for name in names)])

    pool = Pool(SearchSpace(["unary(x)"], unary=["tanh", "sigmoid", "square"]).unique())
    x = np.full((4, 4), 0.3, "float32")
    store = FeatureStore(tmp_path, {})
    workers = 2 * cores.cores()
    probe_many(Probe(build, x), pool, range(3), store, workers=workers)
    assert set(store.load().invalid.values()) == {"RuntimeError: [1, '1', '1', '1']"}


def test_the_variables_are_what_backends_read():
    """PyTorch takes the number of its threads from one of them."""
    program = "import torch; print(torch.get_num_threads())"
    environment = {**os.environ, **dict.fromkeys(cores.VARIABLES, "1")}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True)
    assert int(found.stdout) == 1
