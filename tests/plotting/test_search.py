"""Figures of a search: the numbers behind them, and what they draw."""

import numpy as np
import pytest

from keras_actfn.expressions import parse
from keras_actfn.plotting.functions import function_curve
from keras_actfn.plotting.search import (
    SearchMap,
    draw_functions,
    draw_search_map,
    draw_search_progress,
    search_progress,
)
from keras_actfn.search import SearchRow

pytestmark = pytest.mark.once

ROWS = [
    SearchRow(3, 13, "b(x)", 0.7),
    SearchRow(0, 10, "relu(x)", 0.5, baseline=True),
    SearchRow(5, 14, "c(x)", 0.9, pruned=True),
    SearchRow(1, 11, "tanh(x)", None, diverged=True, baseline=True),
]


def test_the_best_so_far_is_of_evaluations_that_ended():
    progress = search_progress(ROWS)
    np.testing.assert_array_equal(progress.values, [0.5, np.nan, 0.7, 0.9])
    np.testing.assert_array_equal(progress.best, [0.5, 0.5, 0.7, 0.7])
    np.testing.assert_array_equal(progress.baseline, [True, True, False, False])
    first_fails = search_progress([ROWS[3], ROWS[0]])
    np.testing.assert_array_equal(first_fails.best, [np.nan, 0.7])


def test_failures_are_drawn_as_such():
    axes = draw_search_progress(search_progress(ROWS), "validation accuracy").axes[0]
    marks = {line.get_label(): line.get_xdata().tolist() for line in axes.lines}
    assert marks["failed"] == [2]
    assert axes.get_ylabel() == "validation accuracy"
    ended = draw_search_progress(search_progress(ROWS[:3]))
    assert "failed" not in {line.get_label() for line in ended.axes[0].lines}


def test_a_map_with_failures_names_the_best_of_the_others():
    places = np.arange(10.0).reshape(5, 2)
    values = np.array([0.5, np.nan, 0.7])
    placed = SearchMap(places, np.arange(3), values, ("a", "b", "c"))
    axes = draw_search_map(placed).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["c", "a"]
    assert draw_search_map(SearchMap(places, np.arange(1), values[1:2], ("b",))).axes


def test_a_curve_beyond_the_frame_leaves_it():
    """It is not drawn flat along the frame, where the function has other values."""
    square, tanh = (function_curve(parse(text)) for text in ("square(x)", "tanh(x)"))
    steep, flat = draw_functions([(square, 0.5), (tanh, 0.4)]).axes
    np.testing.assert_allclose(steep.lines[-1].get_ydata(), square.x**2)
    low, high = steep.get_ylim()
    assert high == 6.0 and -0.5 < low < 0
    low, high = flat.get_ylim()
    assert -1.2 < low < -1 and 1 < high < 1.2


@pytest.mark.parametrize("text", ["zero(x)", "9+x*0", "exp(exp(exp(x)))", "reciprocal(zero(x))"])
def test_frames_of_degenerate_functions(text):
    axes = draw_functions([(function_curve(parse(text)), 0.5)]).axes[0]
    low, high = axes.get_ylim()
    assert -6 <= low < high <= 6
