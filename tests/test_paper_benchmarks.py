"""The benchmarks of the papers' tables on a few small images: runs, files and tables."""

import math
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_actfn._files import append_line
from keras_actfn.datasets import Dataset
from keras_actfn.training.by_recipe import RecipeNetwork

pytestmark = pytest.mark.once

HULL = "aff(tanh,relu)"


def small_images(side):
    """90 random images 80 of them for training."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(90, side, side, 1)).astype("float32")
    y = np.arange(90) % 10
    return Dataset(x[:80], y[:80], x[80:], y[80:], name="small", classes=10, source="random")


@pytest.fixture
def benchmarks(monkeypatch):
    """The folder of the benchmarks is one to import from."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))


@pytest.fixture
def paper(benchmarks, monkeypatch):
    """The hull paper's, which reads random images of 16×16 pixels as Fashion-MNIST."""
    import hull_paper

    data = small_images(16)
    monkeypatch.setattr(hull_paper.paper_runs.datasets, "load", lambda name, path: data)
    monkeypatch.setattr(hull_paper, "BETWEEN_SAVES", 0)
    return hull_paper


def finished(paper, words):
    args = paper.arguments(words)
    return paper.paper_runs.finished(args.results, paper.rule(args))


def test_training_stops_by_the_rule_and_the_best_weights_are_tested(
    paper, tmp_path, monkeypatch, capsys
):
    accuracies = iter([0.5, 0.6, 0.6, 0.55, 0.4])  # the last is the test's
    weights = []

    def measure(network, part):
        weights.append(np.concatenate([w.ravel() for w in network.trained.get_weights()]))
        return {"loss": 1.0, "accuracy": next(accuracies)}

    monkeypatch.setattr(RecipeNetwork, "measure", measure)
    monkeypatch.setattr(paper, "PATIENCE", 2)
    results = tmp_path / "results.jsonl"
    words = ["--models", "LeNet5", "--activations", HULL, "--seeds", "0"]
    words += ["--results", str(results), "--checkpoints", str(tmp_path / "checkpoints")]
    paper.main(words)
    assert not list((tmp_path / "checkpoints").iterdir())
    (found,) = finished(paper, words).values()
    assert found["best_epoch"] == 2 and found["epochs"] == 4 and found["test_accuracy"] == 0.4
    assert found["validation_accuracy"] == [0.5, 0.6, 0.6, 0.55]
    np.testing.assert_array_equal(weights[4], weights[1])
    assert np.abs(weights[4] - weights[3]).max() > 0
    assert np.shape(found["coefficients"]) == (3, 2)
    np.testing.assert_allclose(np.sum(found["coefficients"], axis=1), 1, atol=1e-5)

    paper.main(words)  # trains nothing: there are no more accuracies
    assert len(results.read_text().splitlines()) == 1
    assert "Missing" not in capsys.readouterr().out
    # Records that follow another rule do not count.
    assert not finished(paper, [*words, "--longest", "2"])


def test_a_stopped_run_goes_on_as_if_it_had_not_been(paper, tmp_path, monkeypatch):
    routine = paper.routine_of(paper.arguments(["--longest", "3"]), "LeNet5")
    network = routine.network("conv(identity,relu)")  # compiled once; each run sets it back
    monkeypatch.setattr(routine, "network", lambda _: network)
    reference, measure, calls = paper.Reference(routine), RecipeNetwork.measure, []

    def stop_at_the_third(network, part):
        calls.append(len(part))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return measure(network, part)

    def train(name):
        checkpoint = paper.Checkpoint(tmp_path / name, {"run": 1})
        found = paper.train(routine, reference, "conv(identity,relu)", 0, checkpoint)
        return {key: value for key, value in found.items() if key != "seconds"}

    whole = train("whole.npz")
    monkeypatch.setattr(RecipeNetwork, "measure", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        train("stopped.npz")
    assert train("stopped.npz") == whole
    assert calls == [8, 8, 8, 8, 10]  # the third epoch again, and the test
    (tmp_path / "stopped.npz").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match=r"stopped.npz cannot be read.*is made again"):
        assert train("stopped.npz") == whole


def test_the_table_pairs_by_seed_and_names_what_is_missing(paper, tmp_path, capsys):
    results, output, picture = (tmp_path / name for name in ("r.jsonl", "t.txt", "p.png"))
    words = ["--table", "--models", "LeNet5", "--activations", "relu", HULL]
    words += ["--results", str(results)]
    rule = paper.rule(paper.arguments(words))
    tested = {("relu", 0): 0.91, ("relu", 1): 0.905, (HULL, 0): 0.925, (HULL, 1): 0.93}
    for (activation, seed), accuracy in tested.items():
        record = {**rule, "model": "LeNet5", "activation": activation, "seed": seed}
        learned = [[1.5, -0.5]] * 3 if activation == HULL else []
        measured = {"backend": "jax", "test_accuracy": accuracy, "best_epoch": 7}
        append_line(results, {**record, **measured, "coefficients": learned})
    paper.main([*words, "--seeds", "0", "1", "--output", str(output), "--plot", str(picture)])
    text = capsys.readouterr().out
    assert output.read_text() == text and "Missing" not in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    # Differences of 1.5 and 2.5 points; Student's t with one degree of freedom is 12.706.
    half = 12.7062047 * math.sqrt(0.5) / math.sqrt(2)
    row = next(line for line in text.splitlines() if line.startswith(f"| {HULL}"))
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    spread = f"{92.75:.2f} ± {math.sqrt(0.125):.2f}"
    interval = f"+2.00 [{2 - half:+.2f}, {2 + half:+.2f}]"
    assert cells == [HULL, "2", spread, interval, "7, 7", "93.02", "+1.96"]
    # 1.5 tanh(x) − 0.5 relu(x) rises until tanh² = 2/3 and falls from there on.
    top = math.sqrt(2 / 3)
    falls = 1.5 * top - 0.5 * math.atanh(top) - (1.5 * math.tanh(4) - 2)
    assert f"|        — | -0.500 | 1.500 | {falls:>8.3f} |" in text

    paper.main([*words, "--seeds", "0", "1", "2"])
    text = capsys.readouterr().out
    assert f"Missing: 2 of 6 runs\n\nLeNet5, seed 2: relu, {HULL}\n" in text


def test_the_plan_gives_the_small_table_first(paper):
    plan = paper.plan(paper.arguments([]))
    assert len(plan) == len(set(plan)) == 2 * 12 * 3
    assert plan[:5] == [("LeNet5", 0, activation) for activation in paper.FIRST]
    assert {run[2] for run in plan[:15]} == set(paper.FIRST)
    assert {run[0] for run in plan[:36]} == {"LeNet5"}


def test_found_functions_are_trained_by_the_recipe_and_kept(
    benchmarks, tmp_path, monkeypatch, capsys
):
    import aquasurf_paper

    data = small_images(9)
    monkeypatch.setattr(aquasurf_paper.paper_runs.datasets, "load", lambda name, path: data)
    monkeypatch.setattr(aquasurf_paper, "HELD_OUT", 16)
    monkeypatch.setattr(aquasurf_paper, "BATCH_SIZE", 64)
    words = ["--models", "AllCNNC", "--longest", "1", "--seeds", "0"]
    words += ["--results", str(tmp_path / "results.jsonl"), "--activations", "x_erfc_elu"]
    aquasurf_paper.main(words)
    assert "Missing" not in capsys.readouterr().out
    monkeypatch.setattr(aquasurf_paper, "Trainer", None)  # a training would fail
    aquasurf_paper.main(words)
    assert "| x_erfc_elu |     1 |" in capsys.readouterr().out


def test_in_mixed_precision_the_softmax_alone_is_of_float32(benchmarks, monkeypatch):
    import aquasurf_paper

    data = small_images(9)
    monkeypatch.setattr(aquasurf_paper.paper_runs.datasets, "load", lambda name, path: data)
    args = aquasurf_paper.arguments(["--dtype", "mixed_bfloat16"])
    task = aquasurf_paper.paper_runs.task_of(args, "AllCNNC", "aquasurf_cifar", 64, 16)
    keras.config.set_dtype_policy(args.dtype)
    try:
        model = task.build_model("x_erfc_elu")
    finally:
        keras.config.set_dtype_policy("float32")
    x = np.asarray(data.x_test)
    logits = keras.Model(model.input, model.layers[-2].output)(x)
    assert keras.backend.standardize_dtype(logits.dtype) == "bfloat16"
    logits = np.float64(keras.ops.convert_to_numpy(keras.ops.cast(logits, "float32")))
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    expected = exponentials / exponentials.sum(1, keepdims=True)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(x)), expected, rtol=1e-5)
    other = aquasurf_paper.rule(aquasurf_paper.arguments([]))
    assert aquasurf_paper.rule(args) == {**other, "dtype": "mixed_bfloat16"}


def test_columns_of_aquasurf_are_those_of_the_network(benchmarks):
    import aquasurf_paper

    plan = aquasurf_paper.plan(aquasurf_paper.arguments([]))
    assert len(plan) == len(set(plan)) == 2 * 3 * (8 + 12 + 5)
    found = [
        name
        for name in aquasurf_paper.ACTIVATIONS
        if aquasurf_paper.paper("ResNet56V2", name) and name not in aquasurf_paper.BASELINES
    ]
    assert found == ["swish_minus_two_x", "selu_sinh_expm1_arctan", "x_erfc_elu"]
    assert aquasurf_paper.paper("ResNet56V2", "x_erfc_elu") == pytest.approx(74.19)
    assert aquasurf_paper.paper("AllCNNC", "x_erfc_elu") is None
    assert aquasurf_paper.paper("AllCNNC", "relu(x)") == 68.97


def test_the_table_of_local_training(benchmarks):
    import correlation_networks

    knots = np.linspace(-3, 3, 33)
    assert correlation_networks.even_share(knots**2) == pytest.approx(1)
    assert correlation_networks.even_share(3 - np.tanh(knots)) == pytest.approx(0, abs=1e-12)
    assert correlation_networks.even_share(knots**2 + knots) == pytest.approx(
        np.var(knots[5:28] ** 2) / np.var(knots[5:28] ** 2 + knots[5:28])
    )
    records = {}
    for seed, (relu, local) in enumerate([(0.8, 0.7), (0.78, 0.7)]):
        for variant, test in (("relu", relu), ("local", local)):
            record = {"backend": "jax", "train_accuracy": 0.8, "test_accuracy": test}
            record |= {"refreshed_accuracy": test + 0.05}
            for name in ("objectives", "optima", "permuted_optima", "even"):
                record[name] = [0.25, 0.5]
            records["resnet", seed, variant] = record
    for seed in (0, 1):  # functions that are a Swish to the last digit
        records["resnet", seed, "local"]["values"] = [(knots / (1 + np.exp(-2.5 * knots))).tolist()]
    words = ["--models", "resnet", "--seeds", "0", "1"]
    text = correlation_networks.table(correlation_networks.arguments(words), records)
    half = 12.7062047 * math.sqrt(0.0002) / math.sqrt(2) * 100
    expected = f"-9.00 [{-9 - half:+.2f}, {-9 + half:+.2f}]"
    assert text.count(expected) == 2 and "Missing: 4 of 8 runs" in text
    assert "| 2     |    0.5000 |  0.5000 |          0.5000 |       0.50 |" in text
    assert "| 2.50, 2.50 | 1.000, 1.000 | swish, swish |" in text


def test_a_small_vit_with_the_functions_of_crrelu(benchmarks, tmp_path, monkeypatch, capsys):
    import crrelu_paper

    data = small_images(14)
    monkeypatch.setattr(crrelu_paper.datasets, "load", lambda name, path: data)
    words = ["--longest", "2", "--subset", "80", "--activations", "prelu", "crrelu"]
    words += ["--seeds", "0", "--results", str(tmp_path / "results.jsonl")]
    crrelu_paper.main(words)
    assert "Missing" not in capsys.readouterr().out
    found = finished(crrelu_paper, words)
    epsilon = np.array(found[crrelu_paper.MODEL, 0, "crrelu"]["epsilon"])
    assert epsilon.shape == (4,)
    assert (epsilon != 0.01).all() and np.abs(epsilon - 0.01).max() < 0.01
    monkeypatch.setattr(crrelu_paper, "build", None)  # a training would fail
    crrelu_paper.main(words)


def test_the_table_of_crrelu(benchmarks):
    import crrelu_paper

    steps = [[1, 2, True, "", -1.0, -0.25, -0.125], [1, 2, True, "", -2.0, -0.75, -0.375]]
    records = {}
    for seed, (gelu, pwl, stepped) in enumerate([(0.8, 0.82, 0.83), (0.81, 0.82, 0.85)]):
        tested = {"gelu": gelu, "pwl": pwl, "crrelu": gelu + 0.01, "pwl, eafo": stepped}
        for activation, accuracy in tested.items():
            record = {"backend": "jax", "test_accuracy": accuracy}
            record |= {
                "epsilon": [0.25, -0.5],
                "steps": [steps[seed], [1, 1, False, "no", 0, 0, 0]],
            }
            records[crrelu_paper.MODEL, seed, activation] = record
    words = ["--seeds", "0", "1", "--activations", *tested]
    text = crrelu_paper.table(crrelu_paper.arguments(words), records)
    # The differences are 2 and 1 points; Student's t with one degree of freedom is 12.706.
    half = 12.7062047 * math.sqrt(0.5) / math.sqrt(2)
    row = next(line for line in text.splitlines() if line.startswith("| pwl  "))
    assert f"+1.50 [{1.5 - half:+.2f}, {1.5 + half:+.2f}]" in row
    assert "pwl, eafo − pwl: +2.00 [" in text and "Missing" not in text
    row = next(line for line in text.splitlines() if line.startswith("| crrelu"))
    assert [cell.strip() for cell in row.split("|")[-3:-1]] == ["80.2", "+9.6"]
    assert "| 2     | -0.5000 | -0.5000 |" in text
    assert "| 1     |     1 | 0 of 2 |" in text
    assert "| 2     |     1 | 2 of 2 |   -1.500 |  -2.000 |      -0.500 |         -0.250 |" in text


def test_functions_found_on_small_tasks_are_trained_in_a_larger_one(
    benchmarks, tmp_path, monkeypatch, capsys
):
    import aquasurf_transfer

    from keras_actfn import search

    # The best of a task: the mean over its seeds, by hand.
    bench = search.bench("digits_mlp")
    best, scores, relu = aquasurf_transfer.found(bench)
    means = {
        name: sum(map(float, row)) / 3
        for name, row in zip(bench.functions, bench.seed_scores(), strict=True)
        if all(map(math.isfinite, row))
    }
    assert best == max(means, key=means.get)
    assert sum(scores) / 3 == pytest.approx(means[best])
    of_relu = means[bench.functions[bench.index("relu(x)")]]
    assert sum(relu) / 3 == pytest.approx(of_relu)
    data = small_images(16)
    monkeypatch.setattr(aquasurf_transfer.paper_runs.datasets, "load", lambda name, path: data)
    monkeypatch.setattr(aquasurf_transfer, "HELD_OUT", 16)
    monkeypatch.setattr(aquasurf_transfer, "BATCH_SIZE", 64)
    words = ["--longest", "1", "--seeds", "0", "--activations", "relu(x)", best]
    words += ["--results", str(tmp_path / "results.jsonl")]
    aquasurf_transfer.main(words)
    assert "Missing" not in capsys.readouterr().out
    monkeypatch.setattr(aquasurf_transfer, "Trainer", None)  # a training would fail
    aquasurf_transfer.main(words)
    row = next(line for line in capsys.readouterr().out.splitlines() if f"| {best}" in line)
    gain = means[best] - of_relu
    assert "digits_mlp (crossentropy)" in row and f" {gain:+.3f} [" in row


def test_what_the_maps_of_functions_are_measured_by(benchmarks):
    import aquasurf_figures as figures
    from scipy import stats

    from keras_actfn.search import ActBench

    rng = np.random.default_rng(0)
    places = rng.uniform(size=(400, 2))
    smooth = places @ [1.0, 2.0]
    assert figures.foretold(places, np.exp(9 * smooth)) > 0.97  # by rank: no scale matters
    assert abs(figures.foretold(places, rng.permutation(smooth))) < 0.2
    assert figures.failure_foretold(places, smooth < 1) > 0.95
    assert abs(figures.failure_foretold(places, rng.permutation(smooth < 1)) - 0.5) < 0.1

    names = ("tanh(x)", "negative(tanh(x))", "relu(x)", "square(x)", "negative(relu(x))")
    first, second = (
        ActBench(
            name,
            names[:count],
            ((),) * count,
            {"validation_accuracy": np.array(scores)[:, None]},
            np.zeros((count, 0), "float32"),
            chance=0.1,
        )
        for name, count, scores in (
            ("first", 5, [0.5, 0.6, 0.1, 0.4, 0.9]),
            ("second", 4, [0.7, 0.2, 0.8, 0.3]),
        )
    )
    assert figures.negatives(first, np.arange(5)).tolist() == [[0, 1], [2, 4]]
    assert figures.shared(first, second).tolist() == [[0.5, 0.7], [0.6, 0.2], [0.4, 0.3]]
    text = figures.across_tasks([first, second])
    assert f"| {stats.spearmanr([5, 6, 4], [7, 2, 3]).statistic:+.2f} (3) |" in text
    places = {
        (kind, seed): np.arange(5.0)[:, None] for kind in figures.FEATURES for seed in range(3)
    }
    # Nothing is nearer to tanh than its negative, two of three others to ReLU.
    cell = f"{100 * np.median([0, 2 / 3]):.1f} ± 0.0"
    assert figures.of_opposite_sign(first, places).count(cell) == 3


def test_how_normal_the_inputs_of_a_class_are(benchmarks):
    import correlation_inputs
    from keras import layers

    from keras_actfn.layers import PWL

    # Channels that are normal, uniform and exponential, of two classes with other means.
    laws = np.random.default_rng(0)
    draws = [laws.normal(size=20_000), laws.uniform(size=20_000), laws.exponential(size=20_000)]
    x, y = np.stack(draws, axis=-1), np.arange(20_000) % 2
    x[y == 1] += [1, -2, 3]
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dense(2)(PWL()(inputs)))
    (row,) = correlation_inputs.measure(model, x.astype("float32"), y)
    # Distances of the laws in closed form: 0, 0.057 at ±0.85, and Φ(−1) at the exponential's end.
    assert row[3] == pytest.approx((0 + 0.057 + 0.1587) / 3, abs=0.01)
    assert row[4] == pytest.approx(2 / 3, abs=0.05)  # skewness 0, 0 and 2
    assert row[5] == pytest.approx((0 - 1.2 + 6) / 3, abs=0.4)
    assert correlation_inputs.normality(np.ones(5)) is None
