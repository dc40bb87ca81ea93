"""Every tutorial runs from a folder of its own and leaves a figure or prints a result."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

TUTORIALS = sorted(Path(__file__).parents[1].glob("tutorials/[0-9][0-9]_*.py"))


def test_tutorials_are_numbered_without_gaps():
    numbers = [int(path.name[:2]) for path in TUTORIALS]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 1


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial(path, tmp_path):
    process = subprocess.run(
        [sys.executable, path],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert process.stdout.strip(), "a tutorial prints what it found"
