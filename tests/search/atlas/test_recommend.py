"""Recommendations without training: expected gains, what is left out and why, bad arguments."""

import json

import keras
import numpy as np
import pytest
from scipy import stats
from small_search import build, points

from keras_actfn import search
from keras_actfn.search.atlas.expectation import Expectation, expectation, gains_over_relu
from keras_actfn.search.atlas.table import FLOOR, USUAL, Atlas, load_atlas
from keras_actfn.training import Task

pytestmark = pytest.mark.once

DATA = points(64, 1)


def test_the_interval_is_a_prediction_interval_of_student():
    """Of normal values it holds one more with the level's probability, whatever their number."""
    rng = np.random.default_rng(0)
    for count in (3, 8):
        values = 0.02 * rng.normal(size=(2000, count + 1))
        held = 0
        for *known, new in values:
            found = expectation(known)
            held += found.low <= new <= found.high
        assert abs(held / 2000 - 0.9) < 0.03


def test_an_expectation_by_hand():
    found = expectation([0.2, 0.3, 0.4, np.nan])
    half = stats.t.ppf(0.95, 2) * 0.1 * np.sqrt(4 / 3)
    assert (found.mean, found.tasks) == (pytest.approx(0.3), 3)
    assert (found.low, found.high) == (pytest.approx(0.3 - half), pytest.approx(0.3 + half))
    assert found.evidence == "no evidence"
    assert expectation([0.5, 0.5, 0.52]).evidence == "better"
    assert expectation([-0.5, -0.5, -0.52]).evidence == "worse"
    assert expectation([0.5]) == Expectation(0.5, FLOOR, 1.0, 1)
    with pytest.raises(ValueError, match=r"trained the function\. Received: none"):
        expectation([np.nan])


def test_gains_over_relu():
    functions = tuple(f"{name}(x)" for name in USUAL)
    scores = np.linspace(0.5, 0.85, 8)[:, None] * [1, -1]
    found = gains_over_relu(Atlas(("a", "b"), functions, scores))
    np.testing.assert_allclose(found[:, 0], np.arange(8) / 7)
    np.testing.assert_allclose(found[:, 1], [0, *[FLOOR] * 7])  # ReLU is the best


@pytest.fixture(scope="module")
def found():
    return search.recommend(Task(build, DATA, validation=0), size=5)


def test_a_recommendation(found):
    texts = [each.expression for each in found.functions]
    assert set(texts) | set(found.left_out) == {
        *search.portfolio(size=5),
        *(f"{name}(x)" for name in USUAL),
    }
    means = [each.gain.mean for each in found.functions]
    assert means == sorted(means, reverse=True) and found.best.expression == texts[0]
    atlas = load_atlas()
    gains = gains_over_relu(atlas)
    for each in found.functions:
        assert each.gain == expectation(gains[atlas.names.index(each.expression)])
        assert each.usual == (each.expression.removesuffix("(x)") in USUAL)
    relu = next(each for each in found.functions if each.expression == "relu(x)")
    assert relu.gain.mean == 0
    assert found.tasks == search.bench_names() and found.spectra == "exact"
    shown = str(found)
    assert all(text in shown for text in texts) and found.evidence in shown
    assert json.loads(json.dumps(found.to_dict()))["functions"][0]["expression"] == texts[0]


def test_a_model_and_a_function_of_an_activation(found):
    by_function = search.recommend(build, DATA, size=5)
    assert by_function == found
    model = build("tanh")
    model.compile("sgd", "sparse_categorical_crossentropy")
    by_model = search.recommend(model, DATA, size=5)
    assert {each.expression for each in by_model.functions} == {
        each.expression for each in found.functions
    }


def test_what_one_task_alone_has_trained_comes_last():
    others = set(search.bench_names()) - {"fashion_cnn", "fashion_resnet"}
    found = search.recommend(Task(build, DATA, validation=0), size=12, leave_out=tuple(others))
    alone = [each.gain.tasks == 1 for each in found.functions]
    assert any(alone) and not all(alone) and alone == sorted(alone)
    assert max(each.gain.mean for each in found.functions) > found.best.gain.mean
    for part in (True, False):
        means = [e.gain.mean for e in found.functions if (e.gain.tasks == 1) is part]
        assert means == sorted(means, reverse=True)


def test_what_cannot_be_trained_is_left_out():
    def overflowing(spec):
        """The 200th power of the activation's values, which overflows where these are large."""
        model = build(spec)
        y = keras.layers.Lambda(lambda y: keras.ops.power(y, 200), output_shape=(60,))
        inputs = keras.Input((6,))
        hidden = y(model.layers[1](model.layers[0](inputs)))
        return keras.Model(inputs, model.layers[2](hidden))

    found = search.recommend(overflowing, DATA, size=1)
    kept = {each.expression for each in found.functions}
    assert "relu(x)" in found.left_out and "sigmoid(x)" in kept
    assert all("not finite" in reason for reason in found.left_out.values())
    assert f"Left out: relu(x): {found.left_out['relu(x)']}\n" in f"{found}\n"


def test_nothing_is_recommended_on_data_that_is_not_finite():
    x, y = DATA
    with pytest.raises(ValueError, match=r"outputs on the data are finite.*'relu\(x\)': .*not fin"):
        search.recommend(build, (x * np.nan, y), size=1)


def test_bad_arguments():
    task = Task(build, DATA, validation=0)
    with pytest.raises(ValueError, match="A task has its data"):
        search.recommend(task, DATA)
    with pytest.raises(ValueError, match="a model without any"):
        search.recommend(build)
    with pytest.raises(ValueError, match="Received: str"):
        search.recommend("lenet5", DATA)
    with pytest.raises(ValueError, match="Received: 'fashion'"):
        search.recommend(task, leave_out=["fashion"])
