"""ACON, Dynamic Tanh, xIELU, safe PAUs and scaled functions against their papers' formulas."""

import keras
import numpy as np
import pytest
from keras import ops
from reference import published as reference

from keras_actfn import activation, expressions, initialization, surgery
from keras_actfn.fisher import exact_fisher, fisher_spectrum
from keras_actfn.layers import ACON, XIELU, DynamicTanh
from keras_actfn.testing import output_and_gradients

#: No kink of any of them lies here, but for xIELU's second derivative at 0.
X = np.array([[-1e4, -30.0, -3.0, -1.0, -1e-3, 0.0, 1e-3, 0.5, 1.0, 2.5, 30.0, 1e4]], "float32")
RATIONAL = (0.1, 0.7, -0.2, 0.3, 0.05, 0.02, 0.0, 0.5, 0.0, 0.1)
CASES = {
    "acon(axis=None)": (reference.acon, (1.25, 0.25, 0.75)),
    "acon": (reference.acon, (-0.5, 0.25, -1.5)),
    "dyt(axis=None)": (reference.dynamic_tanh, (0.75, 1.5, -0.25)),
    "xielu": (reference.xielu, (0.25, -1.0)),
    "rational": (reference.rational, RATIONAL),
    "scaled(sin)": (reference.scaled_sine, (1.5, 0.75)),
}


def second_derivative(layer, x):
    """By a gradient of the gradient's sum, as a user of the backend takes it."""
    x = ops.convert_to_tensor(x)
    if keras.backend.backend() == "torch":
        import torch

        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(layer(x).sum(), x, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), x)
    elif keras.backend.backend() == "jax":
        import jax

        slope = jax.grad(lambda x: layer(x).sum())
        curvature = jax.jit(jax.grad(lambda x: slope(x).sum()))(x)
    else:
        import tensorflow as tf

        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                output = layer(x)
            slope = inner.gradient(output, x)
        curvature = outer.gradient(slope, x)
    return ops.convert_to_numpy(curvature)


def with_parameters(spec, parameters):
    """A built layer with these numbers as its parameters, the same in each channel."""
    layer = activation(spec)
    layer.build(X.shape)
    numbers = iter(parameters)
    for weight in layer.weights:
        rows = weight.shape[0] if spec == "rational" else 1
        values = np.reshape([next(numbers) for _ in range(rows)], (-1, *weight.shape[1:]))
        weight.assign(np.broadcast_to(values if spec == "rational" else values[0], weight.shape))
    return layer


@pytest.mark.parametrize("spec", CASES)
def test_values_and_derivatives(spec):
    function, parameters = CASES[spec]
    layer = with_parameters(spec, parameters)
    value, slope, curvature, by_parameter = reference.derivatives(function, X, parameters)
    upstream = np.random.default_rng(0).normal(size=X.shape)
    upstream[:, [0, -1]] *= 1e-4  # 1e4 would drown the others in the sums
    output, to_x, to_parameters = output_and_gradients(layer, X, upstream)
    np.testing.assert_allclose(output, value, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(to_x, upstream * slope, rtol=2e-5, atol=2e-6)
    expected = upstream * by_parameter
    if layer.axis is not None:  # one for each channel
        np.testing.assert_allclose(np.stack(to_parameters), expected[:, 0], rtol=1e-4, atol=1e-5)
    else:
        found = np.concatenate([gradient.ravel() for gradient in to_parameters])
        size = np.abs(expected).sum((1, 2))
        assert (np.abs(found - expected.sum((1, 2))) <= 1e-5 * size + 1e-6).all()
    smooth = (X != 0) if spec == "xielu" else np.full(X.shape, True)
    found = second_derivative(layer, X)[smooth]
    np.testing.assert_allclose(found, curvature[smooth], rtol=1e-4, atol=2e-6)


def test_acon_starts_as_swish_with_parameters_for_each_channel():
    layer = ACON()
    output = ops.convert_to_numpy(layer(X))
    np.testing.assert_allclose(output, ops.convert_to_numpy(ops.silu(X)), rtol=1e-6)
    assert [tuple(w.shape) for w in layer.weights] == [(12,)] * 3


def test_dynamic_tanh_has_one_alpha_for_all_channels():
    layer = DynamicTanh()
    layer.build((None, 2, 3))
    assert [tuple(w.shape) for w in layer.weights] == [(), (3,), (3,)]
    layer.gamma.assign([1.0, 2.0, -1.0])
    layer.beta.assign([0.0, 0.5, 1.0])
    x = np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32")
    expected = np.tanh(0.5 * x) * [1.0, 2.0, -1.0] + [0.0, 0.5, 1.0]
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.evaluate(x[0, 0]), [expected_at(v) for v in x[0, 0]], 1e-5)


def expected_at(value):
    return np.tanh(0.5 * value) * np.array([1.0, 2.0, -1.0]) + [0.0, 0.5, 1.0]


def test_xielu_starts_and_keeps_its_slope_at_zero():
    layer = XIELU(alpha_p=0.7, alpha_n=0.9)
    layer.build(X.shape)
    x = np.array([[-1.0, 0.0, 1.0]], "float32")
    output, to_x, _ = output_and_gradients(layer, x)
    below = 0.9 * np.expm1(-1) + 0.4
    np.testing.assert_allclose(output, [[below, 0.0, 1.2]], rtol=1e-6)
    np.testing.assert_allclose(to_x[0, 1], 0.5, rtol=1e-6)
    # The published code's epsilon: values differ by less than 1e-6, the slope at 0 jumps.
    theirs = XIELU(alpha_p=0.7, alpha_n=0.9, eps=-1e-6)
    theirs.build(X.shape)
    output, to_x, _ = output_and_gradients(theirs, x)
    np.testing.assert_allclose(output, [[below, -0.9e-6, 1.2]], rtol=1e-6)
    np.testing.assert_allclose(to_x[0, 1], 0.5 - 0.9, rtol=1e-6)


@pytest.mark.parametrize(
    ("spec", "ends"),
    [
        ("acon(p1=2,p2=0)", (0.0, np.inf)),
        ("acon(beta=0)", (-np.inf, np.inf)),
        ("dyt(gamma=3,beta=1)", (-2.0, 4.0)),
        ("dyt(alpha=0,beta=1)", (1.0, 1.0)),
        ("xielu", (np.inf, np.inf)),
        ("rational(degrees=[2,2],initial=[[0,1,2],[0,4]])", (0.5, 0.5)),
        ("rational(degrees=[2,4],initial=[[0,1,2],[0,4,0,0]])", (0.5, 0.5)),
        ("rational(degrees=[1,4],initial=[[3,1],[0,0,0,1]])", (0.0, 0.0)),
        ("rational(degrees=[3,2],initial=[[2,0,0,0],[0,0]])", (2.0, 2.0)),
        ("scaled(tanh,a=2,b=-1)", (2.0, -2.0)),
        ("scaled(square,a=0)", (0.0, 0.0)),
        ("scaled(x,b=0)", (0.0, 0.0)),
        ("scaled(crrelu,a=0)", (0.0, 0.0)),
    ],
)
def test_limits(spec, ends):
    """No infinity less infinity or times zero: far out is the limit, and NaN stays NaN."""
    x = np.array([[-np.inf, -3.4e38, -1e30, 1e30, 3.4e38, np.inf, np.nan]], "float32")
    for policy in ("float32", "mixed_bfloat16"):
        layer = type(activation(spec)).from_config(
            {**activation(spec).get_config(), "dtype": policy}
        )
        output = ops.convert_to_numpy(ops.cast(layer(ops.cast(x, layer.compute_dtype)), "float32"))
        for found, end in zip(output[0, :6].reshape(2, 3), ends, strict=True):
            if np.isinf(end):
                assert (np.sign(end) * found > 1e28).all()
            else:
                np.testing.assert_allclose(found, end, rtol=5e-3, atol=1e-20)
        assert np.isnan(output[0, 6])


@pytest.mark.once
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("acon(p1=large)", "ACON starts from a finite p1"),
        ("acon(p1=1e39)", r"ACON starts from a finite p1, in float32. Received: p1=1e\+39"),
        ("dyt(alpha=1e999)", "DynamicTanh starts from a finite alpha"),
        ("xielu(alpha_p=0)", "alpha_p > 0 and alpha_n > beta"),
        ("xielu(alpha_n=0.4)", "alpha_p > 0 and alpha_n > beta"),
        ("xielu(eps=0.1)", "eps is at most 0"),
        ("xielu(beta=None)", "XIELU starts from a finite beta"),
    ],
)
def test_bad_arguments(spec, message):
    with pytest.raises(ValueError, match=message):
        activation(spec)


LEARNED = ("rational(initial=tanh)", "xielu", "acon", "dyt", "scaled(sin)", "scaled(crrelu)")


@pytest.mark.once
def test_the_rest_of_the_package_takes_them():
    """AutoInit, surgery, copies, Fisher spectra, segments and formulas."""
    keras.utils.set_random_seed(0)
    hidden = [layer for spec in LEARNED for layer in (keras.layers.Dense(6), activation(spec))]
    head = keras.layers.Dense(3, activation="softmax")
    model = keras.Sequential([keras.Input((4,)), *hidden, head])
    assert not initialization.autoinit(model).unknown
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    expected = ops.convert_to_numpy(model(x))
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(ops.convert_to_numpy(copy(x)), expected)
    again = surgery.replace_activations(model, "relu", sites=model.layers[1].name)
    frozen = surgery.freeze_activations(model)
    np.testing.assert_array_equal(ops.convert_to_numpy(frozen(x)), expected)
    assert len(frozen.trainable_variables) == 14 and len(again.layers) == len(model.layers)
    spectrum = fisher_spectrum(model, x, include_activations=True)
    assert {layer.name for layer in model.layers} <= set(spectrum.layers)
    exact = exact_fisher(model, x)
    for layer in model.layers[1:-1:2]:
        paths = [path for path in exact.paths if f"{layer.name}/" in path]
        assert len(paths) == len(layer.trainable_weights)
        block = exact.block(*(exact.indices(path) for path in paths))
        found = sum(np.prod([np.sum(side) for side in pair]) for pair in spectrum[layer.name].pairs)
        np.testing.assert_allclose(found, np.trace(block), rtol=1e-4)
    compiled = surgery.compile_activations(model, x, segments=8)
    assert len(compiled.sites) + len(compiled.kept) == len(LEARNED), compiled.kept
    found = expressions.nearest(model.layers[-4], space=expressions.SearchSpace(["unary(x)"]))
    assert found.best.r2 > 0.5


@pytest.mark.once
def test_saved_models_keep_every_argument(tmp_path):
    specs = (
        "acon(p1=2,p2=0.5,beta=3,axis=None)",
        "dyt(alpha=0.7,gamma=2,beta=1)",
        "xielu(alpha_p=1,alpha_n=2,beta=0.1,eps=-1e-3)",
        "rational(degrees=[2,3],initial=tanh,low=-2,high=4)",
        "scaled(x*tanh(x),a=2,b=3,axis=1)",
        "scaled(rational(degrees=[3,2],initial=swish),a=2)",
    )
    model = keras.Sequential([keras.Input((4,)), *map(activation, specs)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for old, new in zip(model.layers, loaded.layers, strict=True):
        assert old.get_config() == new.get_config()
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    np.testing.assert_allclose(
        ops.convert_to_numpy(loaded(x)), ops.convert_to_numpy(model(x)), rtol=1e-6
    )
