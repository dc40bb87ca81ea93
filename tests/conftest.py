"""Settings for every test."""

import gc
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

import keras
import pytest

if keras.backend.backend() == "torch":
    import torch

    torch.set_num_threads(1)
elif keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # It rewrites every graph, for a tenth of all time, and graphs run here for a moment.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def pytest_ignore_collect(collection_path, config):
    """Leave out files of which all tests run once, unread, where the command leaves these out."""
    if config.option.markexpr == "not once" and collection_path.suffix == ".py":
        text = collection_path.read_text(encoding="utf-8")
        return True if "\npytestmark = pytest.mark.once\n" in text else None
    return None


#: Files with the longest tests.
LONGEST = ("test_tutorials.py", "test_docs.py")


def pytest_collection_modifyitems(items):
    """Begin with the longest tests, so that in the end no worker waits for another's."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_collection_finish():
    """Look for garbage less often, and never among the libraries: a twentieth of all time else."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def _quick_start():
    """Nothing is prepared that a moment's work does not need.

    Processes that tests start import no TensorFlow but on its own backend. PyTorch compiles no
    loops for large tensors, which takes seconds each; `test_torch_fusion.py` lets it.
    """
    from processes import hide_tensorflow

    hide_tensorflow()
    os.environ["TORCH_COMPILE_DISABLE"] = "1"


@pytest.fixture(autouse=True)
def _same_start():
    """Start every test with the same random state and Keras's automatic names at their beginning.

    What a test draws then depends on nothing but itself, whatever ran before it in its worker.
    """
    keras.utils.set_random_seed(0)
    keras.backend.clear_session(free_memory=False)  # collecting garbage costs seconds on JAX


@pytest.fixture
def tables_as_before(monkeypatch):
    """What an example registers is gone after it."""
    from keras_actfn import datasets
    from keras_actfn._activation import LAYERS
    from keras_actfn.expressions import registry
    from keras_actfn.fisher.registry import TREATMENTS
    from keras_actfn.search import REGRESSORS

    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    tables = (LAYERS, datasets.DATASETS, TREATMENTS, REGRESSORS)
    before = [dict(table) for table in tables]
    yield
    for table, rows in zip(tables, before, strict=True):
        table.clear()
        table.update(rows)


@pytest.fixture
def small_model(tmp_path, monkeypatch):
    """The working folder, new, with a module `small_model` whose `build` commands can name."""
    from small_search import MODEL

    (tmp_path / "small_model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("small_model", None)
