"""ExpressionActivation on the running backend: dtypes, gradients, files, compilation, training."""

import keras
import numpy as np
import pytest
from keras import ops
from reference import expressions as reference

from keras_actfn import backend
from keras_actfn.expressions import DISCOVERED, parse
from keras_actfn.expressions.operators import EXTRA_UNARY, UNARY
from keras_actfn.layers import ExpressionActivation

X = np.linspace(-6.0, 6.0, 40).reshape(2, 20).astype("float32")
#: Every operator in one function: one compilation for all.
ALL_UNARY = "+".join(f"{operator.name}(x)" for operator in (*UNARY, *EXTRA_UNARY))
#: JAX has no float64 unless it is switched on for the whole process.
POLICIES = ["bfloat16", "float16", "mixed_bfloat16"]
POLICIES += ["float64"] if keras.backend.backend() != "jax" else []
HARD = "sum_n(max(relu(x),cosh(elu(x))),pow(x,2),div(x,one(x)),min_n(x,mish(x),elish(x)))"


def gradient(layer, x):
    (slope,) = backend.vector_jacobian_product(layer, ops.ones_like(x), x)
    return ops.convert_to_numpy(ops.cast(slope, "float32"))


@pytest.mark.parametrize("policy", POLICIES)
def test_outputs_follow_the_compute_dtype(policy):
    layer = ExpressionActivation("x*erfc(elu(x))", dtype=policy)
    out = layer(X)
    assert keras.backend.standardize_dtype(out.dtype) == layer.compute_dtype
    assert layer(keras.Input((20,))).dtype == layer.compute_dtype
    expected = layer.evaluate(ops.convert_to_numpy(ops.cast(ops.cast(X, out.dtype), "float32")))
    assert expected.dtype == np.float64
    got = ops.convert_to_numpy(ops.cast(out, "float32"))
    np.testing.assert_allclose(got, expected, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_no_nan_from_a_branch_that_is_not_taken(dtype):
    far = 1e4
    x = ops.cast(np.array([[-far, -90.0, -20.0, -1.0, 1.0, 20.0, 90.0, far]], "float32"), dtype)
    for name in ("elish", "selu", "elu", "mish", "gelu", "softplus", "log_sigmoid", "swish"):
        layer = ExpressionActivation(f"{name}(x)", dtype=dtype)
        slope = reference.UNARY[name][1]
        with np.errstate(all="ignore"):
            expected = slope(ops.convert_to_numpy(ops.cast(x, "float32")).astype("float64"))
        tolerance = 1e-5 if dtype == "float32" else 1e-2
        np.testing.assert_allclose(
            gradient(layer, x), expected, rtol=tolerance, atol=1e-6, err_msg=name
        )


def test_constant_functions_have_a_zero_gradient():
    for text in ("one(x)", "zero(tanh(x))", "2.5"):
        x = ops.convert_to_tensor(X)
        np.testing.assert_array_equal(gradient(ExpressionActivation(text), x), np.zeros(X.shape))


def test_compiled_values_and_gradients_are_the_same():
    layer = ExpressionActivation(f"{HARD}+tanh({ALL_UNARY})")

    def value_and_gradient(x):
        out = layer(x)
        (slope,) = backend.vector_jacobian_product(layer, ops.ones_like(x), x)
        return out, slope

    compiled = value_and_gradient
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        compiled = tf.function(value_and_gradient, jit_compile=True)
    elif keras.backend.backend() == "jax":
        import jax

        compiled = jax.jit(value_and_gradient)
    expected = reference.evaluate(layer.expression, X, 1.2e-7, 1e30)
    value, slope = map(ops.convert_to_numpy, compiled(ops.convert_to_tensor(X)))
    assert (np.abs(value - expected.value) <= expected.error).all()
    smooth = ~expected.kink
    assert smooth.mean() > 0.9
    assert (np.abs(slope - expected.slope) <= expected.slope_error)[smooth].all()


def test_saved_by_its_text(tmp_path):
    model = keras.Sequential([keras.Input((20,)), ExpressionActivation("x * erfc(elu(x))")])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.layers[0].get_config()["expression"] == "mul(x,erfc(elu(x)))"
    np.testing.assert_array_equal(*(ops.convert_to_numpy(m(X)) for m in (model, again)))


def test_names_are_arguments_too():
    expected = parse("square(erfc(softplus(x)))")
    for spec in (expected, str(expected), "erfc_softplus_squared"):
        assert ExpressionActivation(spec).expression == expected
    assert ExpressionActivation("tanh").expression == parse("tanh(x)")
    with pytest.raises(ValueError, match="is no expression in x"):
        ExpressionActivation("silu")


def test_integers_are_refused():
    with pytest.raises(TypeError, match="not dtype int32"):
        ExpressionActivation("tanh(x)")(np.arange(4, dtype="int32").reshape(2, 2))


def test_discovered_functions_train_a_convolutional_network():
    """One epoch on real digits, every function on channels of its own: a NaN would spread."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).astype("float32") / 16
    keras.utils.set_random_seed(0)
    y = inputs = keras.Input((8, 8, 1))
    for _ in range(2):
        y = keras.layers.Conv2D(4 * len(DISCOVERED), 3, strides=2, padding="same")(y)
        parts = ops.split(y, len(DISCOVERED), axis=-1)
        parts = [ExpressionActivation(n)(p) for n, p in zip(DISCOVERED, parts, strict=True)]
        y = keras.layers.Concatenate()(parts)
    outputs = keras.layers.Dense(10)(keras.layers.Flatten()(y))
    model = keras.Model(inputs, outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, metrics=["accuracy"])
    history = model.fit(images[:1536], labels[:1536], batch_size=64, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert all(np.isfinite(ops.convert_to_numpy(w)).all() for w in model.weights)
    assert model.evaluate(images[1536:], labels[1536:], verbose=0)[1] > 0.6
