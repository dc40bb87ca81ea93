"""Sphinx extension: `llms.txt`, the site's pages with a line on each, for language models."""

from pathlib import Path

from docstrings import summary
from gallery_functions import functions
from public_names import comment_of, packages, public_names

_HEAD = """# keras-actfn

> Activation functions that are learned, derived or searched for, in any Keras 3 model, on
> TensorFlow, JAX and PyTorch. `keras_actfn.activation(spec)` makes an activation layer,
> `training.compare` compares activations in pairs, `search.ActivationSearch` looks for better ones.
"""


def setup(app):
    """Write the file with the site."""
    app.connect("build-finished", write_llms)
    return {"parallel_read_safe": True}


def write_llms(app, exception):
    """Write `llms.txt` at the root of the site."""
    if exception is None and app.builder.format == "html":
        path = Path(app.outdir) / "llms.txt"
        path.write_text(llms_text(app.env.titles), encoding="utf-8")


def llms_text(titles) -> str:
    """The text.

    Args:
        titles: The title of each document, as Sphinx's environment has them.
    """

    def line(document, about=""):
        title = titles[document].astext()
        return f"- [{title}]({document}.html)" + (f": {about}" if about else "")

    own = sorted(name for name in titles if "/" not in name and name != "index")
    tutorials = sorted(name for name in titles if name.startswith("tutorials/0"))
    about_functions = [line(f"functions/{each.name}", each.entry.advice) for each in functions()]
    names = [line(f"reference/{package}") for package in packages()]
    for name in public_names():
        about = comment_of(name) if name.kind == "data" else name.value.__doc__
        names.append(f"- [{name.full}](reference/{name.full}.html): {summary(about)}")
    return "\n".join(
        [
            _HEAD,
            "## Guides\n",
            *map(line, own),
            "\n## Tutorials\n",
            line("tutorials/index"),
            *map(line, tutorials),
            "\n## Functions: when to use each\n",
            line("functions/index", "a table that filters and sorts"),
            *about_functions,
            "\n## Reference\n",
            line("reference/index"),
            line("reference/commands", "every option of every command"),
            *names,
            "",
        ]
    )
