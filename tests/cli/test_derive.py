"""`keras-actfn derive` prints the theory's numbers, writes its files, and refuses in a line."""

import csv
import json

import numpy as np
import pytest
from scipy import stats

from keras_actfn.cli import main
from keras_actfn.theory import CorrelationObjective, GaussianMixture, eafo_step

pytestmark = pytest.mark.once


def run_json(capsys, *words):
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_correlation_gives_the_optimum_its_shapes_and_files(capsys, tmp_path):
    words = ["derive", "correlation", "--classes", "5", "--sigma", "0.8", "--knots", "17"]
    found = run_json(
        capsys, *words, "--extrapolation", "clamp", "--certify", "--adam", "50",
        "--output", str(tmp_path),
    )  # fmt: skip
    mixture = GaussianMixture(np.linspace(-3, 3, 5), 0.8)
    expected = CorrelationObjective(mixture, np.linspace(-3, 3, 17), "clamp").optimum()
    assert found["objective"] == pytest.approx(expected.objective)
    assert found["objective"] <= found["objective_of_adam"] < found["objective_of_relu"]
    np.testing.assert_allclose(found["f"], expected.values)
    assert {shape["family"] for shape in found["shapes"]} > {"swish", "gelu", "relu"}
    with open(tmp_path / "table.csv") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["f"]) for row in rows], expected.values)
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_lists_of_means_and_priors_and_the_printed_table(capsys, tmp_path):
    status = main(
        ["derive", "correlation", "--means=-1,0,2", "--sigma", "1,0.5,1", "--priors", "0.2,0.5,0.3",
         "--no-plot", "--output", str(tmp_path)]
    )  # fmt: skip
    out = capsys.readouterr().out
    assert status == 0
    mixture = GaussianMixture([-1, 0, 2], [1, 0.5, 1], [0.2, 0.5, 0.3])
    expected = CorrelationObjective(mixture, np.linspace(-3, 3, 33), "linear").optimum()
    assert f"objective: {expected.objective:.8g}" in out
    assert "swish" in out and f"{expected.values[-1]:.6f}" in out
    assert not (tmp_path / "figure.png").exists()


def test_two_class(capsys, tmp_path):
    found = run_json(
        capsys, "derive", "correlation", "--classes", "2", "--two-class", "--no-plot",
        "--extrapolation", "clamp", "--output", str(tmp_path),
    )  # fmt: skip
    assert found["rho_2"] == pytest.approx(0.99792212, abs=1e-8)


def test_eafo_gives_the_step(capsys, tmp_path):
    found = run_json(capsys, "derive", "eafo", "--step", "1", "--output", str(tmp_path))
    expected = eafo_step("tanh", stats.norm(0, 1), 1.0)
    assert found["entropy_after"] == pytest.approx(expected.entropy_after)
    np.testing.assert_allclose(found["f"], expected.table(np.linspace(-3, 3, 33)))
    assert (tmp_path / "figure.png").exists()


def test_eafo_reads_samples_regions_and_distributions(capsys, tmp_path):
    path = tmp_path / "inputs.npy"
    np.save(path, np.random.default_rng(0).normal(size=3000))
    words = ["derive", "eafo", "--activation", "relu", "--region=0,inf", "--output", str(tmp_path)]
    found = run_json(capsys, *words, "--density", str(path))
    assert found["entropy_change_on_samples"] < 0
    assert found["region"] == [0.0, "inf"]
    found = run_json(capsys, *words, "--density", "norm(0, 2)", "--no-plot")
    assert found["step"] == pytest.approx(found["largest_step"] / 2)


def test_files_that_are_not_samples_are_refused(capsys, tmp_path):
    files = {"empty": b"", "text": b"hello"}
    for name, content in files.items():
        (tmp_path / f"{name}.npy").write_bytes(content)
    np.save(tmp_path / "infinite.npy", np.array([1.0, np.inf]))
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    for name, text in [
        *dict.fromkeys(files, "is not a .npy file of numbers").items(),
        ("infinite", "finite numbers"),
        ("words", "finite numbers"),
    ]:
        path = tmp_path / f"{name}.npy"
        assert main(["derive", "eafo", "--density", str(path)]) == 1
        captured = capsys.readouterr()
        assert captured.out == "" and captured.err.count("\n") == 1
        assert text in captured.err and path.name in captured.err


@pytest.mark.parametrize(
    "words, text",
    [
        (["correlation", "--classes", "2"], "two_class_optimum"),
        (["correlation", "--means", "1;2"], "--means is up to a thousand numbers"),
        (["correlation", "--means=1e400,1"], "numbers from -1e+06 to 1e+06"),
        (["correlation", "--sigma", "1e-300"], "numbers from 1e-06 to 1e+06"),
        (["correlation", "--priors", "nan,1"], "--priors is up to a thousand numbers"),
        (["correlation", "--low=3", "--high=3"], "--low lies below --high"),
        (["eafo", "--density", "nonsense"], "continuous distribution of scipy.stats"),
        (["eafo", "--density", "norm(1e400)"], "--density is up to a thousand numbers"),
        (["eafo", "--density", "norm(0,-1)"], "norm is norm(loc=0, scale=1)"),
        (["eafo", "--density", "t()"], "t is t(df, loc=0, scale=1)"),
        (["eafo", "--density", "norm(1,2,3,4)"], "norm is norm(loc=0, scale=1)"),
        (["eafo", "--density", "none.npy"], "there is no file none.npy"),
        (["eafo", "--density", "laplace"], "largest valid step is 0"),
        (["eafo", "--activation", "tanhh"], "tanh"),
        (["eafo", "--region", "0"], "--region is two numbers"),
    ],
)
def test_errors_take_one_line(capsys, words, text):
    assert main(["derive", *words]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert text in captured.err
