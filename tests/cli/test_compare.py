"""`keras-actfn compare` from end to end, killed and started again."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from keras_actfn.cli import interrupts_kept, main

pytestmark = pytest.mark.once

MODEL = """
    import keras
    import keras_actfn


    def build(activation):
        hidden = keras.layers.Dense(32)
        return keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.layers.Flatten(),
                hidden,
                keras_actfn.activation(activation),
                keras.layers.Dense(10, activation="softmax"),
            ]
        )
"""
WORDS = [
    *("compare", "--model", "small_model:build", "--data", "digits", "--image-size", "8"),
    *("--activations", "relu", "conv(identity,relu)", "--seeds", "0", "1", "--no-plots"),
    *("--output", "results"),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a user's own model in it."""
    (tmp_path / "small_model.py").write_text(textwrap.dedent(MODEL))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("small_model", None)


def stop_after_first_run(folder, words, number):
    """Start the command in another process and send it a signal once a run is finished."""
    # A shell's background processes ignore interrupts, and so do their children.
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from keras_actfn.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", program, *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while process.poll() is None and not list((folder / "results").glob("runs/*.json")):
            time.sleep(0.01)
        process.send_signal(number)
        _, error = process.communicate(timeout=100)
    finally:
        process.kill()
    return process.returncode, error


def test_a_killed_comparison_goes_on(folder, capsys):
    words = [*WORDS, "--epochs", "10"]
    status, error = stop_after_first_run(folder, words, signal.SIGKILL)
    assert status == -signal.SIGKILL, error
    runs = {path: path.read_bytes() for path in folder.glob("results/runs/*.json")}
    assert 1 <= len(runs) < 4
    assert not (folder / "results" / "results.json").exists()

    assert main([*words, "--json"]) == 0
    captured = capsys.readouterr()
    assert f"{len(runs)} of 4 runs were finished before" in captured.err
    result = json.loads(captured.out)
    assert [run["activation"] for run in result["runs"]] == ["relu"] * 2 + [
        "conv(identity,relu)"
    ] * 2
    assert [row["seeds"] for row in result["table"]] == [2, 2]
    assert all(path.read_bytes() == content for path, content in runs.items())
    assert result == json.loads((folder / "results" / "results.json").read_text())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a single process")
def test_an_interrupted_comparison_says_how_to_go_on(folder):
    status, error = stop_after_first_run(folder, [*WORDS, "--epochs", "40"], signal.SIGINT)
    assert status == 130
    assert "interrupted; finished runs are in results" in error.splitlines()[-1]
    assert "Traceback" not in error


def test_an_interrupt_that_python_drops_comes_again(capsys):
    class Finalised:
        def __del__(self):
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), interrupts_kept():
            Finalised()
            for _ in range(200):  # a repeated interrupt comes between two statements
                time.sleep(0.05)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "Traceback" not in capsys.readouterr().err


def test_the_table_is_printed_in_markdown(folder, capsys):
    assert main([*WORDS, "--epochs", "1", "--subset", "200"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("small_model:build on digits")
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 4
    assert table[0].split("|")[1].strip() == "activation"
    assert table[3].split("|")[1].strip() == "conv(identity,relu)"
    assert "200 training and 355 test examples" in lines[0]
