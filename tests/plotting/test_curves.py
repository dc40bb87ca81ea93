"""The curves of a comparison: each one can be seen, also where they coincide."""

import numpy as np
import pytest

from keras_actfn.plotting.curves import draw_learned_curves
from keras_actfn.training import Comparison, RunResult

pytestmark = pytest.mark.once


def run(activation):
    x = np.linspace(-4, 4, 9)
    steps = np.arange(1, 3)
    arrays = {"step": steps, "loss": 1 / steps, "accuracy": steps / 2, "x": x}
    numbers = (None, {"accuracy": 0.5}, 10, 2, None, 1.0, False)
    return RunResult(activation, 0, activation, *numbers, arrays | {"site_1": np.maximum(x, 0)})


def test_a_curve_below_others_that_coincide_with_it_is_wider():
    labels = ("relu", "conv(relu)", "pwl")
    figure = draw_learned_curves(Comparison(labels, (0,), tuple(map(run, labels)), {}))
    lines = {line.get_label(): line for line in figure.axes[0].lines if line.get_label() in labels}
    assert list(lines) == list(labels)  # in the order of drawing
    widths = [line.get_linewidth() for line in lines.values()]
    assert widths[0] > widths[1] + 1 > widths[2] + 2 > 2
    assert len({line.get_color() for line in lines.values()}) == 3
