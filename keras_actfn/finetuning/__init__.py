"""Training a model against another one: distillation, and tuning on preferences."""

from .distillation import Distillation
from .preference import DirectPreferenceOptimization, SupervisedFineTuning, dpo_optimizer
from .preference_data import Preference, WordTokenizer, encode, read_hh, read_shp

__all__ = [
    "DirectPreferenceOptimization",
    "Distillation",
    "Preference",
    "SupervisedFineTuning",
    "WordTokenizer",
    "dpo_optimizer",
    "encode",
    "read_hh",
    "read_shp",
]
