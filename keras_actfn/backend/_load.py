"""The module of the running Keras backend."""

import importlib

import keras

from .protocol import Backend

BACKENDS = ("tensorflow", "jax", "torch")

_name = keras.backend.backend()
if _name not in BACKENDS:
    raise ImportError(
        f"keras_actfn runs on the Keras backends {', '.join(BACKENDS)}; KERAS_BACKEND is "
        f"'{_name}'. Set the environment variable KERAS_BACKEND to one of them before "
        "importing keras."
    )

backend: Backend = importlib.import_module(f"{__package__}.{_name}")
