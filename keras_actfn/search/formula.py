"""Formulas as pictures: LaTeX to an inline SVG, with Matplotlib's mathematics."""

import html

from .._optional import require

_SIZE = 20  # units of the picture in one em of the page
_LETTERS = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}  # Matplotlib's codes of a path


def formula_svg(latex: str, label: str) -> str | None:
    """A formula as an SVG element in the colour of the text around it.

    Args:
        latex: The formula in LaTeX, as `Expression.latex` writes it.
        label: What a screen reader says.

    Returns:
        The element; None for LaTeX that Matplotlib cannot draw.

    Example:
    ```python
    from keras_actfn import expressions

    formula_svg(expressions.parse("relu(x)").latex(), "relu(x)")  # '<svg role="img" …
    ```
    """
    text_path = require("matplotlib.textpath", extra="plot")
    try:
        path = text_path.TextPath((0, 0), f"${latex}$", size=_SIZE)
    except ValueError:  # a command that it does not know
        return None
    if not len(path.vertices):
        return None
    left, bottom, right, top = path.get_extents().padded(1).extents
    words = []
    for vertices, code in path.iter_segments():
        points = [] if code == 79 else vertices.reshape(-1, 2) * (1, -1)
        words.append(_LETTERS[code] + " ".join(f"{x:.1f},{y:.1f}" for x, y in points))
    width, height = right - left, top - bottom
    return (
        f'<svg role="img" aria-label="{html.escape(label)}" '
        f'viewBox="{left:.1f} {-top:.1f} {width:.1f} {height:.1f}" '
        f'style="width:{width / _SIZE:.2f}em">'
        f'<path fill="currentColor" d="{"".join(words)}"/></svg>'
    )
