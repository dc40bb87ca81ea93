"""Which of Keras's backends a command runs on: the one that is asked for, or one that is there."""

import importlib.util
import json
import os
import sys
from pathlib import Path

#: Backends in the order of choice: name of the module and the extra, and name for people.
BACKENDS = {"jax": "JAX", "torch": "PyTorch", "tensorflow": "TensorFlow"}


def choose_backend() -> None:
    """Set `KERAS_BACKEND` if Keras would otherwise take a backend that is not installed.

    `KERAS_BACKEND` is taken as it is. Without it Keras takes the backend of its settings file, or
    TensorFlow; where that one is not installed, the first that is installed of JAX, PyTorch and
    TensorFlow is taken, and a line on standard error says so.

    Raises:
        ValueError: If `KERAS_BACKEND` is none of the three.
        ImportError: If `KERAS_BACKEND` is not installed, or no backend is.
    """
    asked = os.environ.get("KERAS_BACKEND")
    installed = [name for name in BACKENDS if _is_installed(name)]
    if asked and asked not in BACKENDS:
        raise ValueError(f"KERAS_BACKEND is jax, torch or tensorflow. Received: {asked!r}.")
    if not installed:
        raise ImportError(
            "Keras needs JAX, PyTorch or TensorFlow, and none is installed. Install one with: "
            'pip install "keras-actfn[jax]" (or torch, or tensorflow)'
        )
    if asked:
        if asked not in installed:
            raise ImportError(
                f"KERAS_BACKEND is '{asked}', but {BACKENDS[asked]} is not installed. Install it "
                f'with: pip install "keras-actfn[{asked}]". Or set KERAS_BACKEND to an installed '
                f"one: {', '.join(installed)}."
            )
        return
    default = _default_backend()
    if default in installed or default not in BACKENDS:
        return
    chosen = installed[0]
    os.environ["KERAS_BACKEND"] = chosen
    print(
        f"keras-actfn: {BACKENDS[default]}, Keras's default here, is not installed; using "
        f"{BACKENDS[chosen]} (KERAS_BACKEND={chosen}).",
        file=sys.stderr,
    )


def _default_backend() -> str:
    """What Keras takes without `KERAS_BACKEND`: the backend of its settings file, or TensorFlow."""
    home = os.environ.get("KERAS_HOME")
    path = Path(home or Path.home() / ".keras") / "keras.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # a stand-in without a spec
        return False
