"""Settings for every test."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

import keras
import pytest

if keras.backend.backend() == "torch":
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _fresh_names():
    """Start every test with Keras's automatic layer names at their beginning."""
    keras.backend.clear_session(free_memory=False)  # collecting garbage costs seconds on JAX
