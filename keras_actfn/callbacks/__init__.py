"""Keras callbacks for activations that change during training."""

from .activation_snapshots import ActivationSnapshots, Snapshots
from .eafo import EAFO, EafoRecord
from .fisher_probe import FisherProbe
from .local_correlation import LocalCorrelation
from .project_constraints import ProjectConstraints

__all__ = [
    "ActivationSnapshots",
    "EAFO",
    "EafoRecord",
    "FisherProbe",
    "LocalCorrelation",
    "ProjectConstraints",
    "Snapshots",
]
