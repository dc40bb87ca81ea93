"""Sphinx extension: formulas drawn at build time, so that a page needs no script and no network."""

from cases import draw_cases, has_cases
from docutils import nodes
from sphinx.util import logging

from keras_actfn.plotting.formula import formula_svg

logger = logging.getLogger(__name__)


def setup(app):
    """Make this the renderer of mathematics in HTML."""
    app.add_html_math_renderer("mathtext", (_inline, None), (_display, None))
    app.connect("config-inited", _choose)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _choose(app, config):
    config.html_math_renderer = "mathtext"


def draw(latex: str, node: nodes.Node | None = None) -> str:
    """A formula as an SVG element; one that cannot be drawn is a warning and shown as text."""
    latex = " ".join(latex.split())
    drawn = formula_svg(latex, latex)
    if drawn is None:
        logger.warning("this formula cannot be drawn: %s", latex, location=node)
        return f"<code>{latex}</code>"
    return drawn


def _inline(writer, node):
    writer.body.append(f'<span class="formula">{draw(node.astext(), node)}</span>')
    raise nodes.SkipNode


def _display(writer, node):
    if has_cases(node.astext()):
        writer.body.append(draw_cases(node.astext(), lambda latex: draw(latex, node)))
        raise nodes.SkipNode
    writer.body.append(f'<div class="formula">{draw(node.astext(), node)}</div>')
    raise nodes.SkipNode
