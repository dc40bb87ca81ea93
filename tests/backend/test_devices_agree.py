"""The default device, a GPU where there is one, beside float64 on the CPU.

Every layer, its gradients to the input and the parameters, at sizes and in orders of memory that
take different ways through the kernels. On a CPU the sizes are small.
"""

import math
from functools import partial

import keras
import numpy as np
import pytest

from keras_actfn import activation

pytestmark = pytest.mark.filterwarnings("ignore:(PWL|Spline) starts from")
BACKEND = keras.backend.backend()

LAYERS = (
    "conv(identity,relu,tanh)",
    "aff(identity,relu,tanh)",
    "aff(identity,relu,tanh,axis=-1)",
    "crrelu",
    "crrelu(axis=-1)",
    "pwl",
    "pwl(axis=-1)",
    "rational",
    "spline",
    "mul(x,erfc(x))",
)
#: Shapes: of whole parts of a kernel, of none, and with as many channels as no warp has threads.
LARGE = ((8192, 512), (3, 500_009, 1), (30_011, 7, 10))
SMALL = ((64, 32), (3, 11, 1), (31, 7, 10))

#: Part of the inputs that lie at a knot but for rounding.
AT_A_KNOT = 1e-5


def on_accelerator():
    """Whether the default device is no CPU."""
    if BACKEND == "jax":
        import jax

        return jax.default_backend() != "cpu"
    if BACKEND == "torch":
        import torch

        return torch.cuda.is_available()
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def default_device():
    """Keras's name of it."""
    return ("cuda" if BACKEND == "torch" else "gpu") if on_accelerator() else "cpu"


SHAPES = LARGE if on_accelerator() else SMALL
#: 16 bits on a CPU have tests of their own.
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")[: None if on_accelerator() else 1]


@pytest.fixture(autouse=True)
def _as_users_run_it(monkeypatch):
    """Compiled where that is worth it, and with 64 bits for the reference."""
    if on_accelerator():
        monkeypatch.delenv("TORCH_COMPILE_DISABLE", raising=False)
    if BACKEND != "jax":
        yield
        return
    import jax

    with jax.enable_x64(True):
        yield


def values_and_gradients(layer, x, upstream, device=None):
    """Output and gradients to x and the parameters on a device, as NumPy arrays."""
    if BACKEND == "jax":
        import jax

        def call(parameters, x):
            return layer.stateless_call(parameters, [], x)[0]

        @jax.jit
        def both(parameters, x, upstream):
            output, pull_back = jax.vjp(call, parameters, x)
            to_parameters, to_x = pull_back(upstream)
            return [output, to_x, *to_parameters]

        place = jax.devices(device)[0]
        parameters = [variable.value for variable in layer.trainable_variables]
        arguments = jax.device_put((parameters, x, upstream), place)
        return [np.asarray(each) for each in both(*arguments)]
    with keras.device(device or default_device()):
        x, upstream = (keras.ops.convert_to_tensor(each) for each in (x, upstream))
        variables = [variable.value for variable in layer.trainable_variables]
        if BACKEND == "torch":
            import torch

            x = x.requires_grad_()
            output = layer(x)
            gradients = torch.autograd.grad(output, [x, *variables], upstream)
        else:
            import tensorflow as tf

            with tf.GradientTape() as tape:
                tape.watch(x)
                output = layer(x)
            gradients = tape.gradient(output, [x, *layer.trainable_variables], upstream)
        return [keras.ops.convert_to_numpy(each) for each in (output, *gradients)]


def made(spec, shape, policy, device=None):
    """A layer on a device whose parameters are away from where they start."""
    with keras.device(device or default_device()):
        layer = activation(spec, dtype=policy)
        layer.build((None, *shape[1:]))
        rng = np.random.default_rng(1)
        layer.set_weights([w + 0.1 * rng.normal(size=w.shape) for w in layer.get_weights()])
    return layer


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("spec", LAYERS)
def test_the_default_device_computes_what_float64_does_on_a_cpu(spec, policy, shape, monkeypatch):
    rng = np.random.default_rng(0)
    dtype = policy.removeprefix("mixed_")
    rounded = partial(keras.ops.cast, dtype=dtype)
    x, upstream = (rounded(rng.normal(size=shape)) for _ in range(2))
    layer = made(spec, shape, policy)
    reference = made(spec, shape, "float64", "cpu")
    reference.set_weights([w.astype("float64") for w in layer.get_weights()])

    exact = [keras.ops.convert_to_numpy(keras.ops.cast(each, "float32")) for each in (x, upstream)]
    with monkeypatch.context() as uncompiled:
        uncompiled.setenv("TORCH_COMPILE_DISABLE", "1")
        expected = values_and_gradients(reference, *(e.astype("float64") for e in exact), "cpu")
    first = values_and_gradients(layer, x, upstream)
    second = values_and_gradients(layer, x, upstream)

    # A sum of N terms of either sign is of the size of sqrt(N).
    count = math.prod(shape) / (shape[-1] if "axis" in spec else 1)
    relative = {"float32": 1e-5, "bfloat16": 1e-2, "float16": 1e-3}[dtype]
    for each, value in zip(expected[:2], first[:2], strict=True):
        apart = ~np.isclose(value.astype("float64"), each, rtol=relative, atol=relative)
        # Where rounding takes x over a knot, the slope is the other segment's.
        assert apart.sum() <= AT_A_KNOT * apart.size, (spec, value[apart], each[apart])
    for each, value in zip(expected[2:], first[2:], strict=True):
        np.testing.assert_allclose(
            value.astype("float64"), each, rtol=1e-5, atol=1e-5 * math.sqrt(count), err_msg=spec
        )
    for each, again in zip(first, second, strict=True):
        np.testing.assert_array_equal(each, again)


@pytest.mark.skipif(BACKEND != "torch", reason="orders in memory are PyTorch's")
@pytest.mark.parametrize("spec", LAYERS)
def test_the_order_in_memory_does_not_change_what_is_computed(spec):
    import torch

    shape = (64, 32, 32, 32) if on_accelerator() else (2, 3, 4, 5)
    layer = made(spec, shape, "float32")
    device = keras.ops.ones(()).device
    x, upstream = torch.randn(2, *shape, device=device)
    views = {
        "channels first": lambda a: a.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1),
        "every second": lambda a: torch.stack([a, a], dim=-1)[..., 0],
        "not at a multiple of 16 bytes": lambda a: torch.cat([a.new_zeros(1), a.reshape(-1)])[
            1:
        ].view(shape),
    }
    variables = [variable.value for variable in layer.trainable_variables]

    def computed(x, upstream):
        x = x.detach().requires_grad_()
        output = layer(x)
        return output.detach(), *torch.autograd.grad(output, [x, *variables], upstream)

    expected = computed(x, upstream)
    for name, view in views.items():
        for arguments in ((view(x), upstream), (x, view(upstream)), (view(x), view(upstream))):
            for each, value in zip(expected, computed(*arguments), strict=True):
                torch.testing.assert_close(
                    value, each, rtol=1e-5, atol=1e-5 * math.sqrt(x.numel()), msg=name
                )
