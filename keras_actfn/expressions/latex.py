r"""How terms are typeset: each operator's template, and brackets only where needed.

A term has a level that says how tightly it holds together, and every argument of an
operator has the least level that may stand there without brackets.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

SUM, PRODUCT, POWER, ATOM = range(4)


@dataclass(frozen=True)
class Latex:
    """The typesetting of an operator.

    Attributes:
        render: Function from the typeset arguments to the typeset term.
        level: How tightly the term holds together.
        needs: The least level of each argument; the last entry holds for all further ones.
    """

    render: Callable[..., str]
    level: int
    needs: tuple[int, ...] = (SUM,)

    def typeset(self, arguments: Sequence[tuple[str, int]]) -> tuple[str, int]:
        """Return text and level of a term from those of its arguments."""
        texts = []
        for i, (text, level) in enumerate(arguments):
            need = self.needs[min(i, len(self.needs) - 1)]
            texts.append(text if level >= need else rf"\left({text}\right)")
        return self.render(*texts), self.level


def template_latex(template: str, level: int, *needs: int) -> Latex:
    """Typeset by a format string, `{0}` the first argument."""
    return Latex(template.format, level, needs or (SUM,))


def joined_latex(separator: str, level: int) -> Latex:
    """Typeset by the arguments with a separator between them."""
    return Latex(lambda *texts: separator.join(texts), level, (level,))


def named_latex(symbol: str) -> Latex:
    r"""Typeset as `symbol(arguments)`."""
    symbol = symbol.replace("_", r"\_")
    return Latex(lambda *texts: symbol + r"\left(" + ", ".join(texts) + r"\right)", ATOM)


def function_latex(name: str) -> Latex:
    r"""Typeset as an upright `name(arguments)`."""
    symbol = rf"\{name}" if name in ("max", "min") else rf"\mathrm{{{name}}}"
    return named_latex(symbol)
