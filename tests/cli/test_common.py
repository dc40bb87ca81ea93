"""Options with several values, seeds, and errors of the command line."""

import sys

import pytest

from keras_actfn.cli import COMMANDS, build_app, main
from keras_actfn.cli.common import parse_seeds, spread_values
from keras_actfn.cli.data import DataChoice

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
        (
            ["compare", "--data", "digits", "--model", "lenet"],
            1,
            "or is one of: lenet5",
        ),
        (["compare", "--data", "digits", "--model", "nomodule:f"], 1, "no module 'nomodule'"),
        (["compare", "--data", "digits", "--model", "json:f"], 1, "'json' has no function 'f'"),
        (["compare", "--data", "digits", "--model", ":"], 1, "such as my_models:build"),
        (["compare", "--data", "digits", "--model", "..:x"], 1, "such as my_models:build"),
        (["compare", "--data", "digits", "--recipe", "hul"], 1, "Did you mean 'hull'?"),
        (["compare", "--data", "digits", "--epochs", "0"], 2, "greater than or equal to 1"),
        (["compare", "--data", "digits", "--seeds", "a"], 1, "Seeds are one number"),
        (["compare", "--data", "digits", "--seeds", "99999999999"], 1, "at most 10,000 seeds"),
        (["compare", "--data", "digits", "--seeds", "0:99999999999"], 1, "at most 10,000 seeds"),
        (["compare", "--data", "digits", "--seeds", "1", "9" * 400], 1, "from 0 to 4294967295"),
        (["compare", "--data", "digits", "--seeds=-1"], 1, "from 0 to 4294967295"),
        (["compare", "--data", "digits", "--seeds", "5:5"], 1, "one or more seeds"),
        (
            ["compare", "--data", "digits", "--image-size", "100000"],
            2,
            "less than or equal to 4096",
        ),
        (["compare", "--data-path", "pictures"], 1, "its files are not in pictures"),
        (["compare", "--data", "digits", "--batch-size", "9999"], 1, "at most the 1442 training"),
        (["compare", "--data", "digits", "--image-size", "8"], 1, "at least 16×16 pixels"),
        (["compare", "--data", "digits", "--activations", "relus"], 1, "Did you mean 'relu'"),
        (["compare", "--data", ""], 1, "A dataset's name is one of"),
        (["bench", "run", "--tasks", "digits_mlp", "--rivals", "knr"], 1, "add --leave-one-out"),
    ],
)
def test_errors_are_one_line(capsys, tmp_path, monkeypatch, words, status, text):
    monkeypatch.chdir(tmp_path)
    actual, out, err = run(capsys, *words)
    assert actual == status
    assert out == ""
    assert err.startswith("keras-actfn: ") and err.count("\n") == 1
    assert text in err


@pytest.mark.parametrize(
    "words",
    [
        "compare --data digits --activations relu",
        "search --data digits --space unary(x)",
        "derive correlation",
        "derive eafo --activation relu",
        "bench build --task digits_mlp --limit 0",
        "bench run --bench digits_mlp --embedding pca --trials 1 --budget 9",
        "compile model.keras --data data.npz",
        "space show relu(x) --space unary(x)",
    ],
)
def test_an_output_folder_that_is_a_file_is_refused(capsys, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("important")
    (tmp_path / "model.keras").write_bytes(b"")
    status, out, err = run(capsys, *words.split(), "--output", "taken/below")
    assert (status, out) == (1, "")
    assert "taken is a file. Choose another name." in err.splitlines()[-1]
    assert (tmp_path / "taken").read_text() == "important"


def test_endless_words_are_cut(capsys):
    status, _, err = run(capsys, "compare", "--data", "9" * 4000)
    assert status == 1
    assert "…" in err and len(err) < 500


def numbers_on_the_command_line():
    """(words of the command, option) for each option that is a number."""
    import typer.main

    def below(command, words):
        for name, child in getattr(command, "commands", {}).items():
            yield from below(child, (*words, name))
        for option in command.params:
            if option.type_descriptor.annotation in (int, float):
                needed = [p for p in command.params if p.required]
                given = [f"{p.opts[0]}=x" if "-" in p.opts[0] else "x" for p in needed]
                yield (*words, *given), option

    return list(below(typer.main.get_command(build_app()), ()))


@pytest.mark.parametrize(
    ("words", "option"),
    numbers_on_the_command_line(),
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else value.name,
)
def test_absurd_numbers_are_refused_before_anything_is_done(capsys, words, option):
    """Each number has a range, and what lies outside is an error of usage."""
    for value in ("9" * 400, "-" + "9" * 400, "1" + "0" * 18, "nan", "1e400", "one"):
        status, out, err = run(capsys, *words, f"{option.opts[0]}={value}")
        assert (status, out) == (2, ""), value
        assert option.opts[0] in err and err.count("\n") == 1


def test_images_larger_than_the_memory_are_refused(monkeypatch):
    from keras_actfn.datasets import base

    monkeypatch.setattr(base, "machine_memory", lambda: 2.0**30)
    with pytest.raises(ValueError, match=r"memory of 1 GiB. Received: image_size=4096, .* 90 GiB"):
        DataChoice("digits", image_size=4096).load()


def test_the_end_of_a_file_is_no_interrupt(capsys, tmp_path):
    path = tmp_path / "empty.npz"
    path.write_bytes(b"")
    status, out, err = run(capsys, "bench", "show", str(path))
    assert (status, out) == (1, "")
    assert "interrupted" not in err


def test_debug_shows_the_traceback(capsys):
    status, _, err = run(capsys, "compare", "--data", "digit", "--debug")
    assert status == 1
    assert "Traceback (most recent call last)" in err


def test_a_missing_extra_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "typer", None)
    status, _, err = run(capsys, "--help")
    assert status == 1
    assert 'pip install "keras-actfn[cli]"' in err and err.count("\n") == 1
