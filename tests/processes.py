"""New processes."""

import os
from pathlib import Path

#: The environment of those for which the backend does not matter: JAX is imported in half the time.
ANY_BACKEND = {**os.environ, "KERAS_BACKEND": "jax"}

_FOLDER = Path(__file__).parent / "without_tensorflow"


def hide_tensorflow():
    """Let processes from now on import TensorFlow where it is their backend, and only there."""
    paths = [str(_FOLDER), os.environ.get("PYTHONPATH")]
    os.environ["PYTHONPATH"] = ANY_BACKEND["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
