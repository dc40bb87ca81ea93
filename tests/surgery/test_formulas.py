"""Activations as formulas, and the loss and metrics before and after."""

import json

import keras
import numpy as np
import pytest
from keras import layers

import keras_actfn
from keras_actfn.expressions import SearchSpace, nearest, parse
from keras_actfn.surgery import replacement_report

#: Few functions, so that a test is quick.
SPACE = SearchSpace(["unary(x)"], unary=["identity", "relu", "tanh", "swish"])


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.fixture(scope="module")
def model():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, activation="swish", name="fused"),
            layers.Dense(8, name="dense"),
            keras_actfn.activation("pwl(initial=tanh,low=-4,high=4)", name="pwl"),
            layers.Dense(3, activation="softmax", name="out"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def data():
    return numbers(200, 4), np.random.default_rng(1).integers(0, 3, 200)


def test_each_site_becomes_the_nearest_formula(model, data, tmp_path):
    x, y = data
    weights = [w.copy() for w in model.get_weights()]
    report = replacement_report(model, x, y, space=SPACE)
    assert [site.site.path for site in report.sites] == ["fused", "pwl"]
    assert parse("swish(x)") == report.sites[0].found.best.expression
    assert parse("tanh(x)") == report.sites[1].found.best.expression
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    # Loss and metrics against NumPy's, from the outputs of both models.
    for each, found in ((model, report.before), (report.model, report.after)):
        probabilities = keras.ops.convert_to_numpy(each(x)).astype("float64")
        loss = -np.log(probabilities[np.arange(200), y]).mean()
        assert found["loss"] == pytest.approx(loss, rel=1e-4)
        assert found["accuracy"] == pytest.approx((probabilities.argmax(1) == y).mean())
    assert report.before["loss"] != report.after["loss"]
    assert abs(report.after["loss"] - report.before["loss"]) < 0.01
    assert "| pwl | PWL |" in str(report) and "| loss |" in str(report)
    report.save_json(tmp_path / "report.json")
    saved = json.loads((tmp_path / "report.json").read_text())
    assert saved["sites"][1]["spec"] == report.sites[1].spec
    report.model.save(tmp_path / "formulas.keras")
    loaded = keras.models.load_model(tmp_path / "formulas.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), report.model.predict(x, verbose=0))


def test_a_given_formula_is_judged_by_what_reaches_the_site(model, data):
    x, y = data
    formula = nearest("relu", space=SPACE).best
    report = replacement_report(model, x, y, formula, sites="pwl")
    (site,) = report.sites
    seen = keras.Model(model.inputs, model.get_layer("dense").output).predict(x, verbose=0)
    old = model.get_layer("pwl").evaluate(seen.reshape(-1))
    error = np.mean((np.maximum(seen.reshape(-1), 0) - old) ** 2)
    assert site.spec == "relu(x)" and site.found is None
    assert site.rms == pytest.approx(error**0.5, rel=0.01)
    assert site.r2 == pytest.approx(1 - error / np.var(old), abs=0.01)
    replaced = report.model.evaluate(x, y, verbose=0, return_dict=True)
    assert report.after["loss"] == pytest.approx(replaced["loss"], rel=1e-4)
    assert report.after["loss"] != pytest.approx(report.before["loss"], rel=1e-5)


def test_a_layer_given_as_activation_is_replaced_as_what_it_is(data):
    x, y = data
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, activation=keras_actfn.activation("swish(x)"), name="a"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    (site,) = replacement_report(model, x, y, space=SPACE).sites
    assert "swish" in site.spec and site.rms < 1e-3 and site.r2 > 0.9999


def without_variation():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu", name="a")])
    model.compile("sgd", "mse")
    model.get_layer("a").bias.assign(np.full(3, -100, "float32"))
    return model


def test_what_does_not_fit_is_refused(model, data):
    x, y = data
    plain = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="tanh")])
    with pytest.raises(ValueError, match="The model is compiled"):
        replacement_report(plain, x, y)
    with pytest.raises(ValueError, match="no activation at 'none'"):
        replacement_report(model, x, y, sites="none")
    with pytest.raises(ValueError, match="at least one"):
        replacement_report(model, x[:0], y[:0])
    with pytest.raises(ValueError, match=r"At 'a' \(relu\): The function varies"):
        replacement_report(without_variation(), x, numbers(200, 3), space=SPACE)
