"""Activation functions that are learned, derived or searched for, in any Keras 3 model.

    import keras_actfn

    model.add(keras_actfn.activation("aff(identity,relu,tanh)"))

`keras_actfn.fisher`, `plotting` and `cli` are imported by name, as they need more
libraries than Keras and NumPy.
"""

from . import constraints, expressions, layers
from ._version import __version__
from .activation import activation, register_layer

__all__ = [
    "__version__",
    "activation",
    "constraints",
    "expressions",
    "layers",
    "register_layer",
]
