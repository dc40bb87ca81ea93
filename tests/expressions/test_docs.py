"""The page on expressions shows the tables that the code has."""

from pathlib import Path

import pytest

from keras_actfn.expressions import DISCOVERED
from keras_actfn.expressions.table import markdown_table

pytestmark = pytest.mark.once

PAGE = Path(__file__).parents[2] / "docs" / "expressions.md"


def test_the_page_has_every_operator_and_discovered_function():
    page = PAGE.read_text(encoding="utf-8")
    # Operators that other tests registered come last; the page has the built-in ones.
    built_in = [line for line in markdown_table().splitlines() if "`test_" not in line]
    assert "\n".join(built_in) in page
    for name, row in DISCOVERED.items():
        assert f"| `{name}` | `{row.text}` | {row.printed} | {row.table} |" in page
