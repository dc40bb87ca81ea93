"""keras_actfn"""
from ._version import __version__
