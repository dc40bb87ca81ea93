"""Every example and every command of README and docs runs as it is written."""

import ast
import re
import shlex
import tomllib

import numpy as np
import pytest
from documentation import PAGES, ROOT, commands, fenced

import keras_actfn
from keras_actfn import applications, datasets, expressions, fisher, search, training
from keras_actfn._activation import LAYERS
from keras_actfn.cli import COMMANDS, build_app, main
from keras_actfn.fisher.distributions import DISTRIBUTIONS
from keras_actfn.search.benchmarks.tasks import TASKS

pytestmark = pytest.mark.once

#: Commands that are over in a moment are run; the others train for minutes and are parsed.
RUN = ("derive", "replace", "bench show", "space stats", "space show", "nearest gelu", "--help")

#: Folders of `docs/` that `make docs` writes.
GENERATED = ("functions", "reference", "tutorials")


def name_of(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples_run_in_their_order(page, tmp_path, monkeypatch, tables_as_before):
    """The Python blocks of a page are one program, run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for example in fenced(page, page.read_text(encoding="utf-8"), "python"):
        code = example.compiled()
        if not example.not_run:
            exec(code, namespace)


def test_what_is_not_run_needs_what_a_test_has_not():
    reasons = [
        example.not_run
        for page in PAGES
        for example in fenced(page, page.read_text(encoding="utf-8"), "python")
        if example.not_run
    ]
    assert set(reasons) == {
        "needs a cluster of Dask",
        "needs a cluster of Ray",
        "downloads the weights",
    }
    assert len(reasons) == 3


def command_lines(program):
    """(page, words) of each command line of the pages that begins with `program`."""
    return [
        pytest.param(shlex.split(line)[1:], id=f"{name_of(page)}: {line}"[:100])
        for page in PAGES
        for line in commands(page)
        if line.split()[0] == program
    ]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with the files that the commands of the pages read."""
    import keras

    monkeypatch.chdir(tmp_path)
    np.save("inputs.npy", np.random.default_rng(0).normal(size=2000))
    inputs = keras.Input((8,))
    x = keras.layers.Dense(4, activation="relu", name="block1_dense")(inputs)
    keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x)).save("learned.keras")


def parse(words):
    """Parse a command line by its real options, without running it; return its values."""
    import typer.main

    found = {}

    def record_calls(command):
        if command.callback is not None:
            command.callback = lambda *_, **values: found.update(values)
        for child in getattr(command, "commands", {}).values():
            record_calls(child)

    command = typer.main.get_command(build_app())
    record_calls(command)
    command.main(words, standalone_mode=False)
    return found


@pytest.mark.parametrize("words", command_lines("keras-actfn"))
def test_commands_are_understood(words, files, capsys):
    """Every command of the pages parses, names what exists, and runs if it is quick."""
    line = " ".join(words)
    if any(line.startswith(command) for command in RUN):
        assert main(words) == 0, capsys.readouterr().err
        assert capsys.readouterr().out
        return
    values = parse(words)
    if not values:  # a group's name, such as `keras-actfn search`
        assert main([*words, "--help"]) == 0
    models = {**applications.MODELS, **applications.TABLE_MODELS}
    model, data = values.get("model"), values.get("data")
    assert model is None or ":" in str(model) or model in models or model.suffix
    assert data in (None, "auto", *datasets.DATASETS) or datasets.looks_like_a_path(data)
    assert values.get("recipe") in (None, *training.RECIPES)
    assert values.get("regressor") in (None, *search.REGRESSORS)
    assert values.get("space") in (None, *expressions.SPACES)
    for activation in values.get("activations") or ():
        keras_actfn.activation(activation)


def test_the_guides_name_every_row_of_the_tables():
    text = {path.stem: path.read_text(encoding="utf-8") for path in PAGES}
    for word in LAYERS:
        assert re.search(rf'^\| `"{word}\b', text["README"], re.MULTILINE), word
    for name in search.REGRESSORS:
        assert re.search(rf"`\"?{name}\"?`", text["searching"]), name
    for name in DISTRIBUTIONS:
        words = name.replace("_", " ").replace("crossentropy", "cross-entropy")
        assert words in text["fisher"], name
    for kind in fisher.TREATMENTS:
        # `Conv1D/2D/3DTranspose` names three; normalisations have one row.
        stem, dimensions, end = re.fullmatch(r"(\D+)(\dD)?(.*)", kind.__name__).groups()
        row = rf"`{stem}[123D/]*{dimensions}[123D/]*{end}`" if dimensions else f"`{stem}`"
        row = "normalisation scale and shift" if stem.endswith("Normalization") else row
        assert re.search(row, text["fisher"]), kind.__name__
    for name in TASKS:
        assert f"### {name}\n" in text["atlas"], name
    tuning = ast.parse((ROOT / "benchmarks" / "atlas_tuning.py").read_text(encoding="utf-8"))
    (rates,) = [
        ast.literal_eval(statement.value)
        for statement in tuning.body
        if isinstance(statement, ast.Assign) and statement.targets[0].id == "RATES"
    ]
    assert set(rates) == set(TASKS) - {"fashion_cnn"}  # whose rate is older than the script


def test_every_command_is_shown_on_a_page():
    lines = [line for page in PAGES for line in commands(page)]
    shown = {shlex.split(line)[1] for line in lines if line.startswith("keras-actfn ")}
    assert set(COMMANDS) <= shown


def test_every_command_is_called_by_a_test():
    files = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    tests = "".join(text for text in files if "from keras_actfn.cli import" in text)
    for command in COMMANDS:
        assert re.search(rf'[\[(]"{command}[" ]', tests), command


def everything():
    """The text of all pages, sources, tutorials and scripts."""
    folders = ("docs", "keras_actfn", "applications", "tutorials", "benchmarks", "scripts")
    paths = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    paths += [path for folder in folders for path in ROOT.joinpath(folder).rglob("*.*")]
    return {
        path: path.read_text(encoding="utf-8")
        for path in paths
        if path.suffix in (".md", ".py", ".sh")
    }


def test_extras_exist_and_are_quoted():
    """Zsh takes square brackets for a pattern."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    known = set(project["project"]["optional-dependencies"])
    for path, text in everything().items():
        for quote, extras in re.findall(r"pip install (\W*)keras-actfn\[([^\]]+)\]", text):
            assert quote.endswith('"'), f"{path}: pip install keras-actfn[{extras}] without quotes"
            if "{" not in extras:
                assert set(extras.split(",")) <= known, f"{path}: {extras}"


def test_make_targets_and_files_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for line in commands(page):
            words = shlex.split(line)
            if words[0] == "make":
                assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), line
            if words[0] == "python":
                assert (ROOT / words[1]).is_file(), line
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            if target.split("/")[0] not in GENERATED:  # `make docs` checks these
                assert (page.parent / target).exists(), f"{name_of(page)} links to {target}"
        for path in re.findall(r"`((?:benchmarks|tests|tutorials|scripts|docs)/[\w./]+\w)`", text):
            assert (ROOT / path).exists(), f"{name_of(page)} names {path}"


def test_tests_that_pages_name_exist():
    """`tests/file.py::test_name`, `test_file.py::test_name`, or `test_name` alone."""
    files = list((ROOT / "tests").rglob("test_*.py"))
    defined = {
        path: set(re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE))
        for path in files
    }
    found = 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for file, name in re.findall(r"`(?:([\w/]+\.py)::)?(test_\w+)`", text):
            found += 1
            known = [defined[path] for path in files if f"/{path.as_posix()}".endswith(f"/{file}")]
            known = known if file else list(defined.values())
            assert any(name in names for names in known), f"{name_of(page)} names {file} {name}"
    assert found > 15
