"""Other activations in existing models, weights kept.

`find_activations` lists where a model has activations, `replace_activations` gives a new
model with others, `set_activation_trainable` switches their learning, and
`freeze_activations` fixes what was learned for serving.
"""

from .freeze import freeze_activations, set_activation_trainable
from .replace import replace_activations, select
from .sites import ActivationSite, find_activations

__all__ = [
    "ActivationSite",
    "find_activations",
    "freeze_activations",
    "replace_activations",
    "select",
    "set_activation_trainable",
]
