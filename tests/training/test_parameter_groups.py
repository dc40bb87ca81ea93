"""Activations with an optimiser of their own: which variables move, how far, and when."""

import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_actfn
from keras_actfn.training import activation_variables, parameter_groups

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = X[:, :1] ** 2
GOLDEN = Path(__file__).parent.parent / "golden"


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


def nested(spec="pwl(axis=-1)"):
    """Weights, biases and two activations inside a nested model: paths change on loading."""
    keras.utils.set_random_seed(0)
    inner = keras.Sequential(
        [
            keras.Input((8,), name="inputs"),
            keras_actfn.activation(spec, name="first"),
            keras.layers.Dense(6, activation=keras_actfn.activation(spec), name="inside"),
        ],
        name="inner",
    )
    return keras.Sequential(
        [
            keras.Input((4,), name="images"),
            keras.layers.Dense(8, name="before"),
            inner,
            keras.layers.Dense(1, name="after"),
        ],
        name="outer",
    )


ADAM, SGD = keras.optimizers.Adam, keras.optimizers.SGD
SAVED = {
    "adam twice": lambda m: parameter_groups(m, ADAM(1e-2), ADAM(1e-1)),
    "adam and sgd": lambda m: parameter_groups(m, ADAM(1e-2), SGD(1e-1)),
    "biases": lambda m: parameter_groups(m, ADAM(1e-2), bias_optimizer=ADAM(1e-1)),
    "three": lambda m: parameter_groups(
        m, ADAM(1e-2), SGD(1e-1), bias_optimizer=keras.optimizers.RMSprop(1e-3), freeze_steps=5
    ),
    "accumulation": lambda m: parameter_groups(
        m, ADAM(1e-2), ADAM(1e-1, gradient_accumulation_steps=2)
    ),
}


def train(model, epochs):
    model.fit(X, Y, batch_size=4, epochs=epochs, shuffle=False, verbose=0)


#: What "three" has too.
PARTS = [pytest.param(name, marks=pytest.mark.once) for name in ("adam twice", "biases")]


@pytest.mark.parametrize("groups", ["adam and sgd", "three", "accumulation", *PARTS])
def test_training_goes_on_from_a_file_as_if_never_saved(groups, tmp_path):
    model = nested()
    model.compile(SAVED[groups](model), "mse")
    train(model, 2)
    model.save(tmp_path / "model.keras")
    rates = [(type(o), o.get_config()["learning_rate"]) for o in model.optimizer.optimizers]
    train(model, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Keras warns of state that it leaves out
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    found = [(type(o), o.get_config()["learning_rate"]) for o in loaded.optimizer.optimizers]
    assert found == rates
    train(loaded, 2)
    for a, b in zip(values(model.weights), values(loaded.weights), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-7)
    state = [values(m.optimizer.variables) for m in (model, loaded)]
    for a, b in zip(*state, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-7)


def test_training_goes_on_from_a_file_of_another_backend(tmp_path):
    """The files are those of `write_grouped.py`, run on PyTorch, with what it got two epochs on."""
    model = keras.saving.load_model(GOLDEN / "grouped.keras")
    train(model, 2)
    with np.load(GOLDEN / "grouped.npz") as expected:
        for name, value in zip(sorted(expected, key=int), values(model.weights), strict=True):
            np.testing.assert_allclose(value, expected[name], rtol=2e-5, atol=1e-6)


@pytest.mark.once
def test_each_variable_keeps_its_own_optimizer(tmp_path):
    model = nested()
    model.compile(parameter_groups(model, SGD(0.5), SGD(0.25), bias_optimizer=SGD(0.0)), "mse")
    train(model, 1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [v.path for v in loaded.trainable_variables] != [
        v.path for v in model.trainable_variables
    ]
    before = values(loaded.trainable_variables)
    loaded.optimizer.apply([keras.ops.ones(v.shape) for v in loaded.trainable_variables])
    for variable, old in zip(loaded.trainable_variables, before, strict=True):
        rate = {"values": 0.25, "bias": 0.0}.get(variable.name, 0.5)
        np.testing.assert_allclose(values([variable])[0], old - rate, rtol=1e-6, atol=1e-6)


def test_half_precision_scales_the_loss_of_all_groups(tmp_path):
    policy = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        model = network("pwl")
        model.compile(parameter_groups(model, SGD(1e-3), SGD(1e-2)), "mse")
        before = values(model.trainable_variables)
        train(model, 1)
        assert all(
            np.abs(a - b).max() > 0
            for a, b in zip(before, values(model.trainable_variables), strict=True)
        )
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        train(model, 1)
        train(loaded, 1)
    finally:
        keras.config.set_dtype_policy(policy)
    for a, b in zip(values(model.weights), values(loaded.weights), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-7)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.inside = keras.layers.Dense(3, activation=keras_actfn.activation("pwl(axis=-1)"))

    def call(self, x):
        return self.inside(x)


LATE = {
    "dense": ((4,), lambda pwl: keras.layers.Dense(3, activation=pwl), 1),
    "convolution of images of any size": (
        (None, None, 2),
        lambda pwl: keras.layers.Conv2D(3, 2, activation=pwl),
        1,
    ),
    "recurrent": ((5, 4), lambda pwl: keras.layers.GRU(3, activation=pwl), 1),
    "both directions": (
        (5, 4),
        lambda pwl: keras.layers.Bidirectional(keras.layers.LSTM(3, activation=pwl)),
        2,
    ),
}


@pytest.mark.parametrize("where", LATE)
def test_an_activation_that_is_built_in_the_first_call_gets_its_optimizer(where):
    shape, layer, count = LATE[where]
    model = keras.Sequential([keras.Input(shape), layer(keras_actfn.activation("pwl(axis=-1)"))])
    optimizer = parameter_groups(model, SGD(0.0), SGD(1.0))
    model.compile(optimizer, "mse")
    optimizer.build(model.trainable_variables)
    before = values(activation_variables(model))
    assert len(before) == count and all(v.shape[1] == 3 for v in before)
    optimizer.apply([keras.ops.ones(v.shape) for v in model.trainable_variables])
    for old, new in zip(before, values(activation_variables(model)), strict=True):
        np.testing.assert_allclose(new, old - 1, rtol=1e-6)


@pytest.mark.once
def test_what_is_not_built_is_refused():
    with pytest.raises(ValueError, match="which is not built"):
        parameter_groups(keras.Sequential([keras.layers.Dense(2)]), SGD(0.1), SGD(0.2))
    model = Subclassed()
    model(keras.Input((4,)))
    if not all(layer.built for layer in model.inside._flatten_layers()):
        with pytest.raises(ValueError, match=r"the activation 'pwl.*' of 'subclassed"):
            parameter_groups(model, SGD(0.1), SGD(0.2))
    model(X)
    assert len(parameter_groups(model, SGD(0.1), SGD(0.2)).optimizers) == 2


@pytest.mark.once
def test_an_optimizer_of_another_model_is_refused():
    optimizer = parameter_groups(network(), SGD(0.1), SGD(0.2))
    with pytest.raises(
        ValueError, match=r"not trained then: 'net/dense_1/kernel'.*parameter_groups"
    ):
        optimizer.build(network().trainable_variables)


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
