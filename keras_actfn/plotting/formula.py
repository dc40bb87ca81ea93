"""Formulas as pictures: LaTeX to an inline SVG, with Matplotlib's mathematics."""

import html
import re
from typing import Any

import numpy as np

from .._optional import require

_SIZE = 20  # units of the picture in one em of the page
_LETTERS = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}  # Matplotlib's codes of a path
#: What Matplotlib does not know: short names of relations, and brackets of a fixed size.
_SHORT_RELATIONS = re.compile(r"\\([lg]e)(?![a-zA-Z])")
_SIZES = re.compile(r"\\[bB]igg?[lr](?![a-zA-Z])")


class Formulas:
    """Draws the formulas of a page, which share their letters.

    A formula then takes some hundred bytes instead of some thousand.

    Example:
    ```python
    from keras_actfn import expressions
    from keras_actfn.plotting.formula import Formulas

    formulas = Formulas()
    formulas.svg(expressions.parse("relu(x)").latex(), "relu(x)")  # '<svg role="img" …
    formulas.letters()  # '<svg hidden …', once on the page
    ```
    """

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._letters: dict[str, str] = {}

    def svg(self, latex: str, label: str) -> str | None:
        """A formula as an SVG element in the colour of the text around it.

        Args:
            latex: The formula in LaTeX, as `Expression.latex` writes it.
            label: What a screen reader says.

        Returns:
            The element; None for LaTeX that Matplotlib cannot draw.
        """
        text_path = require("matplotlib.textpath", extra="plot")
        font = require("matplotlib.font_manager", extra="plot").FontProperties()
        source = _SIZES.sub("", _SHORT_RELATIONS.sub(r"\\\1q", latex))
        try:
            placed, letters, bars = text_path.text_to_path.get_glyphs_mathtext(font, f"${source}$")
        except ValueError:  # a command that it does not know
            return None
        unit = _SIZE / text_path.text_to_path.FONT_SCALE
        parts, corners, present = [], [], None
        for name, x, y, scale in placed:
            vertices = np.asarray(letters[name][0], float).reshape(-1, 2)
            if not len(vertices):  # a space
                continue
            size = scale * unit
            at = np.array([x, y]) * unit
            corners += [vertices.min(0) * size + at, vertices.max(0) * size + at]
            if size != present:
                parts.append("</g>" * (present is not None) + f'<g transform="scale({size:.4g})">')
                present = size
            parts.append(f'<use href="#{self._letter(name, letters[name])}"{_place(at / size)}/>')
        parts.append("</g>" * (present is not None))
        for vertices, codes in bars:
            vertices = np.asarray(vertices, float) * unit
            corners += [vertices.min(0), vertices.max(0)]
            parts.append(f'<path d="{_drawn(vertices, codes)}"/>')
        if not corners:
            return None
        left, bottom = np.min(corners, axis=0) - 1
        right, top = np.max(corners, axis=0) + 1
        width, height = right - left, top - bottom
        return (
            f'<svg role="img" aria-label="{html.escape(label)}" '
            f'viewBox="{left:.1f} {-top:.1f} {width:.1f} {height:.1f}" fill="currentColor" '
            f'style="width:{width / _SIZE:.2f}em;vertical-align:{bottom / _SIZE:.2f}em">'
            f"{''.join(parts)}</svg>"
        )

    def letters(self) -> str:
        """The letters of all formulas so far, an element that shows nothing."""
        return (
            '<svg aria-hidden="true" width="0" height="0" style="position:absolute"><defs>'
            + "".join(f'<path id="{name}" d="{path}"/>' for name, path in self._letters.items())
            + "</defs></svg>"
        )

    def _letter(self, name: str, outline: Any) -> str:
        """The id of a letter, which is kept once."""
        if name not in self._ids:
            self._ids[name] = f"L{len(self._ids)}"
            self._letters[self._ids[name]] = _drawn(*outline)
        return self._ids[name]


def formula_svg(latex: str, label: str) -> str | None:
    """A formula as an SVG element by itself, with its letters; see `Formulas.svg`.

    Example:
    ```python
    from keras_actfn import expressions

    formula_svg(expressions.parse("relu(x)").latex(), "relu(x)")  # '<svg role="img" …
    ```
    """
    formulas = Formulas()
    drawn = formulas.svg(latex, label)
    if drawn is None:
        return None
    for name, path in formulas._letters.items():
        in_place = rf'<path transform="translate(\1 \2)" d="{path}"/>'
        drawn = re.sub(rf'<use href="#{name}" x="(\S+?)" y="(\S+?)"/>', in_place, drawn)
        drawn = re.sub(rf'<use href="#{name}" x="(\S+?)"/>', in_place.replace(r"\2", "0"), drawn)
    return drawn


def _place(at):
    y = f"{-at[1]:.0f}"
    return f' x="{at[0]:.0f}"' + ("" if y in ("0", "-0") else f' y="{y}"')


def _drawn(vertices, codes):
    """A path's data; in SVG y grows downwards."""
    points = np.asarray(vertices, float).reshape(-1, 2) * (1, -1)
    words, i = [], 0
    while i < len(codes):
        code = int(codes[i])
        count = {79: 0, 3: 2, 4: 3}.get(code, 1)
        pairs = " ".join(f"{x:.4g},{y:.4g}" for x, y in points[i : i + count])
        words.append(_LETTERS[code] + pairs)
        i += max(count, 1)
    return "".join(words)
