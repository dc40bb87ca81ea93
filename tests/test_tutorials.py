"""Every tutorial runs from a folder of its own and prints a result."""

import runpy
from pathlib import Path

import pytest

from keras_actfn import datasets

pytestmark = pytest.mark.once

TUTORIALS = sorted(Path(__file__).parents[1].glob("tutorials/[0-9][0-9]_*.py"))


def test_tutorials_are_numbered_without_gaps():
    numbers = [int(path.name[:2]) for path in TUTORIALS]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 1


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial(path, tmp_path, monkeypatch, capsys, tables_as_before):
    """In this process, and with fewer images: these and importing a backend take the time."""
    digits = datasets.digits
    monkeypatch.setattr(datasets, "digits", lambda **options: digits(**options).subset(600))
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out.strip(), "a tutorial prints what it found"
