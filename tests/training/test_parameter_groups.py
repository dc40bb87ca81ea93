"""Activations with an optimiser of their own: which variables move, how far, and when."""

import keras
import numpy as np
import pytest

import keras_actfn
from keras_actfn.training import activation_variables, parameter_groups

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = X[:, :1] ** 2


def network(spec="conv(identity,relu,tanh)"):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, name="dense_1"),
            keras_actfn.activation(spec, name="activation_1"),
            keras.layers.Dense(1, name="dense_2"),
        ],
        name="net",
    )


def values(variables):
    return [keras.ops.convert_to_numpy(v).copy() for v in variables]


def test_each_group_learns_at_its_own_rate_and_constraints_hold():
    model = network()
    own = activation_variables(model)
    assert [v.path.split("/")[-1] for v in own] == ["coefficients"]
    optimizer = parameter_groups(
        model, keras.optimizers.SGD(0.0), keras.optimizers.SGD(5.0), freeze_steps=3
    )
    model.compile(optimizer, "mse")
    start, fixed = values(own), values(model.get_layer("dense_1").weights)
    model.fit(X, Y, batch_size=8, epochs=3, verbose=0)
    np.testing.assert_array_equal(values(own)[0], start[0])
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    (moved,) = values(own)
    assert np.abs(moved - start[0]).max() > 1e-3
    # A rate of 5 leaves the simplex at once; its projection must have been applied.
    assert moved.min() >= 0 and moved.sum() == pytest.approx(1, abs=1e-6)
    for a, b in zip(fixed, values(model.get_layer("dense_1").weights), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.once
def test_weight_decay_leaves_the_activations_alone():
    model = network("crrelu")
    own = activation_variables(model)
    decaying = keras.optimizers.SGD(0.1, weight_decay=0.5)
    optimizer = parameter_groups(model, decaying, keras.optimizers.SGD(0.1))
    before, weights = values(own), values(model.get_layer("dense_1").trainable_variables)
    optimizer.build(model.trainable_variables)
    optimizer.apply([keras.ops.zeros(v.shape) for v in model.trainable_variables])
    np.testing.assert_array_equal(values(own)[0], before[0])
    after = values(model.get_layer("dense_1").trainable_variables)
    np.testing.assert_allclose(after[0], weights[0] * (1 - 0.1 * 0.5), rtol=1e-5)


@pytest.mark.once
def test_files_keep_both_optimizers(tmp_path):
    model = network()
    groups = (keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-2))
    model.compile(parameter_groups(model, *groups, freeze_steps=2), "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for m in (model, loaded):
        m.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(values(model.weights), values(loaded.weights), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.once
def test_nested_models_prelu_and_fused_activations_are_found():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.PReLU()], name="inner")
    fused = keras.layers.Dense(4, activation=keras_actfn.activation("crrelu"))
    model = keras.Sequential([keras.Input((4,)), inner, fused])
    names = sorted(v.name for v in activation_variables(model))
    assert names == ["alpha", "epsilon"]


@pytest.mark.once
def test_without_parameters_there_is_one_group():
    sgd = keras.optimizers.SGD(0.1)
    assert parameter_groups(network("relu"), sgd, keras.optimizers.SGD(0.2)) is sgd


@pytest.mark.once
def test_refusals():
    sgd = keras.optimizers.SGD(0.1)
    with pytest.raises(ValueError, match="an optimiser of its own"):
        parameter_groups(network(), sgd, sgd)
    with pytest.raises(ValueError, match="freeze_steps is at least 0"):
        parameter_groups(network(), sgd, keras.optimizers.SGD(0.1), freeze_steps=-1)
    with pytest.raises(ValueError, match="an optimiser of its own"):
        parameter_groups(network(), sgd, bias_optimizer=sgd)
    with pytest.raises(ValueError, match="freeze_steps needs an activation_optimizer"):
        parameter_groups(network(), sgd, freeze_steps=1)
