"""Large tensors go through loops compiled by PyTorch; the numbers stay those of the formulas."""

import shutil

import keras
import numpy as np
import pytest
from reference.activations import ACTIVATIONS, crrelu, output_and_gradients
from reference.piecewise import piecewise_linear, value_gradients

import keras_actfn
from keras_actfn.layers import PWL, AffineHullActivation

if keras.backend.backend() != "torch":
    pytest.skip("only PyTorch compiles inside the layers", allow_module_level=True)

import torch
from torch._dynamo.backends.common import aot_autograd

from keras_actfn.backend import _torch_fusion as fusion
from keras_actfn.backend import _torch_knots

pytestmark = pytest.mark.filterwarnings("ignore:(PWL|Spline) starts from")

needs_compiler = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("c++")), reason="no C++ compiler"
)


@pytest.fixture(autouse=True)
def small_counts_as_large(monkeypatch):
    monkeypatch.delenv("TORCH_COMPILE_DISABLE")
    monkeypatch.setattr(fusion, "_FEWEST_ELEMENTS", 1 << 10)
    monkeypatch.setattr(fusion, "_SLICE", 1 << 9)
    monkeypatch.setattr(fusion, "_COMPILED", {})


def run(layer, x, upstream):
    """The output and the gradients to x and to the parameter, as NumPy arrays."""
    x = x.clone().requires_grad_()
    sources = [x, *(variable.value for variable in layer.trainable_variables)]
    output = layer(x)
    gradients = torch.autograd.grad(output, sources, upstream)
    assert output.stride() == gradients[0].stride() == x.stride()
    return [tensor.detach().numpy() for tensor in (output, *gradients)]


@needs_compiler
@pytest.mark.parametrize("spec", ACTIVATIONS)
def test_values_and_gradients(spec):
    rng = np.random.default_rng(0)
    x, upstream = (
        torch.tensor(rng.normal(size=(6, 5, 9, 7)) * 2, dtype=torch.float32).permute(0, 2, 3, 1)
        for _ in range(2)
    )
    layer = keras_actfn.activation(spec)
    layer.build((None, 9, 7, 5))
    parameters = [keras.ops.convert_to_numpy(v) for v in layer.trainable_variables]
    expected = output_and_gradients(spec, x.double().numpy(), upstream.numpy(), parameters)
    # Gradients in another order than x's, and a second size, go through the same loops.
    for order in (upstream, upstream.contiguous()):
        for found, wanted in zip(run(layer, x, order), expected, strict=True):
            wanted = np.asarray(wanted).reshape(found.shape)
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())
    found = run(layer, x[:5], upstream[:5])
    np.testing.assert_allclose(found[0], expected[0][:5], rtol=1e-5, atol=1e-5)
    assert len(fusion._COMPILED) == 2 and None not in fusion._COMPILED.values()


@needs_compiler
@pytest.mark.parametrize("spec", ["pwl(knots=9,axis=-1)", "aff(identity,tanh)", "crrelu(axis=-1)"])
def test_whole_tensors_are_compiled_with_their_sums_as_on_a_gpu(spec, monkeypatch):
    monkeypatch.setattr(fusion, "in_slices", lambda x: False)
    monkeypatch.setattr(fusion, "_PART", 128)
    x, upstream = (
        torch.tensor(np.random.default_rng(seed).normal(size=(64, 4, 8)) * 2, dtype=torch.float32)
        for seed in range(2)
    )
    layer = keras_actfn.activation(spec)
    layer.build((None, 4, 8))
    # Equal sizes at first, which are no longer so, then one that does not go into parts.
    for count in (64, 48, 33):
        found = run(layer, x[:count], upstream[:count])
        with monkeypatch.context() as patch:
            patch.setenv("TORCH_COMPILE_DISABLE", "1")
            expected = run(layer, x[:count], upstream[:count])
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())
    assert None not in fusion._COMPILED.values()


@needs_compiler
def test_nan_adds_nothing_to_the_knots():
    layer = keras_actfn.activation("pwl")
    x = torch.linspace(-4, 4, 2048).reshape(2, 32, 32)
    upstream = torch.ones_like(x)
    _, _, expected = run(layer, x, upstream.where(x != x[1, 3, 3], 0.0))
    x[1, 3, 3] = float("nan")
    output, to_x, to_values = run(layer, x, upstream)
    assert np.isnan(output[1, 3, 3]) and np.isnan(output).sum() == 1
    assert to_x[1, 3, 3] == 0
    np.testing.assert_allclose(to_values, expected, rtol=1e-6, atol=1e-6)
    assert None not in fusion._COMPILED.values()


@pytest.fixture
def without_c(monkeypatch):
    """What is kept is what is asked here: the graphs run as they are, not as compiled C++."""
    compiled = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **o: compiled(f, backend="aot_eager", **o))


def test_layers_of_the_same_function_share_a_loop_and_others_do_not(without_c):
    x = torch.linspace(-4, 4, 2048).reshape(2, 32, 32)
    for spec in ("pwl", "pwl(initial=tanh,low=-3,high=3)"):
        run(keras_actfn.activation(spec), x, torch.ones_like(x))
    assert len(fusion._COMPILED) == 2
    narrow = keras_actfn.activation("pwl(knots=17,low=-1.5,high=1.5,initial=tanh)")
    output, *_ = run(narrow, x, torch.ones_like(x))
    assert len(fusion._COMPILED) == 4 and None not in fusion._COMPILED.values()
    values = np.tanh(np.linspace(-1.5, 1.5, 17))
    expected = piecewise_linear(x.numpy(), values, -1.5, 1.5, "linear")
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)


@needs_compiler
@pytest.mark.parametrize("extrapolation", ["linear", "clamp"])
def test_layers_with_other_ends_share_their_loops(extrapolation):
    x = torch.linspace(-4, 4, 2048).reshape(2, 32, 32)
    for low, high in ((-3.0, 3.0), (-1.0, 2.5), (0.25, 7.0)):
        layer = PWL(low=low, high=high, initial="tanh", extrapolation=extrapolation)
        values = np.tanh(np.linspace(low, high, 33))
        output, to_x, to_values = run(layer, x, torch.ones_like(x))
        expected = piecewise_linear(x.numpy(), values, low, high, extrapolation)
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)
        by_value = value_gradients(x.numpy().ravel(), 33, low, high, extrapolation)
        np.testing.assert_allclose(to_values, by_value.sum(1), rtol=1e-4, atol=2e-3)
        far = x.numpy() > high + 0.1
        last = (values[-1] - values[-2]) / (high - low) * 32 if extrapolation == "linear" else 0
        np.testing.assert_allclose(to_x[far], last, rtol=1e-4, atol=1e-6)
    assert len(fusion._COMPILED) == 2 and None not in fusion._COMPILED.values()


def test_no_more_than_so_many_loops_are_compiled(without_c, monkeypatch):
    monkeypatch.setattr(fusion, "_MOST_COMPILED", 2)
    x = torch.linspace(-4, 4, 2048).reshape(2, 32, 32)
    for spec, function in {"tanh(x)": np.tanh, "cosh(x)": np.cosh}.items():
        layer = keras_actfn.activation(f"add(x,{spec})")
        output, _ = run(layer, x, torch.ones_like(x))
        np.testing.assert_allclose(output, x.numpy() + function(x.numpy()), rtol=1e-5)
    assert len(fusion._COMPILED) == 2 and None not in fusion._COMPILED.values()


@keras.saving.register_keras_serializable(package="test_torch_fusion")
def unreadable(x):
    return x * 2 if float(keras.ops.max(x)) > 0 else x * 3


def test_what_cannot_be_compiled_still_runs(caplog):
    layer = AffineHullActivation((unreadable,), initializer=[1.0])
    x = torch.linspace(1, 4, 2048).reshape(2, 32, 32)
    with caplog.at_level("INFO", logger=fusion.__name__):
        output, to_x, _ = run(layer, x, torch.ones_like(x))
    np.testing.assert_allclose(output, 2 * x.numpy(), rtol=1e-6)
    np.testing.assert_allclose(to_x, 2, rtol=1e-6)
    assert list(fusion._COMPILED.values()) == [None, None] and "unreadable" in caplog.text


def test_switched_off(monkeypatch):
    monkeypatch.setenv("TORCH_COMPILE_DISABLE", "1")
    x = torch.linspace(-4, 4, 2048).reshape(2, 32, 32)
    output, *_ = run(keras_actfn.activation("crrelu"), x, torch.ones_like(x))
    assert not fusion._COMPILED
    np.testing.assert_allclose(output, crrelu(x.double().numpy(), 0.01)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("spec", ["pwl", "pwl(axis=-1)"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_graph_compiled_for_a_gpu_keeps_the_kernels_of_piecewise_functions(
    spec, dtype, monkeypatch
):
    monkeypatch.setattr(
        _torch_knots, "_compiles_for_cuda", lambda x: torch.compiler.is_dynamo_compiling()
    )
    layer = keras_actfn.activation(spec, dtype=keras.DTypePolicy(str(dtype).removeprefix("torch.")))
    layer.build((None, 6))
    layer.set_weights([w + np.sin(np.arange(w.size)).reshape(w.shape) for w in layer.get_weights()])
    (values,) = (variable.value for variable in layer.trainable_variables)
    rng = np.random.default_rng(0)
    x, upstream = (torch.tensor(rng.normal(size=(50, 6))).to(dtype) for _ in range(2))
    x.requires_grad_()
    graphs = []

    def keep(graph, inputs):
        graphs.append({str(node.target) for node in graph.graph.nodes})
        return graph

    compiled = torch.compile(lambda x: layer(x), backend=aot_autograd(fw_compiler=keep))
    outputs = compiled(x), layer(x)
    gradients = (torch.autograd.grad(output, [x, values], upstream) for output in outputs)
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*outputs)
    forward, backward = graphs
    assert "keras_actfn.piecewise_linear.default" in forward
    assert "keras_actfn.piecewise_linear_backward.default" in backward


def test_transforms_inside_such_a_graph_differentiate_the_formula(monkeypatch):
    monkeypatch.setattr(
        _torch_knots, "_compiles_for_cuda", lambda x: torch.compiler.is_dynamo_compiling()
    )
    layer = keras_actfn.activation("pwl")
    layer.build((None, 6))
    x = torch.linspace(-4, 4, 30).reshape(5, 6)
    first = torch.func.grad(lambda x: (layer(x) ** 2).sum())
    for function in (first, torch.func.grad(lambda x: first(x).sum()), torch.func.vmap(layer)):
        compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), function(x))


def test_the_operations_of_such_a_graph_are_what_they_say_they_are():
    x = torch.randn(50, 6, requires_grad=True)
    for values in (torch.randn(33), torch.randn(33, 6)):
        arguments = (x, values.requires_grad_(), -3.0, 5.0, 0.0, 32.0)
        torch.library.opcheck(_torch_knots._piecewise, arguments)
