"""Searches on a benchmark with known answers: counts, intervals, resuming, the command."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from reference.act_bench import synthetic_bench
from scipy import stats
from typer.testing import CliRunner

from keras_actfn.plotting.bench import accuracies, draw_bench, draw_bench_run
from keras_actfn.search.benchmarks import packed
from keras_actfn.search.benchmarks.results import BenchRun, target_of
from keras_actfn.search.benchmarks.run import run_bench
from keras_actfn.search.surrogate import REGRESSORS

pytestmark = pytest.mark.once

PCA = dict(embedding="pca", workers=1, progress=False)


@pytest.fixture(scope="module")
def bench():
    return synthetic_bench(13)


@pytest.fixture(scope="module")
def searched(bench, tmp_path_factory):
    """Every regressor with every set of features."""
    folder = tmp_path_factory.mktemp("run")
    return folder, run_bench(bench, folder, trials=3, budget=11, **PCA)


def test_every_regressor_searches_with_every_set_of_features(searched, bench):
    _, run = searched
    features = {"both", "outputs", "spectra"}
    assert set(run.trials) == {(r, f) for r in REGRESSORS if r != "random" for f in features} | {
        ("random", "")
    }
    best = bench.validation_accuracy.argmax()
    for (regressor, _), trials in run.trials.items():
        for rows in trials:
            assert len(set(rows)) == len(rows) <= 11
            assert rows[0] == run.relu == bench.index("relu")
            assert len(rows) == 11 or rows[-1] == best or best in rows[:8]
            assert regressor == "random" or bench.valid[rows].all()
    for regressor in REGRESSORS:  # trial 2 has the same start for all
        if regressor != "random":
            np.testing.assert_array_equal(
                run.trials[regressor, "both"][2][:8], run.trials["svr", "outputs"][2][:8]
            )


def test_searches_are_repeatable(searched, bench):
    again = run_bench(bench, regressors=("knr",), features=("both",), trials=2, budget=11, **PCA)
    for a, b in zip(again.trials["knr", "both"], searched[1].trials["knr", "both"], strict=False):
        np.testing.assert_array_equal(a, b)


def test_surrogates_find_what_random_search_does_not(bench):
    run = run_bench(
        bench,
        regressors=("distance_gp", "knr", "random"),
        features=("both",),
        trials=15,
        budget=60,
        **PCA,
    )
    random = run.evaluations("random", "")
    for regressor in ("distance_gp", "knr"):
        found = run.evaluations(regressor, "both")
        assert np.median(found) < 0.7 * np.median(random)


# Results, on trials written by hand.


@pytest.fixture
def by_hand(bench):
    order = np.argsort(bench.validation_accuracy)
    worst, best = order[:20], order[-1]
    relu = bench.index("relu")
    trials = [
        np.array([relu, *worst[:4], best]),  # reached with evaluation 6
        np.array([relu, worst[0], best]),
        np.array([relu, *worst[:9]]),
        np.array([relu, *worst[:6], best]),
    ]
    value = bench.validation_accuracy
    usual = max(relu, bench.index("tanh"), key=lambda row: value[row])
    target = value[usual] + 0.99 * (value.max() - value[usual])
    return BenchRun(bench, 10, relu, usual, target, {("knr", "both"): trials})


def test_the_target_lies_between_the_best_usual_function_and_the_best(bench):
    usual, target = target_of(bench)
    assert usual == bench.index("relu")  # 0.78125; tanh has 0.63125
    assert target == pytest.approx(0.01 * 0.78125 + 0.99 * bench.score.max())


def test_evaluations_until_the_target(by_hand, bench):
    np.testing.assert_array_equal(by_hand.evaluations("knr", "both"), [6, 3, np.inf, 8])
    (row,) = by_hand.table()
    assert (row.evaluations, row.quartile_low, row.quartile_high) == (8, 6, None)
    assert row.never == 0.25
    assert row.trials == 4
    relu, best = bench.validation_accuracy[by_hand.relu], bench.validation_accuracy.max()
    np.testing.assert_allclose(row.validation_accuracy, (3 * best + relu) / 4)
    np.testing.assert_allclose(row.test_accuracy, (3 * best + relu) / 4 - 0.01)
    low, high = stats.ttest_1samp([best, best, relu, best], 0).confidence_interval(0.95)
    np.testing.assert_allclose([row.validation_low, row.validation_high], [low, high])


def test_curves_are_means_over_trials_with_intervals(by_hand, bench):
    (curve,) = by_hand.curves()
    relu, best = bench.validation_accuracy[by_hand.relu], bench.validation_accuracy.max()
    np.testing.assert_array_equal(curve.evaluations, np.arange(1, 11))
    shares = np.array([0, 0, 1, 1, 1, 2, 2, 3, 3, 3]) / 4
    np.testing.assert_allclose(curve.mean, relu + shares * (best - relu))
    assert (curve.low <= curve.mean).all()
    np.testing.assert_allclose(curve.mean - curve.low, curve.high - curve.mean)


def test_tables_are_written(by_hand, tmp_path):
    by_hand.write(tmp_path)
    content = json.loads((tmp_path / "table.json").read_text())
    assert content["rows"][0] == dataclasses.asdict(by_hand.table()[0])
    assert content["best"] == pytest.approx(0.9)
    header, line = (tmp_path / "table.csv").read_text().splitlines()
    assert dict(zip(header.split(","), line.split(","), strict=True))["quartile_high"] == ""
    assert "knr          both" in (tmp_path / "table.txt").read_text()


# Keeping and going on.


def test_what_is_there_is_not_run_again(searched, bench):
    folder, run = searched
    lines = (folder / "trials.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "trials.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:9])  # cut off
    again = run_bench(bench, folder, trials=3, budget=11, **PCA)
    for key, trials in run.trials.items():
        for a, b in zip(trials, again.trials[key], strict=True):
            np.testing.assert_array_equal(a, b)
    # The trial that was cut off is the only one that was run.
    assert (folder / "trials.jsonl").read_bytes() == b"".join(lines)


def test_what_is_damaged_is_made_again(searched, bench, tmp_path):
    folder, run = searched
    shutil.copytree(folder, tmp_path / "copy")
    folder = tmp_path / "copy"
    trials = folder / "trials.jsonl"
    lines = trials.read_bytes().splitlines(keepends=True)
    digit = lines[4].index(b'"evaluated": [') + 14
    changed = b"%d" % (9 - int(lines[4][digit : digit + 1]))
    lines[4] = lines[4][:digit] + changed + lines[4][digit + 1 :]
    trials.write_bytes(b"".join(lines))
    for embedding in folder.glob("embedding-*.npz"):
        embedding.write_bytes(embedding.read_bytes()[:-30])
    with pytest.warns(UserWarning) as found:
        again = run_bench(bench, folder, trials=3, budget=11, **PCA)
    texts = [str(warning.message) for warning in found]
    assert any("trials.jsonl cannot be read: line 5 is damaged. What it h" in t for t in texts)
    assert any("embedding-" in text and "What it held is made again" in text for text in texts)
    for key, rows in run.trials.items():
        np.testing.assert_array_equal(np.concatenate(rows), np.concatenate(again.trials[key]))
    (folder / "settings.json").write_text("[]")
    with pytest.raises(ValueError, match=r"settings\.json cannot be read.*Delete the folder"):
        run_bench(bench, folder, trials=3, budget=11, **PCA)


def test_other_settings_in_the_folder(searched, bench):
    folder, _ = searched
    with pytest.raises(ValueError, match=r"other settings \(budget, seed\)"):
        run_bench(bench, folder, budget=12, seed=1, trials=1, **PCA)
    other = dataclasses.replace(bench, runs={k: v + 0.1 for k, v in bench.runs.items()})
    with pytest.raises(ValueError, match=r"other settings \(fingerprint\)"):
        run_bench(other, folder, budget=11, trials=1, **PCA)


def test_two_processes_find_the_same(bench, searched):
    settings = PCA | {"workers": 2}
    run = run_bench(bench, regressors=("knr",), features=("both",), trials=3, budget=11, **settings)
    for a, b in zip(run.trials["knr", "both"], searched[1].trials["knr", "both"], strict=False):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(regressors=("lasso",)), "A regressor is one of knr"),
        (dict(features=("shape",)), "A set of features is one of both, outputs, spectra"),
        (dict(embedding="tsne"), "An embedding is one of umap, pca"),
        (dict(budget=7), "at least the 8 evaluations of the start.*Received: 7"),
        (dict(budget=500), "at most the 168 functions"),
    ],
)
def test_errors(change, message, bench):
    with pytest.raises(ValueError, match=message):
        run_bench(bench, **PCA | dict(budget=14, trials=1) | change)


# Pictures and the command.


def test_figures(bench, searched):
    found = accuracies(bench)
    assert found.valid.sum() == 168
    assert found.invalid.sum() == 1
    first = bench.validation_accuracy[0]
    assert found.edges[found.invalid.argmax()] <= first < found.edges[found.invalid.argmax() + 1]
    places = np.zeros((168, 2))
    assert len(draw_bench(bench, places).axes) == 3  # with the colours
    figure = draw_bench_run(searched[1])
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["outputs and Fisher spectra", "outputs", "Fisher spectra"]
    names = {line.get_label() for line in figure.axes[0].lines}
    assert names == {*REGRESSORS, "ReLU", "best"}


@pytest.fixture(scope="module")
def app():
    import typer

    from keras_actfn.cli import bench

    app = typer.Typer()
    bench.register(app)

    @app.callback()
    def root():
        pass

    return app


@pytest.fixture(scope="module")
def published(bench, tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "small.json"
    content = {
        text: {
            "validation accuracy": bench.validation_accuracy[i],
            "test accuracy": bench.test_accuracy[i],
            "Fisher log eigenvalue CDF": bench.cdfs[i].tolist(),
        }
        for i, text in enumerate(bench.functions)
    }
    path.write_text(json.dumps(content))
    return path


def test_command_run(app, published, tmp_path):
    words = ["bench", "run", "--bench", published, "--regressors", "knr", "random", "--features"]
    words += ["outputs", "--trials", 2, "--budget", 10, "--embedding", "pca", "--workers", 1]
    words += ["--output", tmp_path, "--json"]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {(row["regressor"], row["features"]) for row in found["rows"]} == {
        ("knr", "outputs"),
        ("random", ""),
    }
    assert found["functions"] == 169
    assert (tmp_path / "curves.png").stat().st_size > 5000
    assert (tmp_path / "table.txt").exists()


def test_command_show(app, published, tmp_path):
    words = ["bench", "show", str(published), "--top", "2"]
    result = CliRunner().invoke(app, [*words, "--plot", str(tmp_path / "map.png")])
    assert result.exit_code == 0, result.output
    assert "169 functions, 168 with a valid spectrum" in result.stdout
    low = [
        (row["validation accuracy"] <= 0.11, np.isfinite(row["Fisher log eigenvalue CDF"]).all())
        for row in json.loads(published.read_text()).values()
    ]
    assert f"failed: {low.count((True, True))} of those" in result.stdout
    assert "0.9000   0.8900  add(mul(0.75,relu(x)),mul(0.5,tanh(x)))" in result.stdout
    assert (tmp_path / "map.png").stat().st_size > 5000
    result = CliRunner().invoke(app, ["bench", "show", str(published), "relu", "--json"])
    assert json.loads(result.stdout)["function"] == "add(mul(1,relu(x)),mul(0,tanh(x)))"


@pytest.mark.parametrize("name", ["important.txt", "important.png", "important", "folder.png"])
def test_command_show_replaces_nothing_but_pictures(app, published, tmp_path, name):
    path = tmp_path / name
    path.mkdir() if name == "folder.png" else path.write_text("important")
    words = ["bench", "show", str(published), "--plot", str(path)]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, ValueError) and str(path) in str(result.exception)
    assert "another name" in str(result.exception) or "ends in .png" in str(result.exception)
    assert path.is_dir() or path.read_text() == "important"
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["map.svg", "map.PNG", "map.pdf"])
def test_command_show_replaces_pictures(app, published, tmp_path, name):
    words = ["bench", "show", str(published), "--plot", str(tmp_path / name)]
    for _ in range(2):
        assert CliRunner().invoke(app, words).exit_code == 0
        assert (tmp_path / name).stat().st_size > 5000


def test_command_show_of_a_task_without_spectra(app):
    """A network of an equation has no Fisher spectrum: none of its functions has a valid one."""
    found = json.loads(CliRunner().invoke(app, ["bench", "show", "heat_pinn", "--json"]).stdout)
    heat = packed.bench("heat_pinn")
    failed = np.count_nonzero(heat.score <= -0.95 * heat.chance)
    assert found["with_spectrum"] == found["failed_with_spectrum"] == 0
    assert found["failed_without"] == failed > 0
    assert not any(entry["valid_spectrum"] for entry in found["best"])
    places = np.zeros((heat.valid.sum(), 2))
    histogram, places, _ = draw_bench(heat, places).axes
    assert [text.get_text() for text in histogram.get_legend().get_texts()] == [
        *("finite outputs", "no finite outputs")
    ]
    assert places.get_title() == "outputs"


def test_command_show_of_a_folder(app, tmp_path):
    (tmp_path / "a.npz").mkdir()
    result = CliRunner().invoke(app, ["bench", "show", str(tmp_path / "a.npz")])
    assert "There is no benchmark file" in str(result.exception)


def test_command_show_lists_the_tasks(app):
    result = CliRunner().invoke(app, ["bench", "show"])
    assert result.exit_code == 0, result.output
    row = next(line for line in result.stdout.splitlines() if line.startswith("fashion_cnn"))
    assert "2,412" in row and "accuracy (max)" in row and "mul(log_sigmoid(x),selu(x))" in row
    rows = json.loads(CliRunner().invoke(app, ["bench", "show", "--json"]).stdout)
    found = next(row for row in rows if row["bench"] == "fashion_cnn")
    assert (found["functions"], found["with_spectrum"], found["with_seeds"]) == (2412, 1570, 141)
    assert found["noise"] == pytest.approx(0.00304, abs=1e-5)
    result = CliRunner().invoke(app, ["bench", "show", "fashion_cn"])
    assert "Did you mean 'fashion_cnn'" in str(result.exception)
