"""Regressions with errors in the unit of the targets."""

import keras
import numpy as np
import pytest
from keras_actfn.applications import MLP

from keras_actfn.datasets import Dataset, digits
from keras_actfn.training import compile_regressor

RNG = np.random.default_rng(0)


def regression(outputs):
    """A dataset of 24 + 10 rows with standardised targets, and the targets in their own unit."""
    x = RNG.normal(size=(34, 3)).astype("float32")
    shape = (34,) if outputs is None else (34, outputs)
    own = 1000 + np.linspace(5, 50, outputs or 1).squeeze() * RNG.normal(size=shape)
    mean, std = own[:24].mean(0), own[:24].std(0)
    y = ((own - mean) / std).astype("float32")
    data = Dataset(
        *(x[:24], y[:24], x[24:], y[24:], "made", 0, "up", "regression"),
        target_mean=mean,
        target_std=std,
    )
    return data, own


@pytest.mark.parametrize("outputs", [None, 1, 2])
def test_errors_are_in_the_targets_unit(outputs, tmp_path):
    data, own = regression(outputs)
    model = compile_regressor(MLP("tanh", (3,), outputs=data.outputs, units=4), data)
    model.fit(data.x_train, data.y_train, batch_size=8, verbose=0)
    found = model.evaluate(data.x_test, data.y_test, batch_size=4, return_dict=True, verbose=0)
    predicted = model.predict(data.x_test, verbose=0).reshape(data.y_test.shape)
    error = data.in_target_units(predicted) - own[24:]
    np.testing.assert_allclose(found["mae"], np.abs(error).mean(), rtol=1e-4)
    np.testing.assert_allclose(found["rmse"], np.sqrt((error**2).mean()), rtol=1e-4)
    np.testing.assert_allclose(found["loss"], ((predicted - data.y_test) ** 2).mean(), rtol=1e-4)
    if outputs == 2:
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        again = loaded.evaluate(data.x_test, data.y_test, batch_size=4, return_dict=True, verbose=0)
        assert again == pytest.approx(found, rel=1e-5)


@pytest.mark.once
def test_what_is_refused():
    data, _ = regression(2)
    with pytest.raises(ValueError, match=r"Received: \(None, 1\). End the model in Dense\(2\)"):
        compile_regressor(MLP(input_shape=3, outputs=1), data)
    model = compile_regressor(MLP(input_shape=3, outputs=2), data)
    with pytest.raises(ValueError, match="Received: the compiled model 'mlp'"):
        compile_regressor(model, data)
    with pytest.raises(ValueError, match="digits, a classification"):
        compile_regressor(MLP(), digits())
