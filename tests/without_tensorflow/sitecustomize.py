"""Python reads this first where the folder is on its path: Keras is imported in half the time.

Keras imports, where they are installed, TensorFlow on every backend, to seed it, and libraries
whose data it takes, or which it draws or saves with. While it is imported these are missing, and
TensorFlow stays so.
"""

import os
import sys
from importlib.machinery import ModuleSpec

BACKEND = os.environ.get("KERAS_BACKEND")
LEFT_OUT = {"jax", "matplotlib", "pandas", "sklearn"} - {BACKEND}


class Missing:
    """Finds what is left out, which raises the error of a missing library when it is imported."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        keras = getattr(sys.modules.get("keras"), "__spec__", None)
        being_imported = getattr(keras, "_initializing", False)
        return ModuleSpec(name, cls) if name in LEFT_OUT and being_imported else None

    @staticmethod
    def create_module(spec):
        raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name)

    @staticmethod
    def exec_module(module):
        """Never called: there is no module."""


if BACKEND in ("jax", "torch"):
    sys.modules["tensorflow"] = None
if BACKEND in ("tensorflow", "jax", "torch"):
    sys.meta_path.insert(0, Missing)
