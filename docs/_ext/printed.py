"""The tables of the printed benchmarks."""

import functools
import re
from pathlib import Path

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@functools.cache
def printed(name: str) -> dict[str, dict[str, list[str]]]:
    """The rows of the tables of a printed benchmark by their first cells, by heading.

    Args:
        name: Of the file in `benchmarks/`.
    """
    found: dict[str, dict[str, list[str]]] = {}
    heading = ""
    for line in (_BENCHMARKS / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line[3:].strip()
        elif line.startswith("|") and not re.match(r"\|[-| :]+$", line):
            first, *others = (cell.strip() for cell in line.strip("|").split("|"))
            found.setdefault(heading, {})[first] = others
    return found
