"""Formulas as inline pictures."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from keras_actfn.expressions import SPACES, three_node
from keras_actfn.search.formula import formula_svg
from keras_actfn.search.tandem import latex_of

pytestmark = pytest.mark.once


def extent(svg):
    """Least and greatest coordinate of the drawn path, x and y, from its text."""
    numbers = re.findall(r"(-?[\d.]+),(-?[\d.]+)", ElementTree.fromstring(svg)[0].get("d"))
    points = np.array(numbers, float)
    return points.min(0), points.max(0)


def test_a_picture_holds_its_formula_upright():
    svg = formula_svg(r"\frac{x}{x \cdot x \cdot x}", "x/(x*x*x)")
    root = ElementTree.fromstring(svg)
    left, top, width, height = map(float, root.get("viewBox").split())
    low, high = extent(svg)
    assert left < low[0] < high[0] < left + width and top < low[1] < high[1] < top + height
    assert root.get("aria-label") == "x/(x*x*x)"
    # SVG counts downwards: the longer denominator lies at greater y than the numerator.
    assert root[0].get("fill") == "currentColor"
    over, under = (extent(formula_svg(text, "")) for text in (r"x^{xxx}", r"x_{xxx}"))
    assert over[0][1] < under[0][1] and over[1][1] < under[1][1]


def test_longer_formulas_are_wider():
    widths = [extent(formula_svg(text, ""))[1][0] for text in ("x", "x + x", "x + x + x + x")]
    assert widths == sorted(widths) and len(set(widths)) == 3


def test_what_cannot_be_drawn_is_none():
    assert formula_svg(r"\begin{cases} x \end{cases}", "") is None
    assert formula_svg("", "") is None


def test_every_operator_of_the_spaces_can_be_drawn():
    """Each space's lists, in the first function that holds each operator."""
    texts = {"relu(x); tanh(x)", "gelu(x)"}
    for make in SPACES.values():
        lists = make().get_config()
        texts |= {f"{name}(x)" for name in lists["unary"]}
        texts |= {f"{name}(x,tanh(x))" for name in lists["binary"]}
    texts |= {str(three_node()[i]) for i in range(0, 5103, 211)}
    assert [text for text in sorted(texts) if formula_svg(latex_of(text), text) is None] == []


def test_a_label_is_quoted():
    assert 'aria-label="a&lt;b&quot;"' in formula_svg("x", 'a<b"')
