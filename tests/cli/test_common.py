"""Options with several values, seeds, and errors of the command line."""

import json
import subprocess
import sys

import pytest

from keras_actfn.cli import COMMANDS, main
from keras_actfn.cli.common import parse_seeds, spread_values

pytestmark = pytest.mark.once

LISTS = {"--activations", "--seeds", "-s"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--activations relu tanh", "--activations relu --activations tanh"),
        ("--activations relu --activations tanh", "--activations relu --activations tanh"),
        ("--activations=relu tanh", "--activations=relu --activations tanh"),
        ("--epochs 2 --seeds 0 1 --json", "--epochs 2 --seeds 0 --seeds 1 --json"),
        ("-s 0 1 --output there", "-s 0 -s 1 --output there"),
        ("--seeds 0 -- --seeds 1 2", "--seeds 0 -- --seeds 1 2"),
        ("--seeds", "--seeds"),
        ("model --epochs 2 more", "model --epochs 2 more"),
    ],
)
def test_spread_values(words, expected):
    assert spread_values(words.split(), LISTS) == expected.split()


@pytest.mark.parametrize(
    ("words", "seeds"),
    [
        (["3"], [0, 1, 2]),
        (["0"], [0]),
        (["0", "1", "2"], [0, 1, 2]),
        (["7", "3"], [7, 3]),
        (["7:8"], [7]),
        (["0:2", "9"], [0, 1, 9]),
    ],
)
def test_seeds(words, seeds):
    assert parse_seeds(words) == seeds


@pytest.mark.parametrize("words", [["x"], ["1.5"], ["1", "x"], ["1:"], [":"]])
def test_seeds_refuse(words):
    with pytest.raises(ValueError, match="Seeds are one number"):
        parse_seeds(words)


def run(capsys, *words):
    """(status, standard output, standard error) of a command line in this process."""
    status = main(list(words))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(capsys, command):
    status, out, _ = run(capsys, command, "--help")
    assert status == 0
    assert out.startswith(f"Usage: keras-actfn {command}")


def test_version_and_help_of_the_whole(capsys):
    import keras_actfn

    assert run(capsys, "--version")[1] == f"keras-actfn {keras_actfn.__version__}\n"
    out = run(capsys, "--help")[1]
    assert all(command in out for command in COMMANDS)


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["compar"], 2, "No such command 'compar'"),
        (["compare", "--epochs", "x"], 2, "--epochs"),
        (["compare", "--no-such-option"], 2, "No such option"),
        (["compare", "--data", "digit"], 1, "Did you mean 'digits'?"),
        (
            ["compare", "--data", "fashion_mnist", "--data-path", "/no/such"],
            1,
            "/no/such (the given",
        ),
        (["compare", "--data", "digits", "--model", "lenet"], 1, "A model is one of lenet5"),
        (["compare", "--data", "digits", "--model", "nomodule:f"], 1, "no module 'nomodule'"),
        (["compare", "--data", "digits", "--model", "json:f"], 1, "'json' has no function 'f'"),
        (["compare", "--data", "digits", "--recipe", "hul"], 1, "Did you mean 'hull'?"),
        (["compare", "--data", "digits", "--epochs", "0"], 1, "epochs is a positive integer"),
        (["compare", "--data", "digits", "--seeds", "a"], 1, "Seeds are one number"),
        (["compare", "--data", "digits", "--batch-size", "9999"], 1, "at most the 1442 training"),
        (["compare", "--data", "digits", "--image-size", "8"], 1, "at least 16×16 pixels"),
        (["compare", "--data", "digits", "--activations", "relus"], 1, "Did you mean 'relu'"),
    ],
)
def test_errors_are_one_line(capsys, tmp_path, monkeypatch, words, status, text):
    monkeypatch.chdir(tmp_path)
    actual, out, err = run(capsys, *words)
    assert actual == status
    assert out == ""
    assert err.startswith("keras-actfn: ") and err.count("\n") == 1
    assert text in err


def test_debug_shows_the_traceback(capsys):
    status, _, err = run(capsys, "compare", "--data", "digit", "--debug")
    assert status == 1
    assert "Traceback (most recent call last)" in err


def test_a_missing_extra_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "typer", None)
    status, _, err = run(capsys, "--help")
    assert status == 1
    assert "pip install keras-actfn[cli]" in err and err.count("\n") == 1


def test_command_modules_import_nothing_heavy():
    code = (
        "import json, sys; import keras_actfn; before = set(sys.modules)\n"
        "from keras_actfn.cli import main; main(['--help'])\n"
        "print(json.dumps(sorted(set(sys.modules) - before)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    new = json.loads(done.stderr.splitlines()[-1])
    ours = [name for name in new if name.startswith("keras_actfn")]
    assert all(name.startswith("keras_actfn.cli") for name in ours), ours
    assert not {"keras", "sklearn", "scipy", "matplotlib"} & {name.split(".")[0] for name in new}
