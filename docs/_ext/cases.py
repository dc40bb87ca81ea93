"""Formulas with cases, which Matplotlib's mathematics does not know: parts beside each other."""

import re
from collections.abc import Callable, Iterable

_CASES = re.compile(r"\\begin\{cases\}(.*?)\\end\{cases\}", re.DOTALL)


def has_cases(latex: str) -> bool:
    """Whether a formula has an environment `cases`."""
    return bool(_CASES.search(latex))


def draw_cases(latex: str, draw: Callable[[str], str]) -> str:
    r"""A formula in HTML, its `cases` one below the other behind a brace.

    Args:
        latex: The formula, such as `f(x) = \begin{cases} x & x > 0 \\ 0 & x \le 0 \end{cases}`.
        draw: Gives the HTML of a formula without cases.
    """
    parts = []
    for i, part in enumerate(_CASES.split(latex)):
        if i % 2:
            rows = [row.split("&") for row in part.split(r"\\") if row.strip()]
            parts.append(braced([[draw(cell.strip()) for cell in row] for row in rows]))
        elif part.strip():
            parts.append(draw(part.strip()))
    return f'<div class="definition">{"".join(parts)}</div>'


def braced(rows: Iterable[Iterable[str]]) -> str:
    """Cases in HTML.

    Args:
        rows: A value and its condition each, drawn; the condition may be "".
    """
    cells = "".join(f"<span>{cell}</span>" for row in rows for cell in row)
    return f'<span class="brace"></span><span class="cases">{cells}</span>'
