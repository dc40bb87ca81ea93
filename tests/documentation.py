"""Finds the examples and commands of the documents and docstrings."""

import ast
import dataclasses
import doctest
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")])

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE
)
_NOT_RUN = re.compile(r"<!-- not run: (?P<reason>.+?) -->\s*\Z")
_PROGRAM = r"(?:keras-actfn|pip|python|make)"
_COMMAND = re.compile(rf"^(?:    |\$ )?(?P<command>{_PROGRAM} .*)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Example:
    """A piece of code in a file, with the line of the file on which it begins.

    Attributes:
        path: The file.
        line: The line of the code's first line.
        text: The code.
        not_run: Why the example is not run, or None.
    """

    path: Path
    line: int
    text: str
    not_run: str | None = None

    def __str__(self):
        return f"{self.path.relative_to(ROOT)}:{self.line}"

    def compiled(self):
        """The code, compiled so that tracebacks show its file and lines."""
        return compile("\n" * (self.line - 1) + self.text, str(self.path), "exec")


def fenced(path, text, language, first_line=1):
    """The fenced blocks of `language` in a text that begins on `first_line` of its file."""
    found = []
    for match in _FENCE.finditer(text):
        if match["language"] == language:
            reason = _NOT_RUN.search(text, 0, match.start())
            line = first_line + text.count("\n", 0, match.start("text"))
            code = textwrap.dedent(match["text"])
            found.append(Example(path, line, code, reason and reason["reason"]))
    return found


def commands(path):
    """The command lines of a page: in fenced blocks without a language or of `sh`, or indented."""
    text = path.read_text(encoding="utf-8")
    shell = "\n".join(
        match["text"] for match in _FENCE.finditer(text) if match["language"] in ("", "sh")
    )
    prose = _FENCE.sub("", text)
    indented = "\n".join(line for line in prose.splitlines() if line.startswith("    "))
    found = [match["command"] for match in _COMMAND.finditer(f"{shell}\n{indented}")]
    inline = re.findall(rf"`({_PROGRAM} [^`]+)`", prose)
    return [re.sub(r"\s+#.*", "", command).strip() for command in [*found, *inline]]


def docstrings(path):
    """(name, docstring, its first line in the file) of everything in a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))

    def below(node, name):
        if ast.get_docstring(node, clean=False):
            yield name, node.body[0].value.value, node.body[0].lineno
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef):
                yield from below(child, f"{name}.{child.name}" if name else child.name)

    yield from below(tree, "")


def docstring_examples(path):
    """[(name, list of `Example`)] for the docstrings of a module that have fenced Python."""
    found = []
    for name, text, line in docstrings(path):
        examples = fenced(path, text, "python", line)
        if examples:
            found.append((name, examples))
    return found


def doctests(path):
    """The `doctest.DocTest` of each docstring of a module that has `>>>`."""
    parser = doctest.DocTestParser()
    return [
        parser.get_doctest(text, {}, f"{path.stem}.{name}", str(path), line - 1)
        for name, text, line in docstrings(path)
        if ">>>" in text
    ]
