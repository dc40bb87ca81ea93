"""`--help` names what there is, answers without Keras, and runs where any backend is installed."""

import json
import os
import subprocess
import sys

import pytest
from processes import ANY_BACKEND

from keras_actfn import applications, datasets, expressions, fisher, search, training
from keras_actfn.cli import COMMANDS, build_app, main, tables
from keras_actfn.cli.keras_backend import choose_backend
from keras_actfn.search.benchmarks.run import FEATURE_SETS
from keras_actfn.search.benchmarks.tasks import TASKS

pytestmark = pytest.mark.once

TABLES = {
    "MODELS": applications.MODELS,
    "TABLE_MODELS": applications.TABLE_MODELS,
    "DATASETS": datasets.DATASETS,
    "RECIPES": training.RECIPES,
    "SPACES": expressions.SPACES,
    "REGRESSORS": search.REGRESSORS,
    "EMBEDDINGS": search.EMBEDDINGS,
    "PRUNERS": search.PRUNERS,
    "FEATURE_SETS": FEATURE_SETS,
    "ATLAS": TASKS,
    "ENGINES": fisher.ENGINES,
}


def commands():
    """The words of every command, groups and their commands alike."""
    import typer.main

    def below(command, words):
        yield words
        for name, child in getattr(command, "commands", {}).items():
            yield from below(child, (*words, name))

    return list(below(typer.main.get_command(build_app()), ()))


@pytest.mark.parametrize("name", TABLES)
def test_the_names_in_help_texts_are_those_of_the_table(name):
    built_in = [key for key in TABLES[name] if not key.startswith("test_")]
    assert list(getattr(tables, name)) == built_in


def test_there_is_no_other_table_of_names():
    assert set(TABLES) == {name for name in dir(tables) if name.isupper()}


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("compare", [*tables.MODELS, *tables.TABLE_MODELS, *tables.DATASETS, *tables.RECIPES]),
        ("probe", [*tables.MODELS, *tables.TABLE_MODELS, *tables.DATASETS, *tables.ENGINES]),
        (
            "search",
            [
                *(
                    *tables.MODELS,
                    *tables.TABLE_MODELS,
                    *tables.DATASETS,
                    *tables.RECIPES,
                    *tables.SPACES,
                ),
                *(*tables.REGRESSORS, *tables.EMBEDDINGS, *tables.PRUNERS),
            ],
        ),
    ],
)
def test_help_names_every_choice(capsys, command, names):
    assert main([command, "--help"]) == 0
    words = capsys.readouterr().out.replace(",", " ").replace(".", " ").split()
    assert set(names) <= set(words)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_help(capsys, words):
    assert main([*words, "--help"]) == 0
    assert capsys.readouterr().out.startswith(" ".join(["Usage: keras-actfn", *words]))


def test_help_needs_no_keras():
    """All commands in one process; `keras_actfn` is imported there first, as by its script."""
    code = (
        "import contextlib, io, json, sys\n"
        "from keras_actfn.cli import main\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    with contextlib.redirect_stdout(io.StringIO()):\n"
        "        assert main([*words, '--help']) == 0\n"
        "there = {name.partition('.')[0] for name, module in sys.modules.items() if module}\n"
        "print(json.dumps(sorted(there)))\n"
        "print(json.dumps([name for name in sys.modules if name.startswith('keras_actfn.')]))"
    )
    command = [sys.executable, "-c", code, json.dumps(commands())]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    packages, ours = map(json.loads, done.stdout.splitlines())
    heavy = {"keras", "numpy", "scipy", "sklearn", "matplotlib", "optuna", "tensorflow", "torch"}
    assert not heavy & set(packages)
    light = ("cli", "_")
    assert all(name.removeprefix("keras_actfn.").startswith(light) for name in ours), ours


def test_python_m_is_the_same_command():
    command = [sys.executable, "-m", "keras_actfn", "--version"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("keras-actfn ")


def hide(monkeypatch, *modules):
    """Make libraries look as if they were not installed."""
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)


@pytest.fixture
def no_settings(monkeypatch, tmp_path):
    """Neither `KERAS_BACKEND` nor a settings file of Keras."""
    monkeypatch.setenv("KERAS_BACKEND", "")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


def test_keras_default_is_kept_where_it_is_installed(no_settings, capsys):
    (no_settings / "keras.json").write_text('{"backend": "torch"}')
    choose_backend()
    assert os.environ["KERAS_BACKEND"] == ""
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("content", [None, '{"backend": "tensorflow"}', "{", "[]"])
def test_an_installed_backend_is_chosen_and_named(no_settings, monkeypatch, capsys, content):
    if content is not None:
        (no_settings / "keras.json").write_text(content)
    hide(monkeypatch, "tensorflow", "torch")
    choose_backend()
    assert os.environ["KERAS_BACKEND"] == "jax"
    error = capsys.readouterr().err
    assert "TensorFlow, Keras's default here, is not installed; using JAX" in error
    assert error.count("\n") == 1


def test_a_backend_that_is_asked_for_and_missing_is_an_error(no_settings, monkeypatch):
    hide(monkeypatch, "tensorflow")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(ImportError, match=r'pip install "keras-actfn\[tensorflow\]".*jax, torch'):
        choose_backend()
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    with pytest.raises(ValueError, match="Received: 'theano'"):
        choose_backend()


def test_without_any_backend_the_extras_are_named(no_settings, monkeypatch):
    hide(monkeypatch, "tensorflow", "torch", "jax")
    with pytest.raises(ImportError, match=r'"keras-actfn\[jax\]"'):
        choose_backend()


@pytest.mark.parametrize(
    ("missing", "status", "error"),
    [
        (["tensorflow", "torch"], 0, "using JAX (KERAS_BACKEND=jax)"),
        (["tensorflow", "torch", "jax"], 1, 'pip install "keras-actfn[jax]"'),
    ],
)
def test_a_command_runs_on_what_is_installed(tmp_path, missing, status, error):
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name in {missing}: raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from keras_actfn.cli import main\n"
        "status = main(['derive', 'eafo', '--no-plot', '--json'])\n"
        "if status == 0:\n"
        "    import keras\n"
        "    assert keras.backend.backend() == 'jax'\n"
        "sys.exit(status)"
    )
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.returncode == status, done.stderr
    assert error in done.stderr and done.stderr.count("keras-actfn: ") == 1
    if status:
        assert done.stdout == "" and done.stderr.count("\n") == 1
    else:
        assert json.loads(done.stdout)["entropy_after"] < json.loads(done.stdout)["entropy_before"]


@pytest.mark.parametrize(
    ("missing", "extra", "words"),
    [
        ("optuna", "search", ["search", "--data", "digits"]),
        ("optuna", "search", ["search", "status", "--storage", "search.db"]),
        ("matplotlib", "plot", ["compare", "--data", "digits"]),
        ("scipy", "theory", ["derive", "correlation"]),
    ],
)
def test_a_missing_library_is_named_with_its_extra(tmp_path, missing, extra, words):
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {missing!r}:\n"
        "            raise ModuleNotFoundError(name, name=name.partition('.')[0])\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from keras_actfn.cli import main\n"
        f"sys.exit(main({words}))"
    )
    environment = os.environ if missing == "scipy" else ANY_BACKEND  # JAX needs SciPy
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 1 and done.stdout == ""
    fix = f'which is not installed. Install it with: pip install "keras-actfn[{extra}]"'
    assert f"'{missing}', {fix}" in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("keras-actfn")]) == 1


def test_commands_are_all_registered():
    assert {words[0] for words in commands() if words} == set(COMMANDS)
