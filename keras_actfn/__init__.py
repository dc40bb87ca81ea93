"""Activation functions that are learned, derived or searched for, in any Keras 3 model.

    import keras_actfn

    model.add(keras_actfn.activation("aff(identity,relu,tanh)"))

`import keras_actfn` does not import Keras. Whatever needs it does so when it is first used, and
saved models find this package's layers all the same. The packages `layers`, `surgery`, `fisher`,
`search` and so on are attributes of this module; those that need more libraries than Keras and
NumPy name the extra to install.
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import _keras_import
from ._version import __version__

if TYPE_CHECKING:
    from . import constraints, expressions, layers
    from ._activation import activation, register_layer

__all__ = [
    "__version__",
    "activation",
    "constraints",
    "expressions",
    "layers",
    "register_layer",
]

#: Functions of `_activation`, imported when they are first used.
_FUNCTIONS = ("activation", "register_layer")

#: Public packages, imported when they are first used as an attribute.
_PACKAGES = (
    "applications",
    "callbacks",
    "constraints",
    "datasets",
    "expressions",
    "finetuning",
    "fisher",
    "initialization",
    "layers",
    "plotting",
    "search",
    "surgery",
    "testing",
    "theory",
    "training",
)

_keras_import.register_deferred_classes()


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        value = getattr(importlib.import_module("._activation", __name__), name)
    elif name in _PACKAGES:
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})
