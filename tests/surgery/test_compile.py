"""Activations of a model as few segments, best for what reaches them."""

import json

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_actfn
from keras_actfn.layers import SegmentedLinear
from keras_actfn.surgery import compile_activations, find_activations


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def network():
    """Every kind of site, nested and shared ones included."""
    inner = keras.Sequential(
        [keras.Input((6,)), layers.Dense(5, activation="gelu", name="fused")], name="inner"
    )
    inputs = keras.Input((4,))
    x = layers.Dense(6, name="first")(inputs)
    x = layers.Activation("swish", name="swish")(x)
    x = keras_actfn.activation("aff(identity,relu,tanh)", name="hull")(x)
    x = keras.ops.relu(x)
    x = inner(x)
    x = keras_actfn.activation("pwl", name="pwl")(x)
    x = keras_actfn.activation("spline(initial=swish)", name="spline")(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


def outputs(model, x):
    return ops.convert_to_numpy(model(x, training=False))


def test_every_hidden_activation_becomes_segments():
    model, x = network(), numbers(300, 4)
    before = outputs(model, x)
    compiled = compile_activations(model, x, segments=8)
    paths = [site.path for site in find_activations(model) if site.replaced_by_default]
    assert [site.site.path for site in compiled.sites] == paths and len(paths) == 6
    for layer, site in zip(compiled.layers, compiled.sites, strict=True):
        assert isinstance(layer, SegmentedLinear) and not layer.trainable_variables
        assert len(site.segments) <= 8 and site.rms <= site.largest
        assert site.rms <= site.rms_even * 1.001
    np.testing.assert_array_equal(outputs(model, x), before)
    change = outputs(compiled.model, x) - before
    assert compiled.output_largest == pytest.approx(np.abs(change).max(), rel=1e-3)
    assert compiled.output_rms == pytest.approx(np.sqrt((change**2).mean()), rel=1e-3)
    assert compiled.output_rms < 0.02 * compiled.output_scale


def test_the_density_is_that_of_the_inputs():
    model, x = network(), numbers(257, 4)
    site = compile_activations(model, x, sites="swish", batch_size=100).sites[0]
    first = model.get_layer("first")
    seen = x @ ops.convert_to_numpy(first.kernel) + ops.convert_to_numpy(first.bias)
    assert site.segments.low == pytest.approx(seen.min(), abs=1e-5)
    assert site.segments.high == pytest.approx(seen.max(), abs=1e-5)
    expected = np.histogram(seen, site.edges)[0] / seen.size
    assert np.abs(site.density - expected).sum() < 0.02  # rounding at the edges of bins
    swish = site.middles / (1 + np.exp(-site.middles))
    np.testing.assert_allclose(site.values, swish, atol=1e-5)
    error = np.sqrt(site.density @ (site.segments(site.middles) - swish) ** 2)
    assert site.rms == pytest.approx(error, rel=1e-2)


def test_the_new_model_saves_and_loads(tmp_path):
    x = numbers(64, 4)
    compiled = compile_activations(network(), x, segments=4)
    compiled.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(outputs(loaded, x), outputs(compiled.model, x))
    compiled.save_json(tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert [len(site["slopes"]) for site in report["sites"]] == [
        len(site.segments) for site in compiled.sites
    ]
    assert "| swish | silu |" in str(compiled)


@pytest.mark.once
def test_one_segment_is_the_line_of_least_squares():
    compiled = compile_activations(network(), numbers(200, 4), 1, sites="swish")
    (site,) = compiled.sites
    assert len(site.segments) == 1 and compiled.layers[0].breakpoints == []
    slope, intercept = np.polyfit(site.middles, site.values, 1, w=np.sqrt(site.density))
    assert site.segments.slopes[0] == pytest.approx(slope, rel=1e-4)
    assert site.segments.intercepts[0] == pytest.approx(intercept, rel=1e-4)


@pytest.mark.once
def test_options_reach_every_site():
    compiled = compile_activations(network(), numbers(64, 4), 6, match="silu", right="flat")
    assert [site.segments.slopes[-1] for site in compiled.sites] == [0.0]


@pytest.mark.once
def test_a_function_for_each_channel_stays_and_is_told():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(3, activation="tanh", name="a"),
            keras_actfn.activation("pwl(axis=-1)", name="own"),
            layers.Dense(2),
        ]
    )
    with pytest.warns(UserWarning, match="'own' stays as it is"):
        compiled = compile_activations(model, numbers(32, 4))
    assert [site.site.path for site in compiled.sites] == ["a"]
    assert [(site.path, reason) for site, reason in compiled.kept] == [
        ("own", "it has a function for each channel")
    ]
    with pytest.raises(ValueError, match="Received: 'own', where it has a function for each"):
        compile_activations(model, numbers(32, 4), sites="own")


def slopes(x, negative):
    return np.where(x > 0, x, negative * x)


def swish(x):
    return x / (1 + np.exp(-x))


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        (
            lambda: keras_actfn.activation("elu(swish(x))"),
            lambda x: np.where(x > 0, swish(x), np.expm1(swish(x))),
        ),
        (lambda: layers.LeakyReLU(0.1), lambda x: slopes(x, 0.1)),
        (lambda: layers.PReLU("ones", shared_axes=[1]), lambda x: x),
        (lambda: layers.ReLU(1.0), lambda x: np.clip(x, 0, 1)),
        (lambda: layers.Activation("swish"), swish),
        (lambda: layers.Activation(keras_actfn.activation("pwl(initial=relu)")), None),
    ],
)
def test_a_layer_given_as_activation_is_compiled_as_what_it_is(activation, function):
    layer = activation()
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(16, activation=layer, name="a"), layers.Dense(2)]
    )
    x = numbers(200, 4)
    outputs(model, x)
    site = compile_activations(model, x, segments=8).sites[0]
    dense = model.get_layer("a")
    seen = x @ ops.convert_to_numpy(dense.kernel) + ops.convert_to_numpy(dense.bias)
    np.testing.assert_allclose(site.edges[[0, -1]], [seen.min(), seen.max()], rtol=1e-5)
    expected = layer.activation.evaluate if function is None else function
    np.testing.assert_allclose(site.values, expected(site.middles), atol=2e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "float64"])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(
    ("activation", "function"),
    [
        (
            lambda policy: keras_actfn.layers.CRReLU(0.3, dtype=policy),
            lambda x: np.maximum(x, 0) + 0.3 * x * np.exp(-x * x / 2),
        ),
        (lambda policy: layers.LeakyReLU(0.1, dtype=policy), lambda x: slopes(x, 0.1)),
        (lambda policy: keras_actfn.activation("swish(x)", dtype=policy), swish),
    ],
)
def test_functions_are_computed_in_float32_under_every_policy(activation, function, fused, policy):
    layer = activation(policy)
    first = (
        [layers.Dense(16, activation=layer, dtype=policy)]
        if fused
        else [layers.Dense(16, dtype=policy), layer]
    )
    model = keras.Sequential([keras.Input((4,)), *first, layers.Dense(2, dtype=policy)])
    site = compile_activations(model, numbers(200, 4), segments=32).sites[0]
    np.testing.assert_allclose(site.values, function(site.middles), atol=1e-6)


def test_a_bare_maximum_is_compiled():
    inputs = keras.Input((4,))
    hidden = layers.Dense(16, name="a")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(ops.maximum(hidden, 0.0)))
    compiled = compile_activations(model, numbers(200, 4), segments=8)
    (site,) = compiled.sites
    np.testing.assert_allclose(site.values, np.maximum(site.middles, 0), atol=1e-6)
    assert compiled.output_largest < 0.05 * compiled.output_scale


@pytest.mark.parametrize(
    ("activation", "reason"),
    [
        (lambda: keras_actfn.activation("pwl(axis=-1)"), "function for each channel"),
        (layers.PReLU, "slope for each channel"),
    ],
)
def test_a_function_for_each_channel_is_seen_inside_other_layers(activation, reason):
    for first in (
        [layers.Dense(3), layers.Activation(activation(), name="own")],
        [layers.Dense(3, activation=activation(), name="own")],
    ):
        model = keras.Sequential([keras.Input((4,)), *first, layers.ReLU(), layers.Dense(2)])
        outputs(model, numbers(2, 4))
        with pytest.warns(UserWarning, match=f"'own' stays as it is: it has a {reason}"):
            compiled = compile_activations(model, numbers(64, 4), segments=4)
        assert [site.path for site, _ in compiled.kept] == ["own"] and len(compiled.sites) == 1


def test_an_activation_without_parameters_yet_stays():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(3, activation=layers.PReLU(shared_axes=[1]), name="own"),
            layers.Dense(3, activation="relu"),
        ]
    )
    with pytest.warns(UserWarning, match="before its first batch: call the model once"):
        compiled = compile_activations(model, numbers(64, 4), segments=4)
    assert [site.path for site, _ in compiled.kept] == ["own"]


@pytest.mark.once
def test_parametric_relus_with_one_slope():
    model = keras.Sequential([keras.Input((4, 4)), layers.PReLU("ones", shared_axes=[1, 2])])
    with pytest.warns(UserWarning, match="slope for each"), pytest.raises(ValueError):
        per_channel = keras.Sequential([keras.Input((4,)), layers.PReLU()])
        compile_activations(per_channel, numbers(32, 4))
    found = compile_activations(model, numbers(32, 4, 4)).sites[0].segments
    np.testing.assert_allclose(found.slopes, 1.0, atol=1e-5)


def broken(weight):
    model = network()
    first = model.get_layer("first")
    first.kernel.assign(np.full((4, 6), weight, "float32"))
    return model


@pytest.mark.once
@pytest.mark.parametrize(
    ("model", "x", "options", "message"),
    [
        (lambda: broken(np.nan), numbers(8, 4), {}, "What reaches an activation is finite"),
        (lambda: broken(0.0), numbers(8, 4), {}, "varies. Received: 0 for every input of 'swish'"),
        (network, numbers(0, 4), {}, "at least one"),
        (network, numbers(8, 4), {"segments": 0}, "segments is a positive integer"),
        (network, numbers(8, 4), {"segments": 2000}, "at most 1024"),
        (network, numbers(8, 4), {"batch_size": 0}, "batch_size is a positive"),
        (network, numbers(1, 4), {}, "6 distinct inputs of 'swish' for 16 segments"),
        (network, np.full((8, 4), np.inf, "float32"), {}, "What reaches an activation is finite"),
        (network, (numbers(8, 4), numbers(8, 4)), {}, "inputs, 1. Received: 2 arrays"),
        (network, numbers(8, 4), {"slopes": "x"}, "a list of finite numbers. Received: 'x'"),
        (network, numbers(8, 4), {"sites": "none"}, "no activation at 'none'"),
        (
            lambda: keras.Sequential([keras.Input((4,)), layers.Dense(2)]),
            numbers(8, 4),
            {},
            "No activation is left to replace",
        ),
    ],
)
def test_what_does_not_fit_is_refused(model, x, options, message):
    with pytest.raises(ValueError, match=message):
        compile_activations(model(), x, **options)


@pytest.mark.once
def test_quantized_layers_stay_and_their_activations_become_segments():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, activation="swish", name="a")])
    model.add(layers.Dense(2))
    x = numbers(64, 4)
    model.quantize("int8")
    before = outputs(model, x)
    compiled = compile_activations(model, x, segments=16)
    assert compiled.model.get_layer("a").quantization_mode == "int8"
    assert compiled.layers[0].dtype_policy.quantization_mode is None
    assert np.abs(outputs(compiled.model, x) - before).max() < 0.05 * before.std()
