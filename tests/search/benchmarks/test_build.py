"""The atlas is trained in a fixed order, and goes on after a kill."""

import dataclasses
import json

import numpy as np
import pytest

from keras_actfn.search import BASELINES
from keras_actfn.search import bench as read
from keras_actfn.search.benchmarks import build, tasks
from keras_actfn.search.benchmarks.build import atlas_functions, build_bench, results_file
from keras_actfn.search.benchmarks.packed import read_bench
from keras_actfn.search.benchmarks.packing import pack_bench
from keras_actfn.search.benchmarks.task import PARTS

pytestmark = pytest.mark.once


def test_the_order_is_the_usual_functions_then_a_permutation():
    order, known = atlas_functions(), read("fashion_cnn")
    assert len(order) == 2412 and set(order) == set(known.functions)
    assert [known.index(name) for name in BASELINES] == [known.index(f) for f in order[:8]]
    bessel = ["bessel" in function for function in order]
    assert bessel == sorted(bessel) and sum(bessel) == 398
    # The rest is the order in which the first benchmark was trained.
    permutation = np.random.default_rng(0).permutation(2412)
    first = [known.functions[i] for i in permutation if "bessel" not in known.functions[i]]
    assert [f for f in first if f not in order[:8]] == list(order[8 : bessel.index(True)])


@pytest.fixture
def tiny(monkeypatch):
    """`digits_mlp` on made-up data, in stages of two functions, the best one, then three."""
    rng = np.random.default_rng(0)
    data = dict.fromkeys(PARTS, (rng.normal(size=(24, 64)).astype("float32"), np.arange(24) % 10))
    task = tasks.TASKS["digits_mlp"]
    recipe = dataclasses.replace(task.recipe, training=24, epochs=2, batch_size=12, spectrum=4)
    task = dataclasses.replace(task, recipe=recipe, data=lambda recipe: data)
    monkeypatch.setitem(tasks.TASKS, "digits_mlp", task)
    monkeypatch.setattr(build, "STAGES", (("first", 2), ("best", 1), ("first", 3)))
    monkeypatch.setattr(build, "BASELINES", ("relu",))


def test_a_build_goes_on_where_it_was_killed(tiny, tmp_path):
    options = dict(tasks=["digits_mlp"], workers=1, progress=False)
    assert build_bench(tmp_path, functions=3, limit=1, **options) == {"digits_mlp": 1}
    with open(results_file(tmp_path, "digits_mlp"), "a") as file:
        file.write('{"function": "cut o')
    found = build_bench(tmp_path, functions=3, **options)["digits_mlp"]
    lines = [json.loads(x) for x in results_file(tmp_path, "digits_mlp").read_text().splitlines()]
    runs = [(line["function"], line["seed"]) for line in lines]
    relu, second, third = atlas_functions()[:3]
    best = min(lines[:2], key=lambda line: line["validation_crossentropy"])["function"]
    seeds = [(f, seed) for seed in (1, 2) for f in dict.fromkeys([best, relu])]
    assert runs == [(relu, 0), (second, 0), *seeds, (third, 0)]
    assert found == len(runs)
    before = results_file(tmp_path, "digits_mlp").read_bytes()
    assert build_bench(tmp_path, functions=3, limit=0, **options)["digits_mlp"] == found
    assert results_file(tmp_path, "digits_mlp").read_bytes() == before

    # What is packed is what was trained.
    manifest = pack_bench(tmp_path, "digits_mlp")
    assert manifest["functions"] == 3 and manifest["trainings"] == len(runs)
    bench = read_bench(tmp_path / "digits_mlp.npz")
    assert (bench.metric, bench.mode, bench.seeds) == ("crossentropy", "min", (0, 1, 2))
    row = bench.functions.index(relu)
    values = [line["validation_crossentropy"] for line in lines if line["function"] == relu]
    assert bench.score[row] == max(-np.median(values), -bench.chance)
    assert bench.curves.shape == (3, 2) and bench.curves[row, -1] == bench.score[row]
    ends = [line["curve_loss"][0] for line in lines if line["function"] == relu]
    assert bench.loss_curves[row, 0] == pytest.approx(np.median(ends), rel=1e-5)
    assert bench.cdfs.shape == (3, 41 * 3 + 6) and bench.valid.all()
    np.testing.assert_allclose(bench.cdfs[:, 40], 1)
