"""What `keras.ops` lacks, in one thin module per backend with the same functions.

Every backend module defines each name of `__all__`, with the same meaning and,
in float32, the same numbers to 1e-5 relative. The rest of the package calls
`keras.ops` first and this package only for what is missing there.
"""

import importlib

import keras

BACKENDS = ("tensorflow", "jax", "torch")

_name = keras.backend.backend()
if _name not in BACKENDS:
    raise ImportError(
        f"keras_actfn runs on the Keras backends {', '.join(BACKENDS)}; KERAS_BACKEND is "
        f"'{_name}'. Set the environment variable KERAS_BACKEND to one of them before "
        "importing keras."
    )
_module = importlib.import_module(f"{__name__}.{_name}")



__all__ = []
