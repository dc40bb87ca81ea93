"""Learned activations switched off and on, and fixed for serving with equal outputs."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from own_layers import Block

from keras_actfn import activation
from keras_actfn.layers import PWL, CRReLU, ExpressionActivation, LearnableActivation, Spline
from keras_actfn.surgery import (
    find_activations,
    freeze_activations,
    replace_activations,
    set_activation_trainable,
)


def numbers(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def model_with(spec, dtype=None):
    """Two learned activations with random parameters; the second is in a nested model."""
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="b"), layers.ReLU(name="act", dtype=dtype)],
        name="inner",
    )
    inputs = keras.Input((4,))
    x = inner(layers.Dense(4, activation="relu", name="a", dtype=dtype)(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="out")(x))
    model = replace_activations(model, spec)
    for index, layer in enumerate((model.get_layer("a_activation"), inner_act(model))):
        for weight in layer.weights:
            weight.assign(numbers(weight.shape, index))
    return model


def inner_act(model):
    return model.get_layer("inner").get_layer("act")


FROZEN = [
    ("aff(identity,relu,tanh)", ExpressionActivation),
    ("conv(x,elu,arctan)", ExpressionActivation),
    ("crrelu(epsilon=0.3)", ExpressionActivation),
    ("aff(identity,silu,axis=-1)", LearnableActivation),
    ("aff(identity,squareplus)", LearnableActivation),
    ("crrelu(axis=-1)", CRReLU),
    ("pwl(knots=9)", PWL),
    ("spline(knots=9)", Spline),
    (layers.PReLU, layers.PReLU),
]


@pytest.mark.parametrize(("spec", "kind"), FROZEN, ids=lambda value: str(value)[:30])
def test_frozen_model_has_equal_outputs_and_nothing_to_learn(spec, kind):
    model = model_with(spec)
    frozen = freeze_activations(model)
    for layer in (frozen.get_layer("a_activation"), inner_act(frozen)):
        assert isinstance(layer, kind) and not layer.trainable_variables
    assert len(frozen.trainable_variables) == 6  # kernels and biases
    assert inner_act(model).trainable_variables
    x = numbers((64, 4), 5) * 3
    np.testing.assert_allclose(
        ops.convert_to_numpy(frozen(x)), ops.convert_to_numpy(model(x)), rtol=1e-6, atol=1e-6
    )


def test_the_formula_is_written_out():
    frozen = freeze_activations(model_with("crrelu(epsilon=0.3)"))
    text = str(inner_act(frozen).expression)
    number = float(numbers((), 1))
    near = "max(min(x,40),negative(40))"
    bell = "exp(mul(mul(negative(0.5),x),x))"
    assert text == f"add(relu(x),mul({number!r},mul({near},{bell})))"


def test_frozen_functions_are_finite_where_the_layer_is():
    x = np.array([[-np.inf, np.inf, -1e30, 1e30, -60.0, 60.0, 0.0, 1.0]], "float32")
    crrelu = keras.Sequential([keras.Input((8,)), CRReLU(epsilon=0.5)])
    y = ops.convert_to_numpy(freeze_activations(crrelu)(x))
    expected = [0, np.inf, 0, 1e30, 0, 60, 0, 1 + 0.5 * np.exp(-0.5)]
    np.testing.assert_allclose(y[0], expected, rtol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(crrelu(x))[0], expected, rtol=1e-6)


def test_a_base_that_a_zero_coefficient_takes_out_leaves_the_formula():
    model = keras.Sequential([keras.Input((3,)), activation("conv(relu,exp)", name="hull")])
    model.get_layer("hull").coefficients.assign(ops.convert_to_tensor([1.0, 0.0]))
    frozen = freeze_activations(model)
    assert str(frozen.get_layer("hull").expression) == "mul(1,relu(x))"
    x = np.array([[100.0, 1e30, -2.0]], "float32")
    np.testing.assert_allclose(ops.convert_to_numpy(frozen(x)), [[100.0, 1e30, 0.0]], rtol=1e-6)
    model.get_layer("hull").coefficients.assign(ops.convert_to_tensor([0.0, 0.0]))
    np.testing.assert_array_equal(ops.convert_to_numpy(freeze_activations(model)(x)), 0 * x)


@pytest.mark.parametrize("spec", ["aff(identity,tanh)", "crrelu"])
def test_parameters_of_a_diverged_training_are_refused(spec):
    model = keras.Sequential([keras.Input((3,)), activation(spec, name="act")])
    (parameter,) = model.trainable_variables
    parameter.assign(parameter * np.nan)
    with pytest.raises(ValueError, match=r"are finite .*Received: nan in 'act'"):
        freeze_activations(model)


@pytest.mark.parametrize("fused", [True, False])
def test_learned_activations_that_are_an_argument_are_frozen(fused):
    kind = layers.Dense if fused else Block
    model = keras.Sequential([keras.Input((3,)), kind(3, activation=CRReLU(0.5), name="a")])
    frozen = freeze_activations(model)
    x = numbers((5, 3))
    np.testing.assert_allclose(
        ops.convert_to_numpy(frozen(x)), ops.convert_to_numpy(model(x)), rtol=1e-6, atol=1e-6
    )
    assert [s.activation[:12] for s in find_activations(frozen) if s.replaceable] == [
        "add(relu(x),"
    ]


def test_frozen_in_half_precision():
    model = model_with("aff(identity,relu,tanh)", dtype="mixed_bfloat16")
    frozen = freeze_activations(model)
    assert inner_act(frozen).dtype_policy.name == "mixed_bfloat16"
    x = numbers((16, 4))
    np.testing.assert_array_equal(*(ops.convert_to_numpy(m(x)) for m in (model, frozen)))


def test_frozen_model_is_saved(tmp_path):
    frozen = freeze_activations(model_with("aff(identity,relu,tanh)"))
    frozen.save(tmp_path / "frozen.keras")
    x = numbers((4, 4))
    loaded = keras.models.load_model(tmp_path / "frozen.keras")
    np.testing.assert_allclose(
        *(ops.convert_to_numpy(m(x)) for m in (loaded, frozen)), rtol=1e-6, atol=1e-7
    )


def test_nothing_to_freeze():
    model = keras.Sequential([keras.Input((2,)), layers.ReLU()], name="plain")
    with pytest.raises(ValueError, match="The model 'plain' has no learned activations"):
        freeze_activations(model)
    with pytest.raises(ValueError, match="The model 'plain' has no learned activations"):
        set_activation_trainable(model, True)


def test_a_model_that_is_not_built_can_be_frozen():
    model = replace_activations(keras.Sequential([layers.Dense(2, "relu")]), "conv(x,tanh)")
    (site,) = find_activations(freeze_activations(model))
    assert site.activation == "add(mul(0.5,x),mul(0.5,tanh(x)))"


def test_switch():
    model = model_with("crrelu")
    names = [weight.path for weight in model.trainable_variables]
    assert set_activation_trainable(model, False) == 2
    assert [w.path for w in model.trainable_variables] == [n for n in names if "epsilon" not in n]
    assert set_activation_trainable(model, True) == 2
    assert [weight.path for weight in model.trainable_variables] == names


def test_a_frozen_network_learns_its_activations_alone():
    model = model_with("pwl(knots=5)")
    model.trainable = False
    set_activation_trainable(model, True)
    learned = [weight.path for weight in model.trainable_variables]
    assert len(learned) == 2 and all(path.endswith("values") for path in learned)
    model.compile("sgd", "mse")
    before = [np.array(ops.convert_to_numpy(w)) for w in model.weights]
    model.fit(numbers((16, 4)), numbers((16, 2)), verbose=0)
    for weight, old in zip(model.weights, before, strict=True):
        changed = not np.array_equal(ops.convert_to_numpy(weight), old)
        assert changed == (weight.path in learned)


def test_switch_reaches_into_wrappers():
    each = layers.TimeDistributed(PWL(), name="each")
    model = keras.Sequential([keras.Input((3, 2)), each, layers.Dense(1)])
    set_activation_trainable(model, False)
    assert len(model.trainable_variables) == 2
    assert not any(site.replaceable for site in find_activations(model))
