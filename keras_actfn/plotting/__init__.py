"""Figures: typed data first (`data`), drawing second. Drawing needs matplotlib."""

from .compiled import draw_compiled_site
from .curves import draw_learned_curves, draw_training_curves, save_figure
from .data import LearnedCurve, TrainingCurve, learned_curves, training_curves
from .functions import FunctionCurve, draw_function, function_curve
from .spectra import (
    SpectrumCurve,
    SpectrumEvolution,
    evolution_figure,
    spectrum_curves,
    spectrum_evolution,
    spectrum_figure,
)

__all__ = [
    "FunctionCurve",
    "SpectrumCurve",
    "SpectrumEvolution",
    "evolution_figure",
    "spectrum_curves",
    "spectrum_evolution",
    "spectrum_figure",
    "LearnedCurve",
    "TrainingCurve",
    "draw_compiled_site",
    "draw_function",
    "draw_learned_curves",
    "draw_training_curves",
    "function_curve",
    "learned_curves",
    "save_figure",
    "training_curves",
]
