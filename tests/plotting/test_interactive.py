"""The map of functions as a page: every point where it is, every card with its function."""

import json
import re

import numpy as np
import pytest

from keras_actfn.plotting.interactive import (
    MOST_UNEVALUATED,
    MapView,
    function_card,
    map_html,
    views_html,
)
from keras_actfn.plotting.search import SearchMap

pytestmark = pytest.mark.once


def placed(candidates=8):
    coordinates = np.random.default_rng(0).normal(size=(candidates, 2))
    values = np.array([0.7, np.nan, 0.9])
    return SearchMap(coordinates, np.array([5, 1, 3]), values, ("relu(x)", "exp(x)", "a<b"))


def drawn(page):
    """The traces that Plotly is given, and the cards."""
    traces = re.search(r'Plotly\.newPlot\(\s*"map",\s*(\[.*?\]),\s*\{"template', page, re.DOTALL)
    return json.loads(traces[1]), json.loads(re.search(r'id="map-cards">(.*?)</script>', page)[1])


def test_points_lie_where_the_embedding_puts_them_and_lead_to_their_cards():
    found = placed()
    traces, cards = drawn(map_html(found, "accuracy", ["first", "second", "</script>third"]))
    ground, failed, ended = traces
    assert len(ground["x"]) == 5 and ground["hoverinfo"] == "skip"
    assert failed["customdata"] == [1] and "failed" in failed["text"][0]
    assert ended["customdata"] == [0, 2]  # the best is drawn last, on top
    np.testing.assert_allclose(ended["x"], found.coordinates[[5, 3], 0], atol=1e-3)
    np.testing.assert_allclose(ended["y"], found.coordinates[[5, 3], 1], atol=1e-3)
    assert ended["marker"]["color"] == [0.7, 0.9] and ended["text"][1] == "a&lt;b<br>0.9000"
    assert cards == ["first", "second", "</script>third"]


def test_the_ground_of_a_large_space_is_thinned_out():
    traces, _ = drawn(map_html(placed(10 * MOST_UNEVALUATED), "accuracy", [""] * 3))
    assert MOST_UNEVALUATED / 2 < len(traces[0]["x"]) <= MOST_UNEVALUATED


def test_colours_may_begin_above_the_least_value():
    traces, _ = drawn(map_html(placed(), "accuracy", [""] * 3, low=0.8))
    assert traces[-1]["marker"]["cmin"] == 0.8 and traces[-1]["marker"]["cmax"] == 0.9


def test_less_may_be_better():
    traces, _ = drawn(map_html(placed(), "loss", [""] * 3, mode="min"))
    assert traces[-1]["marker"]["color"] == [0.9, 0.7] and traces[-1]["marker"]["reversescale"]


def test_views_share_cards_and_one_is_shown():
    first, second = placed(), placed()
    page = views_html(
        {
            "a<b": MapView(first, "accuracy"),
            "loss": MapView(second, "loss", "min", None, [7, 8, 9]),
        },
        [""] * 10,
    )
    traces, _ = drawn(page)
    assert [trace["meta"] for trace in traces] == [0, 0, 0, 1, 1, 1]
    assert [trace["visible"] for trace in traces] == [True] * 3 + [False] * 3
    assert traces[2]["customdata"] == [0, 2] and traces[5]["customdata"] == [9, 7]
    assert "<option>a&lt;b</option><option>loss</option>" in page
    assert "<select" not in map_html(placed(), "accuracy", [""] * 3)


def test_one_card_for_each_evaluated_function():
    with pytest.raises(ValueError, match="one card for each evaluated function"):
        map_html(placed(), "accuracy", [""])


def test_a_card_has_the_formula_the_text_and_the_figures():
    card = function_card("<svg></svg>", "a<b", {"accuracy": "0.9"})
    assert card == "<p><svg></svg></p><code>a&lt;b</code><dl><dt>accuracy</dt><dd>0.9</dd></dl>"
    assert function_card(None, "x", {}).startswith("<code>")
