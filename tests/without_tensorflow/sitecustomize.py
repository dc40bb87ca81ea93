"""Python reads this first where the folder is on its path: Keras is imported in half the time.

Keras imports, where they are installed, TensorFlow on every backend, to seed it, and libraries
whose data it takes, or which it draws or saves with. While it is imported these are missing, and
TensorFlow stays so. On PyTorch it imports that one's compiler, to say what is not to be compiled;
processes that compile nothing get by with what it says.
"""

import importlib
import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

BACKEND = os.environ.get("KERAS_BACKEND")
LEFT_OUT = {"jax", "matplotlib", "pandas", "sklearn"} - {BACKEND}
COMPILER = "torch._dynamo"


def importing_keras():
    """Whether the import of Keras has begun and not ended."""
    keras = getattr(sys.modules.get("keras"), "__spec__", None)
    return getattr(keras, "_initializing", False)


class Compiler(ModuleType):
    """PyTorch's compiler, imported once anything is asked of it but to leave a function alone."""

    @staticmethod
    def disable(function=None):
        """What is not compiled anyway stays what it is."""
        return function if function else lambda function: function

    @staticmethod
    def reset():
        """There is nothing yet to forget."""

    def __getattr__(self, name):
        if importing_keras():
            raise AttributeError(name)
        if sys.modules.get(COMPILER) is self:
            del sys.modules[COMPILER]
        return getattr(importlib.import_module(COMPILER), name)


class Missing:
    """Finds what is left out, which raises the error of a missing library when it is imported."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        found = importing_keras() and name in {*LEFT_OUT, COMPILER}
        return ModuleSpec(name, cls) if found else None

    @staticmethod
    def create_module(spec):
        if spec.name == COMPILER:
            return Compiler(spec.name)
        raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name)

    @staticmethod
    def exec_module(module):
        """There is nothing to run."""


if BACKEND in ("jax", "torch"):
    sys.modules["tensorflow"] = None
if BACKEND in ("tensorflow", "jax", "torch"):
    sys.meta_path.insert(0, Missing)
