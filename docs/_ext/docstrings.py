"""Docstrings as Markdown: the sections of Google's style become lists, the rest stays."""

import inspect
import itertools
import re
import textwrap

#: Sections whose entries are "name: text"; others are running text.
_ENTRIES = ("Args", "Attributes", "Raises", "Warns")
_TITLES = {"Args": "Arguments"}

#: The line above an indented block, or above an example that is not indented.
_HEADER = re.compile(r"^([A-Z][a-z]+(?: [a-z]+)?):$")
_ENTRY = re.compile(r"^(?P<name>[*\w.][^:`]*?): ?(?P<text>.*)$")


def markdown(docstring: str | None) -> str:
    r"""A docstring in Google's style as MyST Markdown.

    Example:
        >>> print(markdown("The sum.\n\nArgs:\n    x: A number."))
        The sum.
        <BLANKLINE>
        **Arguments**
        <BLANKLINE>
        `x`
        : A number.
        <BLANKLINE>
    """
    parts: list[str] = []
    for header, lines in _sections(inspect.cleandoc(docstring or "").splitlines()):
        body = textwrap.dedent("\n".join(lines)).strip("\n")
        if header:
            parts.append(f"**{_TITLES.get(header, header)}**")
        if header in _ENTRIES:
            parts += [_entry(name, text) for name, text in _entries(body)]
        elif body:
            parts.append(_with_doctests_fenced(body))
    return "\n\n".join(parts) + "\n"


def summary(docstring: str | None) -> str:
    """The first sentence of a docstring, on one line."""
    text = inspect.cleandoc(docstring or "").split("\n\n")[0]
    text = " ".join(text.split())
    return re.split(r"(?<=[^.]\.) (?=[A-Z`])", text)[0].rstrip(":")


def _sections(lines):
    """[(header or "", lines)]; a section of entries ends at the first line without indentation."""
    found = [("", [])]
    fenced = False
    for line, following in itertools.pairwise([*lines, ""]):
        header = None if fenced else _HEADER.match(line)
        if header and not (following.startswith("    ") or header[1].startswith("Example")):
            header = None
        if line.strip().startswith("```"):
            fenced = not fenced
        if header:
            found.append((header[1], []))
        elif found[-1][0] in _ENTRIES and line.strip() and not line.startswith(" "):
            found.append(("", [line]))
        else:
            found[-1][1].append(line)
    return found


def _entries(body):
    entries: list[tuple[str, list[str]]] = []
    for line in body.splitlines():
        match = _ENTRY.match(line)
        if match and not line.startswith(" "):
            entries.append((match["name"], [match["text"]]))
        elif entries:
            entries[-1][1].append(line)
    return [(name, _dedented(lines)) for name, lines in entries]


def _dedented(lines):
    first, rest = lines[0], textwrap.dedent("\n".join(lines[1:]))
    return f"{first}\n{rest}".strip()


def _entry(name, text):
    """A definition; the names before a comma are several arguments."""
    names = ", ".join(f"`{each.strip()}`" for each in name.split(","))
    return f"{names}\n: " + textwrap.indent(_with_doctests_fenced(text), "  ").lstrip()


def _with_doctests_fenced(text):
    if ">>>" not in text:
        return text
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        starts = line.lstrip().startswith(">>>")
        if starts and not inside:
            lines += ["", "```pycon"]
            inside = True
        elif inside and not line.strip():
            lines += ["```"]
            inside = False
        lines.append(line)
    return "\n".join(lines + (["```"] if inside else []))
