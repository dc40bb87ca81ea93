"""8-bit tables and files, run by a C compiler and by the formats' own runtimes."""

import ctypes
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops
from own_layers import Block

import keras_actfn
from keras_actfn.layers import SegmentedLinear
from keras_actfn.surgery import (
    Quantization,
    compile_activations,
    export_int8,
    int8_table,
    quantizations,
    with_dense_segments,
    write_c,
)
from keras_actfn.surgery.int8 import FORMATS, DenseSegments, check_format

BACKEND = keras.backend.backend()
NAMES = {"litert": "model.tflite", "onnx": "model.onnx"}
STEPS = np.arange(-128, 128)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def one_site(spec="swish"):
    """A model that is one activation, compiled on inputs from −4 to 6."""
    model = keras.Sequential([keras.Input((5,)), keras_actfn.activation(spec, name="act")])
    return compile_activations(model, np.linspace(-4, 6, 1000).reshape(-1, 5), segments=12)


def test_quantization_keeps_zero_and_the_ends():
    held = Quantization.of_range(-1.0, 3.0)
    assert held.scale == pytest.approx(4 / 255)
    np.testing.assert_array_equal(held.quantize([-1.0, 0.0, 3.0, 9.0]), [-128, -64, 127, 127])
    assert held.dequantize(held.quantize(0.0)) == 0
    assert Quantization.of_range(2.0, 3.0).dequantize(-128) == 0
    with pytest.raises(ValueError, match="finite ends"):
        Quantization.of_range(0.0, np.inf)


def test_a_table_is_within_half_a_step():
    site = one_site().sites[0]
    inputs, outputs = quantizations(site)
    table = int8_table(site.segments, inputs, outputs)
    x = inputs.dequantize(STEPS)
    inside = (x >= site.edges[0]) & (x <= site.edges[-1])
    error = outputs.dequantize(table) - site.segments(x)
    assert table.dtype == np.int8 and np.abs(error[inside]).max() <= 0.5001 * outputs.scale


@pytest.mark.once
def test_the_c_table_compiles_and_agrees_with_the_layer(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, activation="gelu", name="3d-first"),
            layers.Dense(8, name="second"),
            keras_actfn.activation("aff(identity,relu,tanh)", name="hull"),
        ]
    )
    compiled = compile_activations(model, numbers(200, 4), segments=8)
    write_c(tmp_path / "tables.h", compiled.sites)
    (tmp_path / "use.c").write_text(
        '#include "tables.h"\n'
        "int first(int q) { return _3d_first[(uint8_t)(q + 128)]; }\n"
        "int second(int q) { return hull[(uint8_t)(q + 128)]; }\n"
        "float scale(void) { return HULL_INPUT_SCALE; }\n"
        "int zero(void) { return HULL_INPUT_ZERO_POINT; }\n"
    )
    library = tmp_path / "use.so"
    command = ["cc", "-Wall", "-Werror", "-Wno-unused-const-variable", "-shared", "-fPIC"]
    subprocess.run([*command, "-o", library, tmp_path / "use.c"], check=True, cwd=tmp_path)
    loaded = ctypes.CDLL(str(library))
    loaded.scale.restype = ctypes.c_float
    for name, layer, site in zip(("first", "second"), compiled.layers, compiled.sites, strict=True):
        inputs, outputs = quantizations(site)
        exact = layer.evaluate(inputs.dequantize(STEPS))
        found = np.array([getattr(loaded, name)(int(q)) for q in STEPS])
        inside = np.abs(outputs.quantize(exact).astype(int) + 0.5) < 127
        assert np.abs(outputs.dequantize(found) - exact)[inside].max() < 0.51 * outputs.scale
    assert loaded.scale() == pytest.approx(inputs.scale)
    assert loaded.zero() == inputs.zero_point


@pytest.mark.parametrize("second", ["my-act", "My_Act"])
def test_sites_of_one_name_in_c_are_refused(second, tmp_path):
    """Names of tables, or of macros, which are in capital letters."""
    names = ("my_act", second)
    given = [keras_actfn.activation("swish", name=name) for name in names]
    compiled = compile_activations(keras.Sequential([keras.Input((5,)), *given]), numbers(50, 5), 4)
    message = f"name of its own in C.*'my_act', '{second}', whose macros begin with MY_ACT"
    with pytest.raises(ValueError, match=message):
        write_c(tmp_path / "tables.h", compiled.sites)
    assert not list(tmp_path.iterdir())
    for site in compiled.sites:  # each in a file of its own
        write_c(tmp_path / "tables.h", [site])


def test_dense_segments_are_equal_on_the_range():
    compiled = one_site("pwl(initial=tanh)")
    dense = with_dense_segments(compiled)
    x = np.linspace(-4, 6, 500, dtype="float32").reshape(-1, 5)
    values = [ops.convert_to_numpy(m(x)) for m in (dense, compiled.model)]
    np.testing.assert_allclose(*values, atol=2e-5)


@pytest.mark.filterwarnings("error:.*does not support masking")
def test_dense_segments_in_a_block_under_a_mask():
    ids = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True)(ids)
    x = layers.Dense(4, activation="swish", name="fused")(x)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(ids, layers.Dense(2)(Block(4, "gelu", name="block")(x)))
    data = np.random.default_rng(0).integers(0, 9, (64, 6))
    data[:, 4:] = 0
    compiled = compile_activations(model, data, segments=8)
    dense = with_dense_segments(compiled)
    assert isinstance(dense.get_layer("block").activation, DenseSegments)
    assert not any(isinstance(layer, SegmentedLinear) for layer in dense._flatten_layers())
    values = [ops.convert_to_numpy(m(data)) for m in (dense, compiled.model)]
    np.testing.assert_allclose(*values, atol=2e-5)


def run_onnx(path, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def run_litert(path, x):
    """Outputs for float inputs, and how the file's inputs and outputs are held."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    held = x.dtype if x.dtype.kind in "iu" else np.int8
    assert given["dtype"] == held and made["dtype"] == np.int8
    inputs, outputs = (Quantization(*d["quantization"]) for d in (given, made))
    rows = []
    for row in x:
        row = row[None] if held == x.dtype else inputs.quantize(row[None])
        interpreter.set_tensor(given["index"], row)
        interpreter.invoke()
        rows.append(outputs.dequantize(interpreter.get_tensor(made["index"])[0]))
    return np.array(rows), inputs, outputs


@pytest.mark.skipif(BACKEND not in FORMATS["litert"], reason="Keras writes no LiteRT here")
def test_litert_agrees_with_the_emulation(tmp_path):
    compiled = one_site()
    x = np.linspace(-4, 6, 1000, dtype="float32").reshape(-1, 5)
    export_int8(compiled, tmp_path / "model.tflite", x, "litert")
    found, inputs, outputs = run_litert(tmp_path / "model.tflite", x)
    table = int8_table(compiled.sites[0].segments, inputs, outputs)
    emulated = outputs.dequantize(table[inputs.quantize(x).astype(int) + 128])
    assert np.abs(found - emulated).max() <= 2.01 * outputs.scale


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(BACKEND not in FORMATS["onnx"], reason="Keras writes no ONNX here")
def test_onnx_agrees_with_the_emulation(tmp_path):
    import onnx

    compiled = one_site()
    x = np.linspace(-4, 6, 1000, dtype="float32").reshape(-1, 5)
    export_int8(compiled, tmp_path / "model.onnx", x, "onnx")
    kinds = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    inputs, outputs = quantizations(compiled.sites[0])
    table = int8_table(compiled.sites[0].segments, inputs, outputs)
    emulated = outputs.dequantize(table[inputs.quantize(x).astype(int) + 128])
    found = run_onnx(tmp_path / "model.onnx", x)
    assert np.abs(found - emulated).max() <= 2.01 * outputs.scale


WRITTEN = [form for form, backends in FORMATS.items() if BACKEND in backends]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", WRITTEN)
def test_ids_are_no_8_bit_numbers(form, tmp_path):
    def text_model(dtype):
        ids = keras.Input((6,), dtype=dtype)
        x = layers.Embedding(1000, 4, embeddings_initializer="random_normal", name="words")(ids)
        x = layers.GlobalAveragePooling1D()(layers.Dense(8, activation="swish")(50 * x))
        return keras.Model(ids, layers.Dense(2)(x))

    x = np.random.default_rng(0).integers(0, 1000, (200, 6)).astype("int32")
    model, path = text_model("int32"), tmp_path / NAMES[form]
    export_int8(compile_activations(model, x, segments=8), path, x, form)
    found = run_litert(path, x)[0] if form == "litert" else run_onnx(path, x)
    exact = ops.convert_to_numpy(model(x, training=False))
    assert np.sqrt(((found - exact) ** 2).mean()) < 0.05 * exact.std()
    if form == "litert":
        compiled = compile_activations(text_model("float32"), x, segments=8)
        path.unlink()
        with pytest.raises(ValueError, match=r"ids as integers.*float32 inputs.*'words'"):
            export_int8(compiled, path, x, form)
        assert not list(tmp_path.iterdir())


def through_a_cast(x):
    return layers.Embedding(9, 4, name="words")(ops.cast(x, "int32"))


def through_a_model(x):
    inner = keras.Input((6,))
    words = layers.Embedding(9, 4, name="words")
    return keras.Model(inner, words(ops.cast(inner, "int32")))(ops.reshape(x, (-1, 6)))


def as_one_hot(x):
    return ops.one_hot(ops.cast(x, "int32"), 9)


def as_largest(x):
    return layers.Embedding(9, 4)(ops.argmax(ops.reshape(x, (-1, 2, 3)), axis=-1))


def as_classes(x):
    return layers.Embedding(9, 4)(ops.cast(layers.Dense(6)(x), "int32"))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="LiteRT files are written on TensorFlow")
@pytest.mark.parametrize("function", [through_a_cast, through_a_model, as_one_hot])
def test_floats_that_become_ids_are_refused(function):
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(2)(function(inputs)))
    with pytest.raises(ValueError, match=r"ids as integers.*float32 inputs.*'(words|one_hot)"):
        check_format(model, Path("model.tflite"), "litert")


@pytest.mark.skipif(BACKEND != "tensorflow", reason="LiteRT files are written on TensorFlow")
@pytest.mark.parametrize("function", [as_largest, as_classes])
def test_ids_that_the_model_computes_are_not(function):
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(2)(function(inputs)))
    check_format(model, Path("model.tflite"), "litert")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize("size", [8, None])
def test_a_whole_network_in_8_bits(size, form, tmp_path):
    model = keras.Sequential(
        [
            keras.Input((size, size, 2)),
            layers.Conv2D(4, 3, activation="swish"),
            keras_actfn.activation("aff(identity,relu,tanh)"),
            layers.Flatten() if size else layers.GlobalMaxPooling2D(),
            layers.Dense(16, activation="gelu"),
            layers.Dense(3),
        ]
    )
    x = numbers(200, 8, 8, 2)
    compiled = compile_activations(model, x, segments=8)
    path = tmp_path / NAMES[form]
    export_int8(compiled, path, x, form)
    found = run_litert(path, x)[0] if form == "litert" else run_onnx(path, x)
    exact = ops.convert_to_numpy(model(x, training=False))
    assert np.sqrt(((found - exact) ** 2).mean()) < 0.05 * exact.std()


@pytest.mark.parametrize(
    ("name", "form", "message"),
    [
        ("model.tflite", "tflite", "Did you mean|is one of: litert, onnx"),
        ("model.onnx", "litert", "format litert ends in .tflite"),
        ("model.tflite", "onnx", "format onnx ends in .onnx"),
    ],
)
def test_what_does_not_fit_is_refused(name, form, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_int8(one_site(), tmp_path / name, numbers(8, 5), form)
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_models_that_compute_in_16_bits(dtype, form, tmp_path):
    half = layers.Dense(8, activation="swish", dtype=dtype, name="half")
    model = keras.Sequential([keras.Input((5,)), half, layers.Dense(3, dtype="float32")])
    compiled = compile_activations(model, numbers(100, 5), segments=8)
    path, x = tmp_path / NAMES[form], numbers(100, 5)
    if (form, dtype) == ("onnx", "mixed_float16"):
        export_int8(compiled, path, x, form)
        exact = ops.convert_to_numpy(model(x, training=False))
        assert np.sqrt(((run_onnx(path, x) - exact) ** 2).mean()) < 0.05 * exact.std()
        return
    with pytest.raises(ValueError, match=rf"float32.*Received: 'half', .* {dtype[6:]}\. Build"):
        export_int8(compiled, path, x, form)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", FORMATS)
def test_another_backend_is_named(form, tmp_path, monkeypatch):
    monkeypatch.setitem(FORMATS, form, ("tensorflow",) if BACKEND != "tensorflow" else ("torch",))
    path = tmp_path / NAMES[form]
    with pytest.raises(ValueError, match="KERAS_BACKEND=t"):
        export_int8(one_site(), path, numbers(8, 5), form)


def test_scales_are_made_of_finite_samples(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_actfn.surgery.int8.check_format", lambda *arguments: None)
    with pytest.raises(ValueError, match="x holds finite numbers"):
        export_int8(one_site(), tmp_path / "m.onnx", np.full((8, 5), np.nan), "onnx")
    assert not list(tmp_path.iterdir())
