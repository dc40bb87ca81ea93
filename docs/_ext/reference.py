"""Sphinx extension: a page for every public name, written from its docstring."""

import importlib
import inspect
from pathlib import Path

from docstrings import markdown, summary
from pages import write_pages
from public_names import PublicName, comment_of, members, packages, public_names
from sphinx.util.inspect import signature, stringify_signature

FOLDER = "reference"

_INTRODUCTION = """# Reference

Every public name of the package, with its arguments, what it returns and what it raises. A name
that is not here is private and may change at any time. The command line has
[its own page](commands.md).
"""


def setup(app):
    """Write the pages before Sphinx looks for sources."""
    app.connect("builder-inited", lambda app: write_reference(Path(app.srcdir)), priority=100)
    return {"parallel_read_safe": True}


def write_reference(source: Path) -> None:
    """Write `reference/`: an index, a page for each package, one for each public name."""
    names = public_names()
    pages = {"index": _index(names), "commands": _commands()}
    for package in packages():
        of_package = [name for name in names if name.package == package]
        pages[package] = _package_page(package, of_package)
        pages |= {name.full: name_page(name) for name in of_package}
    write_pages(source / FOLDER, pages)


def name_page(name: PublicName) -> str:
    """The page of a public name, in MyST Markdown."""
    return f"# {name.name}\n\n{_DRAW[name.kind](name)}"


def _described(kind, heading, content, fence, options=()):
    """A description of Sphinx's Python domain."""
    lines = [f"{fence}{{py:{kind}}} {heading}", *options, "", content.strip("\n"), fence, ""]
    return "\n".join(lines)


def _function(name):
    heading = name.full + _signature(name.value)
    return _described("function", heading, markdown(name.value.__doc__), ":" * 3)


def _class(name):
    heading = name.full + _signature(name.value.__init__, bound=True)
    own = [_member(kind, member, value) for kind, member, value in members(name.value)]
    bases = [f"`{base.__name__}`" for base in public_bases(name.value)]
    based = f"Bases: {', '.join(bases)}\n\n" if bases else ""
    content = based + markdown(name.value.__doc__) + "\n" + "\n".join(own)
    return _described(name.kind, heading, content, ":" * 5)


def public_bases(cls: type) -> list[type]:
    """The bases of a class, those of a private base in its place."""
    public = {name.value for name in public_names() if name.kind in ("class", "exception")}
    found: dict[type, None] = {}
    for base in cls.__bases__:
        if base.__module__.startswith("keras_actfn") and base not in public:
            found |= dict.fromkeys(public_bases(base))
        elif base is not object:
            found[base] = None
    return list(found)


def _member(kind, name, function):
    if kind == "property":
        return _described("property", name, markdown(function.__doc__), "::::")
    options = [f":{kind}:"] if kind != "method" else []
    heading = name + _signature(function, bound=kind != "staticmethod")
    return _described("method", heading, markdown(function.__doc__), "::::", options)


def _data(name):
    content = comment_of(name)
    if isinstance(name.value, dict):
        content += "\n\nIts keys: " + ", ".join(f"`{key}`" for key in name.value) + "."
    elif isinstance(name.value, tuple | list):
        content += "\n\nIt has " + ", ".join(f"`{value}`" for value in name.value) + "."
    return _described("data", name.full, content, ":::")


def _module(name):
    parts = [f":::{{py:module}} {name.full}\n:::\n", markdown(name.value.__doc__)]
    for member, value in sorted(vars(name.value).items()):
        own = getattr(value, "__module__", "") == name.value.__name__
        if own and not member.startswith("_") and value.__doc__ and callable(value):
            kind = "class" if inspect.isclass(value) else "function"
            parts.append(_DRAW[kind](PublicName(name.full, member, value, kind)))
    return "\n".join(parts)


_DRAW = {
    "class": _class,
    "exception": _class,
    "function": _function,
    "data": _data,
    "module": _module,
}


def _signature(function, bound=False):
    try:
        found = signature(function, bound_method=bound)
    except (TypeError, ValueError):
        return "()"
    return stringify_signature(found, unqualified_typehints=True)


def _summary(name):
    return summary(comment_of(name) if name.kind == "data" else name.value.__doc__)


def _package_page(package, names):
    docstring = importlib.import_module(package).__doc__
    rows = [f"| [`{name.name}`]({name.full}.md) | {_cell(_summary(name))} |" for name in names]
    table = "\n".join(["| name | |", "|---|---|", *rows])
    return "\n".join(
        [
            f"# {package}\n",
            f":::{{py:module}} {package}\n:::\n",
            markdown(docstring),
            table,
            _toctree([name.full for name in names]),
        ]
    )


def _index(names):
    parts = [_INTRODUCTION]
    for package in packages():
        links = [f"[`{n.name}`]({n.full}.md)" for n in names if n.package == package]
        about = _cell(summary(importlib.import_module(package).__doc__))
        parts.append(f"## [{package}]({package}.md)\n\n{about}\n\n{' · '.join(links)}\n")
    return "\n".join([*parts, _toctree(["commands", *packages()])])


def _toctree(names):
    return "\n".join(["\n:::{toctree}", ":hidden:", ":maxdepth: 1", "", *names, ":::", ""])


def _cell(text):
    return text.replace("|", r"\|")


def _commands():
    """The help of every command, as the command line prints it."""
    from typer.main import get_command

    from keras_actfn.cli import build_app

    command = get_command(build_app())
    parts = ["# Command line\n", _help(command, "keras-actfn")]
    for name, child in command.commands.items():
        parts.append(f"## keras-actfn {name}\n\n{_help(child, f'keras-actfn {name}')}")
        for inner, grandchild in getattr(child, "commands", {}).items():
            full = f"keras-actfn {name} {inner}"
            parts.append(f"### {full}\n\n{_help(grandchild, full)}")
    return "\n".join(parts)


def _help(command, name):
    context = command.make_context(name, [], resilient_parsing=True, max_content_width=100)
    return f"```text\n{command.get_help(context).strip()}\n```\n"
