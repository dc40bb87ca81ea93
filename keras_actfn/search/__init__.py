"""Search for the activation function that a model should use on its data.

`ActivationSearch` needs Optuna, scikit-learn, UMAP and SciPy: install `keras-actfn[search]`.
"""

from .loop import BASELINES, ActivationSearch
from .objective import Evaluation, TrainingObjective
from .results import BestActivation, SearchRow

__all__ = [
    "BASELINES",
    "ActivationSearch",
    "BestActivation",
    "Evaluation",
    "SearchRow",
    "TrainingObjective",
]
