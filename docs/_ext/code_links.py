"""Sphinx extension: code in running text that is a public name links to its page."""

import collections
import re

from docutils import nodes
from public_names import packages, public_names
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

_NAME = re.compile(r"^([A-Za-z_][\w.]*)(\(.*\))?$")


def setup(app):
    """Add the transform."""
    app.add_post_transform(LinkCode)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class LinkCode(SphinxPostTransform):
    """Link `PWL`, `keras_actfn.layers.PWL` and `fisher_spectrum(model, x)`, not `x`.

    A name without its package is linked where only one package has it.
    """

    default_priority = 900
    pages: dict[str, str] | None = None

    def run(self, **_):
        """Wrap each literal that is a name."""
        if LinkCode.pages is None:
            LinkCode.pages = pages_of_names()
        for node in list(self.document.findall(nodes.literal)):
            match = _NAME.match(node.astext())
            if match is None or _inside_link(node):
                continue
            page = self.pages.get(match[1])
            if page is None or page == self.env.docname:
                continue
            link = make_refnode(self.app.builder, self.env.docname, page, "", node.deepcopy())
            node.replace_self(link)


def pages_of_names() -> dict[str, str]:
    """The page of each public name, by its full name and, where only one has it, its short one."""
    names = public_names()
    count = collections.Counter(name.name for name in names)
    pages = {package: f"reference/{package}" for package in packages()}
    for name in names:
        full = f"reference/{name.full}"
        pages[name.full] = full
        pages[name.full.removeprefix("keras_actfn.")] = full
        if count[name.name] == 1 and len(name.name) > 3 and name.kind != "module":
            pages[name.name] = full
    return pages


def _inside_link(node):
    parent = node.parent
    while parent is not None:
        if isinstance(parent, nodes.reference | nodes.title):
            return True
        parent = parent.parent
    return False
