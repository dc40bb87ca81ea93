"""A small run of the benchmark that damages files and kills works at random."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

FOLDER = Path(__file__).parents[1] / "benchmarks"


def test_random_damage_is_never_silent(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(FOLDER))
    words = ["--corruptions", "100", "--kills", "0", "--seed", "7"]
    monkeypatch.setattr(sys, "argv", ["robustness.py", *words])
    import robustness

    status, output = robustness.main(), capsys.readouterr().out
    assert status == 0, output
    same, again, refused, silent, raw = map(int, re.search(r"^sum +(.*)$", output, re.M)[1].split())
    assert same + again + refused == 100 and again > 10 and refused > 10
    assert silent == raw == 0


def test_a_silent_difference_would_be_found(monkeypatch):
    """The judgement itself, on readers that pass over damage."""
    monkeypatch.syspath_prepend(str(FOLDER))
    from robustness_files import Kind, judged

    path = Path("folder/file")

    def fails(folder):
        raise KeyError("x")

    def unnamed(folder):
        raise ValueError("wrong")

    expected = {"a": 1.0, "b": 2}
    readers = {
        "the same": lambda folder: dict(expected),
        "SILENT": lambda folder: {"a": 1.5, "b": 2},
        "RAW": fails,
    }
    for outcome, read in readers.items():
        assert judged(Kind(None, read, "*"), path.parent, path, expected)[0] == outcome
    assert judged(Kind(None, unnamed, "*"), path.parent, path, expected)[0] == "RAW"
    left_out = Kind(None, lambda folder: {"a": 1.0}, "*", partial=True)
    assert judged(left_out, path.parent, path, expected)[0] == "SILENT"  # without a warning


def test_killed_works_end_as_others_do():
    words = ["--corruptions", "0", "--kills", "6", "--works", "space, 1 worker", "bench run"]
    command = [sys.executable, FOLDER / "robustness.py", *words]
    process = subprocess.run(command, capture_output=True, text=True)
    output = process.stdout
    assert process.returncode == 0, output + process.stderr[-2000:]
    kills, ends, faults = map(int, re.search(r"^sum +(.*)$", output, re.M)[1].split())
    assert kills >= 2 and ends >= 2 and faults == 0
