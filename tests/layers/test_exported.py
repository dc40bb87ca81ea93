"""What the layers are lowered to for a GPU and a TPU, read from programs exported on a CPU."""

import re

import keras
import numpy as np
import pytest
from keras import ops
from layer_specs import SPECS

from keras_actfn import activation

if keras.backend.backend() != "jax":
    pytest.skip("JAX exports for devices that are not there", allow_module_level=True)

import jax

pytestmark = pytest.mark.filterwarnings("ignore:(PWL|Spline) starts from")

PLATFORMS = ("cuda", "tpu")

#: What is slow there, runs in another order every time, or leaves the device.
FORBIDDEN = {
    "a scatter": r"stablehlo\.(select_and_)?scatter",
    "complex numbers": r"complex<",
    "64 bits": r"[<x](i64|ui64|f64)>",
    "a sort": r"stablehlo\.sort",
    "a call of the host": r"custom_call @(?!Sharding|cu|shape_assertion)\w*",
    "a transfer": r"stablehlo\.(infeed|outfeed|send|recv)",
    "sizes that vary": r"\?x",
}


def exported(function, platforms, *arguments):
    """The StableHLO of a function for some platforms, with what each of them takes."""
    kinds = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), arguments)
    text = jax.export.export(jax.jit(function), platforms=platforms)(*kinds).mlir_module()
    # Attributes are no data: `array<i64: 0, 1>`, `dense<0> : tensor<1x2xi64>`.
    text = re.sub(r"array<i64[^>]*>", "", text)
    return re.sub(r"dense<[^>]*> : tensor<[0-9x]*i64>", "", text)


def found_in(text):
    return {name: m.group() for name, rule in FORBIDDEN.items() if (m := re.search(rule, text))}


def both(spec):
    """A layer, and the same with parameters for each channel where it can have them."""
    layer = activation(spec)
    config = layer.get_config()
    yield layer
    if config.get("axis", 0) is None:
        yield type(layer).from_config({**config, "axis": -1})


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(("shape", "dtype"), [((16, 4, 4, 6), "float32"), ((9, 5), "bfloat16")])
def test_a_layer_and_its_gradients(spec, shape, dtype):
    for layer in both(spec) if dtype == "float32" else [activation(spec)]:
        layer.build((None, *shape[1:]))
        sources = [variable.value for variable in layer.trainable_variables]

        def step(sources, x, upstream, layer=layer):
            def call(sources, x):
                fixed = [variable.value for variable in layer.non_trainable_variables]
                return layer.stateless_call(sources, fixed, x)[0]

            output, pull_back = jax.vjp(call, sources, x)
            return output, pull_back(upstream)

        x = jax.ShapeDtypeStruct(shape, dtype)
        assert not found_in(exported(step, PLATFORMS, sources, x, x)), layer.get_config()


def test_a_train_step():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3),
            activation("pwl(axis=-1)"),
            keras.layers.Conv2D(4, 3),
            activation("spline"),
            activation("aff(identity,relu,tanh)"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(6, activation=activation("crrelu")),
            keras.layers.Dense(6, activation=activation("pwl")),
            keras.layers.Dense(3),
        ]
    )
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    model.optimizer.build(model.trainable_variables)
    groups = model.trainable_variables, model.non_trainable_variables, model.optimizer.variables
    state = [[variable.value for variable in group] for group in groups]
    state.append([variable.value for variable in model.metrics_variables])
    x, y = np.zeros((4, 8, 8, 3), "float32"), np.zeros((4, 3), "float32")
    assert not found_in(exported(model.train_step, PLATFORMS, tuple(state), (x, y)))


def test_the_rules_find_what_they_forbid():
    """On a CPU a PWL layer's gradient is a scatter of complex numbers."""
    layer = activation("pwl")

    def gradient(values, x):
        return jax.grad(lambda values: layer.stateless_call([values], [], x)[0].sum())(values)

    text = exported(gradient, ["cpu"], layer.values.value, np.zeros(8, "float32"))
    assert {"a scatter", "complex numbers"} <= set(found_in(text))
    sort = exported(lambda x: ops.sort(x), ["cuda"], np.zeros(8, "float32"))
    assert set(found_in(sort)) == {"a sort"}


def test_the_second_derivative_runs_where_the_first_does():
    """The sums are linear: their derivatives are theirs, whatever formula a device has."""
    from keras_actfn.backend import _jax_knots

    rng = np.random.default_rng(0)
    gradient, right = (rng.normal(size=(6, 4)).astype("float32") for _ in range(2))
    index = rng.integers(0, 5, size=(6, 4)).astype("int32") * 4 + np.arange(4, dtype="int32")
    weights = rng.normal(size=(5, 4)).astype("float32")

    def exact(*terms):
        return (weights * _jax_knots.scatter(*terms, index, shape=(5, 4))).sum()

    def total(*terms):
        return (weights * _jax_knots.knot_sums(terms, index, (5, 4))).sum()

    for terms in ((gradient, right), (gradient, right, gradient + right, gradient * right)):
        places = tuple(range(len(terms)))
        wanted = jax.grad(exact, places)(*terms)
        for one, other in zip(jax.jit(jax.grad(total, places))(*terms), wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
        directions = terms[::-1]
        moved = jax.jvp(total, terms, directions)[1]
        np.testing.assert_allclose(moved, exact(*directions), rtol=1e-5)
