"""`keras-actfn space` by typer's runner."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from keras_actfn.cli import main

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def app():
    import typer

    from keras_actfn.cli import space

    app = typer.Typer()
    space.register(app)

    @app.callback()
    def root():
        pass

    return app


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("spaces") / "three"


def run(app, *words):
    result = CliRunner().invoke(app, ["space", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_build_and_stats(app, folder):
    words = run(app, "build", "three_node", "--output", folder)
    assert "5,103" in words and "2,791" in words and "2,412" in words
    assert np.load(folder / "outputs.npy", mmap_mode="r").shape == (2791, 1000)
    counts = json.loads(run(app, "stats", "three_node", "--output", folder, "--json"))
    assert (counts["functions"], counts["unique"], counts["finite"]) == (5103, 2791, 4613)
    assert counts["schemas"] == ["binary(unary(x),unary(x))"]
    groups = counts["largest_groups"]
    assert len(groups) == 5 and groups[0]["equal"] >= groups[-1]["equal"] > 1
    assert groups[0]["function"] in run(app, "stats", "three_node", "--output", folder)


def test_show(app, folder):
    words = ("show", "min(square(x),selu(x))", "--output", folder)
    shown = run(app, *words)
    assert r"\min\left(x^{2}, \mathrm{SELU}\left(x\right)\right)" in shown
    assert "min(selu(x),square(x))" in shown
    plots = list(folder.with_name("three-plots").iterdir())
    assert [p.suffix for p in plots] == [".png"] and plots[0].read_bytes()[1:4] == b"PNG"
    result = json.loads(run(app, *words, "--no-plot", "--json", "--equivalents", 1))
    assert result["equal_functions"] == 2 and len(result["equivalents"]) == 1
    assert result["finite"] is True and "plot" not in result
    number = result["unique_function"]
    again = json.loads(run(app, "show", number, "--output", folder, "--no-plot", "--json"))
    assert again["unique_function"] == number and again["function"] == result["equivalents"][0]
    far = run(app, "show", "erfc_softplus_squared", "--output", folder, "--no-plot")
    assert "square(erfc(softplus(x)))" in far and "not in three_node" in far


def test_a_schema_is_a_space(app, tmp_path):
    result = json.loads(run(app, "build", "unary(x)", "--output", tmp_path / "u", "--json"))
    assert (result["functions"], result["unique"]) == (27, 27)


def test_errors_are_one_line(capsys, tmp_path):
    from keras_actfn.cli import COMMANDS

    assert "space" in COMMANDS
    assert main(["space", "build", "three_nod", "--output", str(tmp_path / "u")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Did you mean 'three_node'" in error
