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
def _same_start():
    """Start every test with the same random state and Keras's automatic names at their beginning.

    What a test draws then depends on nothing but itself, whatever ran before it in its worker.
    """
    keras.utils.set_random_seed(0)
    keras.backend.clear_session(free_memory=False)  # collecting garbage costs seconds on JAX
