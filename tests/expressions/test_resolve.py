"""Every way to name an elementwise function."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_actfn import activation
from keras_actfn.expressions import (
    DISCOVERED,
    Expression,
    SpecError,
    function_names,
    operators,
    parse,
    resolve,
    serialize,
)
from keras_actfn.expressions.names import AMBIGUOUS, KERAS_NAMES, keras_names

X = np.linspace(-4.0, 4.0, 17).astype("float32")


@keras.saving.register_keras_serializable(package="test_resolve")
def doubled(x):
    return 2 * x


def test_every_name_is_callable_and_leads_back():
    for name in function_names():
        function = resolve(name)
        assert resolve(serialize(function)) == function
        on_array = function(X)
        assert on_array.shape == X.shape and on_array.dtype == X.dtype
        on_tensor = ops.convert_to_numpy(function(ops.convert_to_tensor(X)))
        np.testing.assert_allclose(on_tensor, on_array, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.once
def test_operators_come_before_keras():
    assert resolve("tanh") == parse("tanh(x)")
    assert resolve(" x ") == parse("x")
    assert resolve("hard_sigmoid(x)")(1.0) == pytest.approx(0.7)
    assert resolve(parse("x*x")) == parse("mul(x,x)")
    assert resolve("erfc_softplus_squared") == parse("square(erfc(softplus(x)))")
    function = resolve("silu")
    assert resolve(function) is function and function.name == "silu"


def test_keras_functions():
    assert resolve(keras.activations.relu) == parse("relu(x)")
    assert resolve(keras.activations.leaky_relu).name == "leaky_relu"
    assert isinstance(resolve(keras.activations.hard_sigmoid), Expression)
    for function in (keras.activations.hard_sigmoid, keras.activations.gelu):
        expected = ops.convert_to_numpy(function(ops.convert_to_tensor(X)))
        np.testing.assert_allclose(resolve(function)(X), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.once
def test_all_elementwise_keras_activations_have_a_name():
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    elementwise = set()
    for name in dir(keras.activations):
        function = getattr(keras.activations, name)
        not_activations = ("get", "serialize", "deserialize", "threshold")  # the last needs more
        if name in not_activations or not callable(function):
            continue
        whole = ops.convert_to_numpy(function(x))
        parts = [ops.convert_to_numpy(function(x[:, i : i + 2])) for i in (0, 2)]
        if whole.shape == x.shape and np.allclose(whole, np.concatenate(parts, axis=1)):
            elementwise.add(name)
    assert elementwise <= {*function_names(), *AMBIGUOUS}
    assert not {"softmax", "glu", "log_softmax", "sparsemax"} & set(function_names())
    assert set(KERAS_NAMES) <= elementwise


def meaning(function):
    """Values of a function of Keras or of the table, in float64 or as near as the backend has."""
    x = ops.convert_to_tensor(np.linspace(-7.0, 7.0, 57).astype("float32"))
    return ops.convert_to_numpy(function(x))


@pytest.mark.once
def test_no_word_means_two_functions():
    """Keras's list against the table, words that differ by an underscore only counted as one."""
    table = {o.name: o.function for o in operators() if o.arity == 1}
    table |= {name: row.expression for name, row in DISCOVERED.items()}
    keras_functions = {name: getattr(keras.activations, name) for name in keras_names()}
    mixing = {"softmax", "glu", "log_softmax", "sparsemax", "threshold"}
    meanings = {}
    for words in (table, keras_functions):
        for word, function in words.items():
            if word not in mixing and not word.startswith("test_"):
                meanings.setdefault(word.replace("_", ""), []).append((word, meaning(function)))
    double = set()
    for found in meanings.values():
        if any(not np.allclose(found[0][1], values, rtol=1e-5, atol=1e-6) for _, values in found):
            double |= {word for word, _ in found}
    assert double == {"hard_sigmoid", "leakyrelu", "leaky_relu"}
    # Of each such pair, one word at most is left, and it is Keras's.
    assert double - set(AMBIGUOUS) == {"leaky_relu"}


@pytest.mark.once
@pytest.mark.parametrize("word", AMBIGUOUS)
def test_a_word_with_two_meanings_is_refused_everywhere(word):
    specs = [word, f" {word}", f"aff(identity,{word})", f"conv({word})"]
    for spec in specs:
        with pytest.raises(SpecError, match="may mean two functions") as caught:
            activation(spec)
        assert caught.value.position == spec.index(word)
    for call in (lambda: resolve(word), lambda: activation(f"pwl(initial={word})")):
        with pytest.raises(SpecError, match="may mean two functions") as caught:
            call()
    x = X[None]
    values = []
    for spelling in AMBIGUOUS[word]:
        assert f"'{spelling}'" in str(caught.value)
        values.append(ops.convert_to_numpy(activation(spelling)(x)))
        base = activation(f"aff({spelling})")
        np.testing.assert_allclose(ops.convert_to_numpy(base(x)), values[-1], rtol=1e-6)
    assert not np.allclose(*values)
    keras_word = {"hard_sigmoid": "hard_sigmoid", "leakyrelu": "leaky_relu"}[word]
    expected = ops.convert_to_numpy(getattr(keras.activations, keras_word)(x))
    np.testing.assert_allclose(values[1], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.once
def test_registered_functions():
    function = resolve(doubled)
    assert function.name == "test_resolve>doubled"
    assert resolve("test_resolve>doubled") == function
    np.testing.assert_allclose(function(X), 2 * X)
    unregistered = resolve(lambda x: x)
    with pytest.raises(ValueError, match=r"cannot be saved.*register_keras_serializable"):
        serialize(unregistered)


@pytest.mark.once
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("reluu", "Unknown function 'reluu'. Did you mean 'relu', 'relu6', 'elu'?"),
        ("add", "The operator 'add' takes 2 arguments in brackets"),
        ("softmax", "The Keras activation 'softmax' is not elementwise"),
        ("max(rellu(x),x)", "Unknown operator 'rellu'"),
        ("nobody>nothing", "Unexpected character '>'"),
    ],
)
def test_unknown_names(spec, message):
    with pytest.raises(SpecError) as caught:
        resolve(spec)
    assert message in str(caught.value)
    assert spec in str(caught.value)


@pytest.mark.once
@pytest.mark.parametrize("spec", [3, None, keras.layers.ReLU])
def test_other_things_are_refused(spec):
    with pytest.raises(TypeError, match="given by a name, an expression in x or a function"):
        resolve(spec)


@pytest.mark.once
def test_discovered_functions_cite_their_source():
    assert len(DISCOVERED) == 12
    for name, row in DISCOVERED.items():
        assert row.name == name and row.table in (1, 3) and row.rank in (1, 2, 3)
        assert str(parse(row.text)) == row.text
    # As the formulas read: -x s(x) HardSigmoid(x), SELU(sinh(e^arctan(x) - 1)), Swish(-2x).
    x = np.linspace(-3, 3, 13)
    s = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(
        resolve("minus_swish_hard_sigmoid")(x), -x * s * np.clip(x / 5 + 0.5, 0, 1), rtol=1e-12
    )
    inner = np.sinh(np.exp(np.arctan(x)) - 1)
    selu = np.where(x > 0, inner, 1.6732632423543772 * np.expm1(inner)) * 1.0507009873554805
    np.testing.assert_allclose(resolve("selu_sinh_expm1_arctan")(x), selu, atol=1e-12)
    np.testing.assert_allclose(resolve("swish_minus_two_x")(x), -2 * x / (1 + np.exp(2 * x)))


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="others' tensors are NumPy's too")
def test_functions_of_numpy_are_read_on_the_host_whatever_the_device():
    with keras.device("meta"):  # like a GPU: no array can be made of its tensors
        found = resolve(np.cos)(np.linspace(-1, 1, 5))
    np.testing.assert_allclose(found, np.cos(np.linspace(-1, 1, 5)), rtol=1e-15)


@pytest.mark.parametrize("spec", ["x*sigmoid(x)", "silu", "test_resolve>doubled"])
@pytest.mark.parametrize("place", [keras.layers.Dense, keras.layers.Activation])
def test_a_model_that_applies_a_function_is_saved(spec, place, tmp_path):
    function = resolve(spec)
    layer = place(function) if place is keras.layers.Activation else place(3, activation=function)
    model = keras.Sequential([keras.Input((3,)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].activation == function
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    kernel = ops.convert_to_numpy(layer.kernel) if layer.weights else np.eye(3)
    h = x @ kernel
    expected = 2 * h if spec == "test_resolve>doubled" else h / (1 + np.exp(-h))
    np.testing.assert_allclose(ops.convert_to_numpy(loaded(x)), expected, rtol=1e-4, atol=1e-6)


def test_a_function_without_a_name_is_not_saved():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, resolve(lambda x: 2 * x))])
    with pytest.raises(ValueError, match=r"cannot be saved.*Register it"):
        model.get_config()
