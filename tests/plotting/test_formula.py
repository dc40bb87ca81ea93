"""Formulas as inline pictures."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from keras_actfn.expressions import SPACES, three_node
from keras_actfn.plotting.formula import Formulas, formula_svg
from keras_actfn.search.tandem import latex_of

pytestmark = pytest.mark.once


def numbers(text):
    return [float(number) for number in re.findall(r"-?[\d.]+(?:e-?\d+)?", text)]


def extent(svg):
    """Least and greatest coordinate of all that is drawn, x and y, after its transformations."""
    drawn = []

    def walk(element, scale, place):
        for child in element:
            transform = child.get("transform", "")
            if transform.startswith("scale"):
                walk(child, scale * numbers(transform)[0], place)
                continue
            shift = np.array(numbers(transform) or (0, 0))
            points = np.array(numbers(child.get("d"))).reshape(-1, 2)
            drawn.append(scale * (points + shift))

    walk(ElementTree.fromstring(svg), 1.0, 0.0)
    points = np.concatenate(drawn)
    return points.min(0), points.max(0)


def test_a_picture_holds_its_formula_upright():
    svg = formula_svg(r"\frac{x}{x \cdot x \cdot x}", "x/(x*x*x)")
    root = ElementTree.fromstring(svg)
    left, top, width, height = map(float, root.get("viewBox").split())
    low, high = extent(svg)
    assert left < low[0] < high[0] < left + width and top < low[1] < high[1] < top + height
    assert root.get("aria-label") == "x/(x*x*x)"
    # SVG counts downwards: the longer denominator lies at greater y than the numerator.
    assert root.get("fill") == "currentColor"
    over, under = (extent(formula_svg(text, "")) for text in (r"x^{xxx}", r"x_{xxx}"))
    assert over[0][1] < under[0][1] and over[1][1] < under[1][1]


def test_longer_formulas_are_wider():
    widths = [extent(formula_svg(text, ""))[1][0] for text in ("x", "x + x", "x + x + x + x")]
    assert widths == sorted(widths) and len(set(widths)) == 3


def test_what_cannot_be_drawn_is_none():
    assert formula_svg(r"\begin{cases} x \end{cases}", "") is None
    assert formula_svg(r"\quad", "") is None
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


def test_formulas_of_a_page_share_their_letters():
    formulas = Formulas()
    drawn = [formulas.svg(text, "") for text in (r"x + \frac{1}{x}", "x x x", r"x \le 1")]
    letters = ElementTree.fromstring(formulas.letters())[0]
    ids = [letter.get("id") for letter in letters]
    assert len(ids) == len(set(ids)) == len("x+1≤")
    used = [use.get("href") for svg in drawn for use in ElementTree.fromstring(svg).iter("use")]
    assert {name.removeprefix("#") for name in used} == set(ids)


def test_the_short_names_of_relations_are_known():
    short, long = (extent(formula_svg(text, "")) for text in (r"x \le 0", r"x \leq 0"))
    np.testing.assert_allclose(short, long)
    assert formula_svg(r"\left(x\right)", "") is not None
