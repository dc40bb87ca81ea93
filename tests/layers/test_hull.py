"""Hull combinations: the sums, their constraint in training, and the leaky-ReLU identity."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_actfn import backend
from keras_actfn.expressions import resolve
from keras_actfn.layers import AffineHullActivation, ConvexHullActivation
from keras_actfn.testing import output_and_gradients

X = np.linspace(-4, 4, 41, dtype="float32")[None]


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.3, 1.0])
def test_convex_hull_of_identity_and_relu_is_leaky_relu(slope):
    layer = ConvexHullActivation(("identity", "relu"), initializer=[slope, 1 - slope])
    leaky = keras.layers.LeakyReLU(negative_slope=slope)
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer(X)), ops.convert_to_numpy(leaky(X)), atol=1e-6
    )


def test_values_and_gradients_in_closed_form():
    layer = AffineHullActivation(initializer=[0.7, -0.5, 0.8])
    layer.build(X.shape)
    upstream = np.random.default_rng(0).normal(size=X.shape)
    output, to_x, (to_coefficients,) = output_and_gradients(layer, X, upstream)
    x = X.astype("float64")
    base = np.stack([x, np.maximum(x, 0), np.tanh(x)])
    slope = np.stack([np.ones_like(x), (x > 0) * 1.0, 1 - np.tanh(x) ** 2])
    coefficients = np.array([0.7, -0.5, 0.8])
    np.testing.assert_allclose(output, np.tensordot(coefficients, base, 1), atol=1e-6)
    np.testing.assert_allclose(to_x, upstream * np.tensordot(coefficients, slope, 1), atol=1e-5)
    np.testing.assert_allclose(
        to_coefficients, (upstream * base).sum(axis=(1, 2)), rtol=1e-5, atol=1e-5
    )


def test_each_channel_has_its_own_mix():
    layer = AffineHullActivation(("identity", "relu"), axis=1)
    layer.build((None, 3, 4))
    mixes = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, -1.0]])
    layer.coefficients.assign(mixes)
    x = np.random.default_rng(0).normal(size=(5, 3, 4)).astype("float32")
    expected = mixes[0][:, None] * x + mixes[1][:, None] * np.maximum(x, 0)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), expected, atol=1e-6)


@pytest.mark.parametrize("axis", [None, -1])
@pytest.mark.parametrize(
    ("functions", "points"),
    [
        (("relu", "exp"), [100.0, -1.0, 0.5, np.inf]),
        (("relu", "square", "exp"), [1e30, -2.0, 0.5, -np.inf]),
        (("tanh", "reciprocal"), [0.0, -1.0, 0.5, 2.0]),
        (("relu", "pow(x,0.5)"), [-1.0, 4.0, 0.25, -np.inf]),
        (("relu", "identity"), [-np.inf, 1.0, 2.0, np.inf]),
        (("relu", keras.ops.exp), [100.0, -1.0, 0.5, 88.0]),
        (("relu", "sin", "gaussian"), [np.inf, -1.0, 0.5, -np.inf]),
    ],
)
def test_a_zero_coefficient_takes_its_term_away(functions, points, axis):
    """0 times infinity: values and gradients are those of the other terms, in any order."""
    x = np.array([points], "float32")
    alone = AffineHullActivation(functions[:1], initializer=[1.0], axis=axis)
    alone.build(x.shape)
    upstream = np.array([[0.5, -2.0, 3.0, 1.5]])
    value, to_x, _ = output_and_gradients(alone, x, upstream)
    finite_terms = []
    for function in functions:
        function = keras.layers.Activation(resolve(function).__call__)
        terms = ops.convert_to_numpy(function(x)).astype("float64")
        finite_terms.append(np.where(np.isfinite(terms), upstream * terms, 0))
    expected = np.concatenate(finite_terms)
    expected = expected if axis else expected.sum(1)
    for order in ([*range(len(functions))], [*range(len(functions))][::-1]):
        start = np.eye(len(functions))[0][order]
        layer = ConvexHullActivation([functions[i] for i in order], initializer=start, axis=axis)
        layer.build(x.shape)
        output, gradient, (to_coefficients,) = output_and_gradients(layer, x, upstream)
        np.testing.assert_array_equal(output, value)
        np.testing.assert_array_equal(gradient, to_x)
        # The zero coefficients' own gradients leave out the entries that are not finite.
        zero = start == 0
        np.testing.assert_allclose(to_coefficients[zero], expected[order][zero], rtol=1e-5)
        with_nan = np.where(np.arange(4) == 1, np.float32(np.nan), x)
        assert np.isnan(output_and_gradients(layer, with_nan)[0][0, 1])


def test_a_zero_coefficient_comes_back_through_its_gradient():
    layer = ConvexHullActivation(("relu", "exp"), initializer=[1.0, 0.0])
    model = keras.Sequential([keras.Input((2,)), layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x = np.array([[100.0, -1.0], [0.5, 1.0]], "float32")
    model.fit(x[1:], np.exp(x[1:]), epochs=3, verbose=0)
    assert ops.convert_to_numpy(layer.coefficients)[1] > 0
    layer.coefficients.assign([1.0, 0.0])
    model.fit(x, np.exp(np.minimum(x, 1.0)), epochs=1, verbose=0)
    assert np.isfinite(ops.convert_to_numpy(layer.coefficients)).all()


@pytest.mark.parametrize(
    ("cls", "policy"),
    [
        (ConvexHullActivation, "float32"),
        (AffineHullActivation, "mixed_bfloat16"),
        pytest.param(ConvexHullActivation, "mixed_bfloat16", marks=pytest.mark.once),
        pytest.param(AffineHullActivation, "float32", marks=pytest.mark.once),
    ],
)
def test_coefficients_stay_in_the_hull_while_training(cls, policy):
    class Watch(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = []

        def on_epoch_end(self, epoch, logs=None):
            self.seen.append(ops.convert_to_numpy(self.model.layers[1].coefficients))

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 6)), rng.normal(size=(64, 5))
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(5),
            cls(initializer=[0.9, 0.1, 0.0], axis=-1),
            keras.layers.Dense(5),
        ]
    )
    for layer in model.layers:
        layer.dtype_policy = keras.dtype_policies.get(policy)
    optimizer = keras.optimizers.Adam(0.2, gradient_accumulation_steps=2)
    model.compile(optimizer, "mse")
    watch = Watch()
    model.fit(x, y, batch_size=8, epochs=4, verbose=0, callbacks=[watch])
    assert not np.allclose(watch.seen[0], watch.seen[-1])
    for coefficients in watch.seen:
        np.testing.assert_allclose(coefficients.sum(0), 1, atol=1e-6)
        if cls is ConvexHullActivation:
            assert coefficients.min() >= 0
    if cls is AffineHullActivation:
        assert watch.seen[-1].min() < 0, "no coefficient left the simplex; the test says little"


@keras.saving.register_keras_serializable(package="tests")
def wave(x):
    return ops.sin(x)


def test_base_functions_of_every_kind_survive_a_configuration():
    layer = AffineHullActivation(("identity", "mul(x,sigmoid(x))", wave))
    copy = AffineHullActivation.from_config(layer.get_config())
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(X)), ops.convert_to_numpy(copy(X)))
    x = X.astype("float64")
    expected = (x + x / (1 + np.exp(-x)) + np.sin(x)) / 3
    np.testing.assert_allclose(ops.convert_to_numpy(layer(X)), expected, atol=1e-6)


def test_initializer_is_projected():
    layer = ConvexHullActivation(initializer=[3.0, 2.0, -1.0])
    layer.build((None, 2))
    np.testing.assert_allclose(ops.convert_to_numpy(layer.coefficients), [1, 0, 0], atol=1e-6)
    layer = AffineHullActivation(initializer=keras.initializers.RandomNormal(seed=0))
    layer.build((None, 2))
    np.testing.assert_allclose(ops.convert_to_numpy(layer.coefficients).sum(), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"base_functions": ()}, "at least one base function"),
        ({"base_functions": "relu"}, "takes a list of base functions"),
        ({"base_functions": ("relu", "tanhh")}, "Did you mean 'tanh'"),
        ({"base_functions": ("softmax",)}, "not elementwise"),
        ({"initializer": [0.5, 0.5]}, "one finite number per base function, 3 here"),
        ({"initializer": [0.5, 0.5, float("nan")]}, "one finite number per base function"),
        ({"constraint": "simplx"}, "Did you mean 'simplex'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvexHullActivation(**arguments)


def test_where_coefficients_are_known_not_to_be_zero():
    """Never where one is 0 or a transform hides them; on PyTorch's CPU, where it is so."""
    eager = keras.backend.backend() == "torch"
    assert backend.known_nonzero(ops.convert_to_tensor([0.5, -1e-30])) is eager
    assert not backend.known_nonzero(ops.convert_to_tensor([0.5, 0.0]))
    assert not backend.known_nonzero(ops.convert_to_tensor(-0.0))
    layer = AffineHullActivation(("relu", "exp"), initializer=[0.75, 0.25])
    layer.build((2, 3))
    coefficients = ops.convert_to_tensor(layer.coefficients)
    x = ops.convert_to_tensor([[-1.0, 2.0, 0.5], [3.0, -0.25, 1.0]])
    plain = ops.convert_to_numpy(0.75 * ops.relu(x) + 0.25 * ops.exp(x))
    batches = ops.vectorized_map(lambda row: layer.activate(row, coefficients), x)
    np.testing.assert_allclose(ops.convert_to_numpy(batches), plain, rtol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), plain, rtol=1e-6)
