"""The contract of an activation layer, as checks that any layer can be put to.

A test suite runs them all on its own layer:

```python
import pytest
from keras_actfn.testing import LAYER_CHECKS

@pytest.mark.parametrize("check", LAYER_CHECKS)
def test_my_activation(check):
    LAYER_CHECKS[check](MyActivation)
```

Each check takes a factory, a callable without arguments that returns a new layer, and raises
AssertionError with what differs. Inputs have both signs, touch the kinks and reach ±1e4.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from ..models.objective import mask_of
from .differentiate import output_and_gradients

#: Around zero, at and beyond typical ends, and far out.
PROBES = (-1e4, -30.0, -3.0, -2.5, -1.0, -0.3, -1e-3, 0.0, 1e-3, 0.3, 1.0, 2.5, 3.0, 30.0, 1e4)


def check_shapes_and_dtypes(factory: Callable[[], Any]) -> None:
    """Output shape and dtype, symbolic and actual, for several ranks and dtype policies."""
    cases = [((4, 6), "float32"), ((4, 5, 6), "float32"), ((2, 4, 5, 6), "float32")]
    cases += [((4, 6), policy) for policy in ("bfloat16", "mixed_float16", "mixed_bfloat16")]
    for shape, policy in cases:
        layer = factory_with(factory, dtype=policy)
        x = ops.convert_to_tensor(_inputs(shape), layer.compute_dtype)
        symbolic = layer(keras.KerasTensor((None, *shape[1:]), dtype=layer.compute_dtype))
        output = layer(x)
        dtype = keras.backend.standardize_dtype(output.dtype)
        assert tuple(output.shape) == shape, f"output shape {output.shape} for {shape}"
        assert tuple(symbolic.shape) == (None, *shape[1:]), f"symbolic shape {symbolic.shape}"
        assert dtype == layer.compute_dtype == symbolic.dtype, f"output {dtype} in {policy}"
        if policy.startswith("mixed"):
            kept = {keras.backend.standardize_dtype(w.dtype) for w in layer.weights}
            assert kept <= {"float32"}, f"weights of dtype {kept} under {policy}"


def check_elementwise(factory: Callable[[], Any]) -> None:
    """Each output depends on its own input alone, wherever it stands in the batch."""
    x = _inputs((6, 3, 4))
    layer = _built(factory, x)
    whole = ops.convert_to_numpy(layer(x))
    order = np.random.default_rng(1).permutation(6)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x[order])), whole[order], rtol=1e-6)
    changed = x.copy()
    changed[0, 0, 0] += 1
    difference = ops.convert_to_numpy(layer(changed)) != whole
    assert difference.sum() <= 1, "changing one input changed other outputs"


def check_finite_where_finite(factory: Callable[[], Any]) -> None:
    """Finite outputs and gradients for finite inputs, NaN for NaN, no NaN spread by it."""
    x = _inputs((6, 3, 4))
    layer = _built(factory, x)
    output, to_x, to_weights = output_and_gradients(layer, x)
    for what, array in (("output", output), ("gradient to x", to_x)):
        assert np.isfinite(array).all(), f"{what} is not finite at {x[~np.isfinite(array)][:3]}"
    for variable, gradient in zip(layer.trainable_variables, to_weights, strict=True):
        assert np.isfinite(gradient).all(), f"gradient to {variable.name} is not finite"
    x[1, 2, 3] = np.nan
    with_nan = output_and_gradients(layer, x)[0]
    assert np.isnan(with_nan[1, 2, 3]), "NaN in did not give NaN out"
    assert np.isnan(with_nan).sum() == 1, "a NaN input spread to other outputs"


def check_gradients(factory: Callable[[], Any]) -> None:
    """Gradients to x and to every weight, between the one-sided difference quotients.

    The two quotients bracket the derivative of a function that is convex or concave around
    the point, kinks included. In float32 the check is good to about 1e-3; compare with a
    closed form beside it.
    """
    x = _inputs((6, 3, 4))
    layer = _built(factory, x)
    upstream = np.random.default_rng(2).normal(size=x.shape).astype("float32")
    _, to_x, _ = output_and_gradients(layer, x, upstream)

    def apply(x):
        return ops.convert_to_numpy(layer(ops.convert_to_tensor(x))).astype("float64")

    step = (0.01 * np.maximum(1, np.abs(x))).astype("float32")
    middle = apply(x)
    quotients = [
        upstream * (apply(x + side) - middle) / ((x + side).astype("float64") - x)
        for side in (-step, step)
    ]
    _assert_between(to_x, quotients, 2e-3 * (1 + np.abs(upstream)), "gradient to x")
    x = np.clip(x, -3, 3)
    _, _, to_weights = output_and_gradients(layer, x, upstream)
    middle = apply(x)
    for variable, gradient in zip(layer.trainable_variables, to_weights, strict=True):
        start = ops.convert_to_numpy(variable)
        for index in np.ndindex(start.shape):
            quotients = []
            for side in (-0.01, 0.01):
                moved = start.copy()
                moved[index] += side
                variable.assign(moved)
                quotients.append(float(np.sum(upstream * (apply(x) - middle))) / side)
            bracket = [np.asarray(quotient) for quotient in quotients]
            _assert_between(gradient[index], bracket, 5e-3, f"gradient to {variable.name}{index}")
        variable.assign(start)


def check_config_round_trip(factory: Callable[[], Any]) -> None:
    """A layer from the configuration gives the same outputs, with the weights and without."""
    x = _inputs((4, 3, 5))
    layer = _built(factory, x)
    copy = type(layer).from_config(layer.get_config())
    _assert_same(copy(x), layer(x), "a fresh layer from the configuration")
    _perturb(layer)
    copy.set_weights(layer.get_weights())
    _assert_same(copy(x), layer(x), "a layer from the configuration with the weights copied")


def check_file_round_trip(factory: Callable[[], Any]) -> None:
    """A model saved as `.keras`, and weights loaded into a fresh model, give the same outputs."""
    x = _inputs((4, 5))
    model = _model(factory)
    _perturb(model.layers[-1])
    expected = model(x)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "model.keras"))
        loaded = keras.models.load_model(Path(folder, "model.keras"))
        model.save_weights(Path(folder, "model.weights.h5"))
        fresh = _model(factory)
        fresh.load_weights(Path(folder, "model.weights.h5"))
    _assert_same(loaded(x), expected, "the model loaded from its file")
    _assert_same(fresh(x), expected, "a fresh model with the weights loaded")


def check_training(factory: Callable[[], Any]) -> None:
    """`model.fit` trains the layer, with and without compilation, to the same weights."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(32, 5)).astype("float32"), rng.normal(size=(32, 4))
    start = _model(factory).get_weights()
    trained = {}
    for jit in _jit_choices():
        model = _model(factory)
        model.set_weights(start)
        model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=jit)
        loss = model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0).history["loss"]
        assert np.isfinite(loss).all(), f"loss {loss} with jit_compile={jit}"
        trained[jit] = model.get_weights()
        layer = model.layers[-1]
        moved = [not np.array_equal(a, b) for a, b in zip(start, trained[jit], strict=True)]
        if layer.trainable_variables:
            assert any(moved[-len(layer.weights) :]), "training left the layer's weights alone"
        for variable in layer.trainable_variables:
            if variable.constraint is not None:
                _assert_same(
                    variable.constraint(variable), variable, f"constraint on {variable.name}"
                )
    first, *others = trained.values()
    for other in others:
        for a, b in zip(first, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg="compiled or not")


def check_masking(factory: Callable[[], Any]) -> None:
    """A mask reaches the layers behind."""
    inputs = keras.Input((4, 3))
    layer = factory()
    outputs = layer(keras.layers.Masking()(inputs))
    assert layer.supports_masking, "supports_masking is not set"
    assert mask_of(outputs) is not None, "the mask was lost"


#: Every check of an activation layer by its name.
LAYER_CHECKS = {
    "shapes_and_dtypes": check_shapes_and_dtypes,
    "elementwise": check_elementwise,
    "finite_where_finite": check_finite_where_finite,
    "gradients": check_gradients,
    "config_round_trip": check_config_round_trip,
    "file_round_trip": check_file_round_trip,
    "training": check_training,
    "masking": check_masking,
}


def check_other_backends(
    model: keras.Model,
    x: Any,
    backends: Iterable[str],
    imports: Iterable[str] = ("keras_actfn",),
    rtol: float = 1e-5,
) -> None:
    """A model's file, written under this backend, gives the same outputs under others.

    Each backend runs in a process of its own.

    Args:
        model: A built `keras.Model`.
        x: NumPy array of inputs.
        backends: Names of Keras backends to read the file under.
        imports: Modules to import there, which register the model's layers.
        rtol: Relative tolerance, of the largest output.

    Raises:
        AssertionError: If outputs differ, or the file cannot be read there.
    """
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "model.keras"))
        np.save(Path(folder, "x.npy"), x)
        expected = ops.convert_to_numpy(model(x))
        code = (
            f"import keras, numpy, {', '.join(imports)}\n"
            "model = keras.models.load_model('model.keras')\n"
            "y = model(numpy.load('x.npy'))\n"
            "numpy.save('y.npy', keras.ops.convert_to_numpy(y))\n"
        )
        for backend in backends:
            environment = {**os.environ, "KERAS_BACKEND": backend}
            process = subprocess.run(
                [sys.executable, "-c", code],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
            )
            assert process.returncode == 0, f"under {backend}:\n{process.stderr[-2000:]}"
            _assert_same(np.load(Path(folder, "y.npy")), expected, f"under {backend}", rtol)


def factory_with(factory: Callable[[], Any], **options: Any) -> keras.Layer:
    """A layer from `factory` with its configuration changed by `options`."""
    layer = factory()
    return type(layer).from_config({**layer.get_config(), **options})


def _inputs(shape):
    """Random float32 inputs of both signs whose first entries are the probes."""
    x = np.random.default_rng(0).normal(scale=2, size=shape).astype("float32")
    flat = x.reshape(-1)
    flat[: len(PROBES)] = PROBES[: flat.size]
    return x


def _built(factory, x):
    layer = factory()
    layer.build(x.shape)
    return layer


def _model(factory):
    dense = keras.layers.Dense(4, kernel_initializer=keras.initializers.GlorotUniform(seed=0))
    return keras.Sequential([keras.Input((5,)), dense, factory()])


def _perturb(layer):
    """Move every weight, so that a forgotten one shows."""
    rng = np.random.default_rng(4)
    layer.set_weights([w + rng.uniform(0.1, 0.2, w.shape) for w in layer.get_weights()])


def _assert_between(actual, quotients, tolerance, what):
    low, high = np.minimum(*quotients) - tolerance, np.maximum(*quotients) + tolerance
    inside = (actual >= low) & (actual <= high)
    assert np.all(inside), (
        f"{what}: {np.asarray(actual)[~inside][:3]} is not between the one-sided difference "
        f"quotients {np.asarray(low)[~inside][:3]} and {np.asarray(high)[~inside][:3]}"
    )


def _assert_same(actual, expected, what, rtol=1e-6):
    actual, expected = ops.convert_to_numpy(actual), ops.convert_to_numpy(expected)
    scale = float(np.abs(expected).max()) if expected.size else 0.0
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * scale, err_msg=what)


def _jit_choices():
    """Without and with compilation; PyTorch's compiler is not assumed to be there."""
    return (False,) if keras.backend.backend() == "torch" else (False, True)
