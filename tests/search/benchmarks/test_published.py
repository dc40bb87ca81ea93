"""Benchmarks: the published JSON, read as a stream, and the compact file of trainings."""

import gzip
import json

import numpy as np
import pytest

from keras_actfn._files import append_line, read_npz, write_npz
from keras_actfn.fisher.spectrum import bin_weights
from keras_actfn.search.benchmarks import json_stream
from keras_actfn.search.benchmarks.build import results_file
from keras_actfn.search.benchmarks.json_stream import json_items
from keras_actfn.search.benchmarks.packed import bench as read
from keras_actfn.search.benchmarks.packed import read_bench
from keras_actfn.search.benchmarks.packing import pack_bench
from keras_actfn.search.benchmarks.published import load_act_bench

pytestmark = pytest.mark.once

ENTRIES = {
    "max(zero(x),identity(x))": {
        "train accuracy": 0.95,
        "train loss": 0.1,
        "validation accuracy": 0.9,
        "validation loss": 0.3,
        "test accuracy": 0.89,
        "test loss": 0.31,
        "Equivalent Activation Functions": ["max(zero(x),identity(x))", "max(identity(x),zero(x))"],
        "Fisher log eigenvalue CDF": [0.25, 0.5, 1.0],
        "Runtime (s)": 120.5,
    },
    "mul(exp(x),cosh(x))": {
        "Training Accuracy": 0.1,
        "training_loss": float("nan"),
        "val accuracy": 0.1,
        "Val Loss": None,
        "Test accuracy": "0.1",
        "Fisher log eigenvalue CDF": None,
    },
    "sub(tanh(x),one(x))": {
        "validation accuracy": 0.7,
        "Fisher log eigenvalue CDF": [0.5, float("nan"), 1.0],
    },
}


def write(path, content):
    text = content if isinstance(content, str) else json.dumps(content)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8") as file:
        file.write(text)
    return path


@pytest.mark.parametrize("name", ["act.json", "act.json.gz"])
@pytest.mark.parametrize("form", ["object", "list"])
def test_published_files(name, form, tmp_path):
    content = ENTRIES
    if form == "list":
        content = [{"Activation Function": key} | value for key, value in ENTRIES.items()]
    bench = load_act_bench(write(tmp_path / name, content))
    assert bench.name == "act"
    assert bench.functions == tuple(ENTRIES)
    assert bench.equivalents[0] == ("max(zero(x),identity(x))", "max(identity(x),zero(x))")
    assert bench.equivalents[2] == ("sub(tanh(x),one(x))",)
    np.testing.assert_array_equal(bench.training_accuracy, [0.95, 0.1, np.nan])
    np.testing.assert_array_equal(bench.training_loss, [0.1, np.nan, np.nan])
    np.testing.assert_array_equal(bench.validation_accuracy, [0.9, 0.1, 0.7])
    np.testing.assert_array_equal(bench.validation_loss, [0.3, np.nan, np.nan])
    np.testing.assert_array_equal(bench.test_accuracy, [0.89, 0.1, np.nan])
    np.testing.assert_array_equal(bench.seconds, [120.5, np.nan, np.nan])
    np.testing.assert_array_equal(bench.cdfs, [[0.25, 0.5, 1], [np.nan] * 3, [np.nan] * 3])
    assert bench.valid.tolist() == [True, False, False]
    assert bench.index("relu") == 0
    assert bench.index("add(-1,tanh(x))") == 2


def test_outputs_are_those_of_the_expressions(tmp_path):
    bench = load_act_bench(write(tmp_path / "act.json", ENTRIES))
    x = np.clip(np.random.RandomState(0).randn(1000), -5, 5)
    expected = [np.maximum(x, 0), np.exp(x) * np.cosh(x), np.tanh(x) - 1]
    np.testing.assert_allclose(bench.outputs, expected, rtol=1e-6)
    assert bench.outputs.dtype == np.float32


def test_a_spectrum_by_layers_has_the_weights_of_equation_2(tmp_path):
    entry = {"validation accuracy": 0.5, "Fisher log eigenvalue CDF": [[0.5, 1], [0.1, 0.2, 1]]}
    bench = load_act_bench(write(tmp_path / "act.json", {"relu(x)": entry}))
    np.testing.assert_allclose(bench.cdfs, [[0.5, 1, 0.1, 0.2, 1]])
    np.testing.assert_allclose(bench.weights, [0.5, 0.5] + [200 / 3 / 300] * 3)


def test_bin_weights_are_width_over_parameters():
    np.testing.assert_allclose(bin_weights([250, 160], [2, 1]), [0.4, 0.4, 1.25])


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize(
    "content",
    [ENTRIES, list(ENTRIES.values()), {}, [], [1, 22, -3.5e-7], {"a": "],}", "b": [{"c": "\\"}]}],
)
def test_items_are_those_of_json(content, chunk, tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "_CHUNK", chunk)
    text = json.dumps(content, indent=1, separators=(" ,\n", " : "))
    found = list(json_items(write(tmp_path / "file.json", text)))
    expected = content.items() if isinstance(content, dict) else enumerate(content)
    assert repr(found) == repr(list(expected))  # NaN equals NaN


def test_only_a_part_of_the_file_is_read_ahead(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "_CHUNK", 64)
    text = '{"first": 1, ' + '"more": [0], ' * 1000 + "broken"
    items = json_items(write(tmp_path / "file.json", text))
    assert next(items) == ("first", 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hello", "a JSON object or list"),
        ("", "a JSON object or list"),
        ('{"relu(x)": {"validation accuracy": 0.5}', "was cut off"),
        ('{"relu(x)": {"validation accu', "was cut off"),
        ('{"relu(x)" 3}', "expected ':'"),
        ({"relu(x)": 3}, "is an object with the results"),
        ([{"validation accuracy": 1.0}], "under 'Activation Function'"),
        ({"relu(x)": {"test accuracy": 1.0}}, "has the key 'validation accuracy'"),
        ({"relu(x)": {"validation accuracy": [1.0]}}, "validation accuracy of a function is a num"),
        (
            {
                "relu(x)": {"validation accuracy": 1, "Fisher log eigenvalue CDF": [0.5, 1.0]},
                "tanh(x)": {"validation accuracy": 1, "Fisher log eigenvalue CDF": [1.0]},
            },
            "with 1, 2 bins",
        ),
        ('{"relu(x)": {"validation accuracy": ' + "9" * 400 + "}}", "is a number"),
        ('{"relu(x)": {"validation accuracy": ' + "9" * 5000 + "}}", r"act\.json cannot be read"),
        ('{"relu(x)": ' + "[" * 100_000, r"act\.json cannot be read.*download"),
        ({"relu(x)": {"Fisher log eigenvalue CDF": [0.1, "a"]}}, "is a list of numbers"),
        ({"relu(x)": {"Fisher log eigenvalue CDF": [10**400]}}, "is a list of numbers"),
        ({"relu(x)": {"Fisher log eigenvalue CDF": [[0.1], 1]}}, "is a list of numbers"),
        ({"relu(x)": {"Fisher log eigenvalue CDF": [[0.1], {}]}}, "is a list of numbers"),
        ({"relu(x)": {"Equivalent Activation Functions": [["x"]]}}, "functions of a function are"),
        ({"relu(x)": {"Equivalent Activation Functions": 3}}, "functions of a function are texts"),
    ],
)
def test_bad_files(content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        load_act_bench(write(tmp_path / "act.json", content))


def test_damaged_published_files(tmp_path):
    path = write(tmp_path / "act.json.gz", ENTRIES)
    content = path.read_bytes()
    for damaged in (content[:-30], b"\x00" + content[1:], content[:40] + b"\xff" + content[41:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"act\.json\.gz.*download the file again"):
            load_act_bench(path)
    (tmp_path / "latin.json").write_bytes('{"é": 1}'.encode("latin1"))
    with pytest.raises(ValueError, match=r"latin\.json cannot be read.*download"):
        load_act_bench(tmp_path / "latin.json")


def test_a_huge_item_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "_CHUNK", 64)
    monkeypatch.setattr(json_stream, "_LARGEST_ITEM", 1000)
    path = write(tmp_path / "act.json.gz", '{"relu(x)": "' + "a" * 100_000)
    with pytest.raises(ValueError, match="huge item"):
        load_act_bench(path)


def test_a_function_that_is_not_there(tmp_path):
    bench = load_act_bench(write(tmp_path / "act.json", ENTRIES))
    with pytest.raises(ValueError, match="'act' has 3 functions; none has the outputs of 'elu'"):
        bench.index("elu")
    with pytest.raises(AttributeError, match="accuracy_of_chance"):
        _ = bench.accuracy_of_chance


# The compact file.

TASK = "fashion_cnn"
LAYERS = (160, 4640, 9248, 5130)


def training(function, seed, accuracy, *, valid=True, spectrum=True):
    diverged = accuracy == 0.1
    found = {
        "function": function,
        "seed": seed,
        "diverged": diverged,
        "steps": 234,
        "training_loss": None if diverged else 0.2,
        "validation_loss": None if diverged else 0.4,
        "test_loss": None if diverged else 0.5,
        "training_accuracy": accuracy,
        "validation_accuracy": accuracy,
        "test_accuracy": accuracy,
        "seconds": 2.5,
    }
    if spectrum:
        counts = [np.linspace(0, n, n // 100 + 1)[1:].astype(int) for n in LAYERS]
        found |= {"valid": valid, "cdf": np.concatenate(counts).tolist()}
    return found


RELU = "add(zero(x),relu(x))"


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    results = [
        training("add(one(x),tanh(x))", 0, 0.83),
        training(RELU, 0, 0.8451),
        training(RELU, 1, 0.8412, spectrum=False),
        training(RELU, 2, 0.8433, spectrum=False),
        training("add(zero(x),zero(x))", 0, 0.1, valid=False),
        training("not of the space", 0, 0.5),
    ]
    for result in results:
        append_line(results_file(folder, TASK), result)
    with open(results_file(folder, TASK), "a") as file:
        file.write('{"function": "cut o')
    return folder / "part" / "bench.npz", pack_bench(folder, TASK, folder / "part" / "bench.npz")


def test_packed_trainings_are_read_as_a_benchmark(packed):
    path, _ = packed
    bench = read_bench(path)
    assert bench.functions == ("add(zero(x),zero(x))", RELU, "add(one(x),tanh(x))")
    assert bench.seeds == (0, 1, 2)
    runs = [[0.1, np.nan, np.nan], [0.8451, 0.8412, 0.8433], [0.83, np.nan, np.nan]]
    np.testing.assert_array_equal(bench.runs["validation_accuracy"], runs)
    np.testing.assert_array_equal(bench.validation_accuracy, [0.1, 0.8433, 0.83])
    np.testing.assert_array_equal(bench.validation_loss, [np.nan, 0.4, 0.4])
    assert bench.diverged.tolist() == [[True, False, False], [False] * 3, [False] * 3]
    assert bench.valid.tolist() == [False, True, True]
    assert len(bench.equivalents[1]) == 41
    assert "max(zero(x),identity(x))" in bench.equivalents[1]
    assert bench.index("relu") == 1
    assert bench.index("max(zero(x),identity(x))") == 1
    assert [p.name for p in path.parent.iterdir()] == ["bench.npz"]

    spectrum = np.concatenate([np.linspace(0, n, n // 100 + 1)[1:].astype(int) / n for n in LAYERS])
    np.testing.assert_allclose(bench.cdfs[1], spectrum, rtol=1e-6)
    assert np.isnan(bench.cdfs[0]).all()
    bins = [n // 100 for n in LAYERS]
    np.testing.assert_allclose(bench.weights, bin_weights(LAYERS, bins))


def test_the_manifest_says_how_the_benchmark_was_made(packed):
    _, manifest = packed
    assert manifest["functions"] == 3
    assert manifest["functions_of_the_space"] == 2412
    assert manifest["trainings"] == 5
    assert manifest["trained_with_seed"] == {"0": 3, "1": 1, "2": 1}
    assert manifest["layer_parameters"] == list(LAYERS)
    assert manifest["recipe"]["epochs"] == 6
    assert manifest["core_seconds"] == pytest.approx(12.5)
    assert {"keras", "torch", "numpy", "python", "cores"} <= set(manifest["environment"])


def test_packing_without_trainings(tmp_path):
    with pytest.raises(ValueError, match=r"no trainings of fashion_cnn in .*bench build"):
        pack_bench(tmp_path, TASK, tmp_path / "bench.npz")
    append_line(results_file(tmp_path, TASK), training("not of the space", 0, 0.5))
    with pytest.raises(ValueError, match="of a function of the space"):
        pack_bench(tmp_path, TASK, tmp_path / "bench.npz")
    assert not (tmp_path / "bench.npz").exists()


def test_files_that_are_no_benchmark(tmp_path, packed):
    with pytest.raises(ValueError, match=r"no benchmark file .*missing\.npz"):
        read_bench(tmp_path / "missing.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.npz cannot be read: .*bench build"):
        read_bench(tmp_path / "text.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(manifest=dict(format=99)), "has the format 99"),
        (dict(manifest=dict(format=None)), "has the format None"),
        (dict(manifest=[]), "no benchmark file"),
        (dict(manifest=dict(seeds=[0, 1])), r"shape \(3, 2\)\. Received: .*\(3, 3\)"),
        (dict(manifest=dict(layer_bins=[10**400, 1, 1, 1])), "integers from 0"),
        (dict(manifest=dict(layer_bins=[10**9, 1, 1, 1])), r"counts are numbers of shape"),
        (dict(manifest=dict(layer_parameters=[160, 0, 9248, 5130])), "positive"),
        (dict(test_loss=np.zeros((2, 3))), r"test_loss are numbers of shape \(3, 3\)"),
        (dict(valid=np.ones(4, bool)), r"valid are numbers of shape \(3,\)"),
        (dict(diverged=np.array([["a"] * 3] * 3)), "diverged are numbers"),
        (dict(manifest=dict(mode="most")), "mode is 'min' or 'max'"),
        (dict(manifest=dict(metric="speed")), "test_speed, validation_speed among them"),
        (dict(manifest=dict(chance="0.1")), "chance is a finite number"),
        (dict(manifest=dict(epochs=5)), r"curve_metric are numbers of shape \(3, 3, 5\)"),
        (dict(functions=np.array(["relu(x)"])), r"of shape \(1, 3\)"),
        (dict(equivalents=np.array("[]")), "a list of texts for each function"),
        (dict(equivalents=np.array("[[1], [2], [3]]")), "a list of texts for each function"),
        (dict(equivalents=np.array("[" * 100_000)), "nested too deeply"),
        (dict(counts=None), "KeyError: 'counts'"),
    ],
)
def test_benchmarks_that_do_not_belong_together(changes, message, tmp_path, packed):
    arrays = read_npz(packed[0], "")
    manifest = changes.pop("manifest", {})
    if isinstance(manifest, dict):
        manifest = json.loads(str(arrays["manifest"])) | manifest
    arrays |= {"manifest": np.array(json.dumps(manifest))} | changes
    write_npz(tmp_path / "b.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(ValueError, match=message):
        read_bench(tmp_path / "b.npz")


def test_the_projects_own_benchmark():
    from keras_actfn.expressions import parse, three_node
    from keras_actfn.search.benchmarks.small_cnn import small_network

    bench = read("fashion_cnn")
    assert len(set(bench.functions)) == len(bench.functions) == 2_412
    space = three_node()
    assert all(function in space for function in map(parse, bench.functions))
    # Chance is one in ten; ReLU, its twin under another name, and a failure.
    relu = bench.validation_accuracy[bench.index("relu")]
    assert 0.8 < relu < np.nanmax(bench.validation_accuracy) < 0.95
    assert bench.validation_accuracy[bench.index("max(relu(x),zero(x))")] == relu
    # Layer by layer, the bins are those of the network that was trained.
    sizes = [layer.count_params() for layer in small_network("relu").layers if layer.weights]
    bins = [size // 100 for size in sizes]
    assert bench.cdfs.shape[1] == sum(bins)
    ends = np.cumsum(bins) - 1
    np.testing.assert_array_equal(bench.cdfs[bench.valid][:, ends], 1.0)
    assert (np.diff(bench.cdfs[bench.valid][:, : bins[0] + bins[1]], axis=1)[:, 1:] >= 0).all()
