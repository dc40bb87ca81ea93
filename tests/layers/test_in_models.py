"""The layers where users put them: fused activations, subclasses, odd shapes, files, exports."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_actfn import activation
from keras_actfn.layers import PWL
from keras_actfn.testing import check_other_backends

# Each layer of the package and the number of its weights.
SPECS = {
    "conv(identity,relu,tanh)": 1,
    "aff(identity,relu)": 1,
    "pwl": 1,
    "spline": 1,
    "crrelu": 1,
    "mul(x,erfc(x))": 0,
}
RNG = np.random.default_rng(0)


def all_layers():
    """A model with all learnable layers, some of them per channel, and moved parameters."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, activation=activation("pwl(axis=-1)")),
            keras.layers.Conv2D(4, 3),
            activation("conv(identity,relu,tanh)"),
            activation("spline(axis=-1)"),
            keras.layers.Flatten(),
            keras.layers.Dense(6),
            activation("aff(identity,relu,tanh)"),
            keras.layers.Dense(6),
            activation("crrelu"),
            keras.layers.Dense(6),
            activation("max(tanh(x),elu(x))"),
        ]
    )
    rng = np.random.default_rng(1)
    model.set_weights([w + rng.normal(scale=0.05, size=w.shape) for w in model.get_weights()])
    return model


def outputs(model, x):
    """Of a call outside a compiled function: compiling one takes a second."""
    return ops.convert_to_numpy(model(ops.convert_to_tensor(x, "float32")))


def test_a_file_reads_the_same_under_another_backend():
    """TensorFlow reads those of PyTorch, PyTorch those of JAX, JAX those of TensorFlow."""
    other = {"tensorflow": "jax", "jax": "torch", "torch": "tensorflow"}[keras.backend.backend()]
    check_other_backends(all_layers(), RNG.normal(size=(4, 8, 8, 3)).astype("float32"), {other})


@pytest.mark.parametrize("spec", SPECS)
def test_inside_dense(spec, tmp_path):
    def build():
        return keras.Sequential(
            [keras.Input((5,)), keras.layers.Dense(4, activation=activation(spec))]
        )

    model = build()
    assert len(model.layers[0].trainable_variables) == 2 + SPECS[spec]
    x, y = RNG.normal(size=(16, 5)), RNG.normal(size=(16, 4))
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    expected = model.predict(x, verbose=0)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(outputs(loaded, x), expected, rtol=1e-6, atol=1e-6)
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = build()
    fresh.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(outputs(fresh, x), expected, rtol=1e-6, atol=1e-6)


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(4, activation=PWL(axis=-1))
        self.mix = activation("aff(identity,tanh)")

    def call(self, x):
        return self.mix(self.dense(x))


def test_inside_a_subclassed_model(tmp_path):
    model = Subclassed()
    model(np.zeros((1, 5)))
    assert [tuple(w.shape) for w in model.weights] == [(5, 4), (4,), (33, 4), (2,)]
    x, y = RNG.normal(size=(16, 5)), RNG.normal(size=(16, 4))
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = Subclassed()
    fresh(np.zeros((1, 5)))
    fresh.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(outputs(fresh, x), outputs(model, x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "spec", ["pwl(axis=-1)", "spline(axis=-1)", "aff(identity,relu,axis=-1)", "crrelu(axis=-1)"]
)
def test_sizes_that_vary(spec):
    layer = activation(spec)
    model = keras.Sequential([keras.Input((None, None, 3)), layer])
    for size in (4, 7):
        x = RNG.normal(size=(2, size, size + 1, 3)).astype("float32")
        output = ops.convert_to_numpy(model(x))
        curves = np.stack([layer.evaluate(x[..., c])[..., c] for c in range(3)], axis=-1)
        np.testing.assert_allclose(output, curves, atol=1e-6)


def test_channels_first_is_another_axis():
    first, last = activation("pwl(axis=1)"), activation("pwl(axis=-1)")
    x = RNG.normal(size=(2, 3, 4, 5)).astype("float32")
    first.build(x.shape)
    last.build(np.moveaxis(x, 1, -1).shape)
    values = RNG.normal(size=(33, 3))
    first.values.assign(values)
    last.values.assign(values)
    expected = np.moveaxis(ops.convert_to_numpy(last(np.moveaxis(x, 1, -1))), -1, 1)
    np.testing.assert_allclose(ops.convert_to_numpy(first(x)), expected, atol=1e-6)


def test_neighbours_can_be_quantized():
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(8), activation("pwl"), keras.layers.Dense(4)]
    )
    x = RNG.normal(size=(16, 8)).astype("float32")
    before = ops.convert_to_numpy(model(x))
    values = ops.convert_to_numpy(model.layers[1].values)
    model.quantize("int8")
    np.testing.assert_allclose(ops.convert_to_numpy(model(x)), before, atol=0.1)
    np.testing.assert_array_equal(ops.convert_to_numpy(model.layers[1].values), values)


def test_a_copy_keeps_the_outputs():
    model = all_layers()
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    x = RNG.normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(
        ops.convert_to_numpy(copy(x)), ops.convert_to_numpy(model(x)), rtol=1e-6
    )


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="SavedModel is TensorFlow's own format"
)
def test_saved_model_gives_the_same_outputs(tmp_path):
    import tensorflow as tf

    model = all_layers()
    model.export(tmp_path / "saved", verbose=False)
    x = RNG.normal(size=(3, 8, 8, 3)).astype("float32")
    loaded = tf.saved_model.load(tmp_path / "saved")
    served = loaded.serve(tf.constant(x))
    np.testing.assert_allclose(served.numpy(), ops.convert_to_numpy(model(x)), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="keras.distribution runs on JAX")
def test_under_a_distribution_layout():
    devices = keras.distribution.list_devices()[:1]
    mesh = keras.distribution.DeviceMesh((1, 1), ["batch", "model"], devices)
    layout = keras.distribution.LayoutMap(mesh)
    layout[".*coefficients"] = keras.distribution.TensorLayout([None], mesh)
    distribution = keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch")
    with distribution.scope():
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(4), activation("aff(identity,relu,tanh)")]
        )
        model.compile("sgd", "mse")
        model.fit(RNG.normal(size=(8, 4)), RNG.normal(size=(8, 4)), verbose=0)
    coefficients = ops.convert_to_numpy(model.layers[1].coefficients)
    np.testing.assert_allclose(coefficients.sum(), 1, atol=1e-6)
    assert not np.allclose(coefficients, 1 / 3)


def bytes_kept(function, x, *variables):
    """Bytes that the backend keeps between the forward and the backward pass."""
    if keras.backend.backend() == "jax":
        import jax

        _, pull_back = jax.vjp(function, x, *variables)
        return sum(leaf.nbytes for leaf in jax.tree.leaves(pull_back) if hasattr(leaf, "nbytes"))
    import torch

    kept = {}

    def note(tensor):
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        function(x, *variables)
    return sum(kept.values())


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="TensorFlow does not expose what it keeps"
)
@pytest.mark.parametrize(
    "spec",
    [
        *SPECS,
        "rational(degrees=[3,2])",
        "xielu",
        "acon(axis=None)",
        "dyt(axis=None)",
        "scaled(sin)",
    ],
)
def test_backward_keeps_no_more_than_the_input(spec):
    layer = activation(spec)
    layer.build((64, 128))
    x = ops.convert_to_tensor(RNG.normal(size=(64, 128)), "float32")
    if keras.backend.backend() == "torch":
        x.requires_grad_()
    values = [variable.value for variable in layer.trainable_variables]

    def call(x, *values):
        return layer.stateless_call(list(values), [], x)[0]

    def chain(x):
        return ops.tanh(x) * ops.sigmoid(x) + ops.exp(-x * x)

    size = 64 * 128 * 4
    assert bytes_kept(chain, x) > 2 * size, "the count misses what plain operations keep"
    assert bytes_kept(call, x, *values) <= size + 1024


@pytest.mark.parametrize(
    "spec", ["pwl", "pwl(axis=-1,knots=80)", "spline", "crrelu", "aff(relu,exp)", "x*tanh(x)"]
)
def test_a_global_floatx_of_16_bits(spec):
    before = keras.config.floatx()
    policy = keras.config.dtype_policy()
    try:
        keras.config.set_floatx("bfloat16")
        keras.config.set_dtype_policy("bfloat16")
        layer = activation(spec)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), layer])
        model.compile("sgd", "mse")
        x = np.random.default_rng(0).normal(size=(8, 4))
        model.fit(x, x[:, :3], verbose=0)
        output = model(x)
    finally:
        keras.config.set_floatx(before)
        keras.config.set_dtype_policy(policy)
    assert keras.backend.standardize_dtype(output.dtype) == "bfloat16"
    assert {keras.backend.standardize_dtype(w.dtype) for w in layer.weights} <= {"float32"}
    assert np.isfinite(ops.convert_to_numpy(ops.cast(output, "float32"))).all()
