r"""Compiled models as 8-bit files: LiteRT, and ONNX with quantize and dequantize nodes.

Neither format has an operation for segments. On the range [t₀, t_K] of its inputs, a function of
K segments is a tiny dense network of each number,

$$p(x) = p(t_0) + \sum_k \frac{s_k h_k}{6}\,\mathrm{relu6}\Bigl(6\,\frac{x - t_k}{h_k}\Bigr),
\quad h_k = t_{k+1} - t_k,$$

which every 8-bit runtime computes, with the full resolution of 8 bits on each segment.
"""

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from .._files import replacing
from .._names import unknown_name
from .._optional import require
from ..models import graph
from .compile import Compiled
from .rebuild import rebuild

#: The formats and the Keras backends that write them.
FORMATS = {"litert": ("tensorflow",), "onnx": ("tensorflow", "torch")}

#: What a layer may compute in: neither format's runtime computes everything in other types.
_DTYPES = {"litert": ("float32",), "onnx": ("float32", "float16")}

#: Representative samples that the converters look at.
_SAMPLES = 256


@keras.saving.register_keras_serializable(package="keras_actfn")
class DenseSegments(keras.layers.Layer):
    """A `SegmentedLinear` on a range as two matrix products; see the module.

    Args:
        positions: The K + 1 ends of the segments, both ends of the range included.
        values: The function's values there.
        **kwargs: `keras.layers.Layer`'s.
    """

    def __init__(self, positions: Any, values: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.positions = [float(p) for p in positions]
        self.values = [float(v) for v in values]
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """The formula of the module."""
        positions, values = np.array(self.positions), np.array(self.values)
        widths, rises = np.diff(positions), np.diff(values)
        kernel = ops.convert_to_tensor((6 / widths)[None], inputs.dtype)
        bias = ops.convert_to_tensor(-6 * positions[:-1] / widths, inputs.dtype)
        weights = ops.convert_to_tensor((rises / 6)[:, None], inputs.dtype)
        hidden = ops.relu6(ops.matmul(ops.reshape(inputs, (-1, 1)), kernel) + bias)
        outputs = ops.matmul(hidden, weights) + ops.convert_to_tensor(values[:1], inputs.dtype)
        return ops.reshape(outputs, (-1, *ops.shape(inputs)[1:]))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "positions": self.positions, "values": self.values}


def with_dense_segments(compiled: Compiled) -> keras.Model:
    """Return the compiled model with a `DenseSegments` for every `SegmentedLinear`.

    The functions are equal on the range of each site's data, and constant outside.

    Args:
        compiled: What `compile_activations` returned.
    """

    def maker(layer, site):
        def make(old, name):
            positions = np.array([site.low, *layer.breakpoints, site.high])
            values = layer.evaluate(positions)
            return DenseSegments(positions, values, name=name, dtype=layer.dtype_policy)

        return make

    pairs = zip(compiled.layers, compiled.sites, strict=True)
    makers = {id(layer): maker(layer, site.segments) for layer, site in pairs}
    exchange = {}
    for container, _ in graph.containers(compiled.model):
        for operation in graph.operations(container):
            for layer in (operation, getattr(operation, "activation", None)):
                if id(layer) in makers:
                    exchange[id(operation)] = makers[id(layer)]
    return rebuild(compiled.model, exchange)


def export_int8(compiled: Compiled, path: str | Path, x: Any, format: str = "litert") -> None:
    """Write the compiled model with 8-bit weights and activations.

    The scales are chosen by the format's own converter (post-training quantization) from the
    first 256 samples of `x`. Inputs and outputs of a LiteRT file are 8-bit too, those of an ONNX
    file are of the model's types. Integer inputs, such as the ids of words, keep their type in
    both. Where sizes of the model's inputs are variable, the file has those of `x`.

    Args:
        compiled: What `compile_activations` returned, for a model with one input and one output.
        path: The file: `.tflite` for LiteRT, `.onnx` for ONNX.
        x: Samples, an array.
        format: `"litert"` (on the Keras backend TensorFlow) or `"onnx"` (on TensorFlow and
            PyTorch). A `.keras` file of any backend can be loaded there.

    Raises:
        ValueError: If the format, the ending or the backend does not fit; or the model: it has
            several inputs or outputs, or computes in other types than float32 (for ONNX also
            float16), or its Embedding takes floats for ids, which LiteRT would round to 8 bits.
            Nothing is written then.
        ImportError: If a library of the format is missing.

    Example:
    ```python
    from keras_actfn.surgery import compile_activations

    compiled = compile_activations(model, x)
    export_int8(compiled, "model.onnx", x, format="onnx")
    ```
    """
    path = Path(path)
    check_format(compiled.model, path, format)
    x = np.asarray(x)[:_SAMPLES]
    if not len(x):
        raise ValueError("x holds at least one sample for the scales. Received: none.")
    if not np.isfinite(x).all():
        raise ValueError(
            "x holds finite numbers, of which the scales are made. Received: NaN or infinity among "
            "them. Leave these samples out."
        )
    x = x.astype(compiled.model.inputs[0].dtype)
    model = with_dense_segments(compiled)
    model(x[:1])  # Keras exports ONNX only from a model that has been called
    with replacing(path) as temporary:
        _WRITERS[format](model, temporary, x)


def check_format(model: keras.Model, path: Path, format: str) -> None:
    """Raise what `export_int8` raises for a format that does not fit, before any work."""
    if format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    ending = {"litert": ".tflite", "onnx": ".onnx"}[format]
    if path.suffix != ending:
        raise ValueError(f"A file of format {format} ends in {ending}. Received: {path}.")
    backend = keras.backend.backend()
    if backend not in FORMATS[format]:
        raise ValueError(
            f"8-bit {format} files are written on the Keras backends {', '.join(FORMATS[format])}. "
            f"Received: {backend}. Save the model as a .keras file and load it with "
            f"KERAS_BACKEND={FORMATS[format][0]}."
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            "8-bit files are written of models with one input and one output. Received: "
            f"{len(model.inputs)} inputs and {len(model.outputs)} outputs."
        )
    for layer in graph.nested(model):
        dtype = layer.compute_dtype
        if keras.backend.is_float_dtype(dtype) and dtype not in _DTYPES[format]:
            raise ValueError(
                f"8-bit {format} files are written of models that compute in "
                f"{' or '.join(_DTYPES[format])}. Received: '{layer.name}', which computes in "
                f"{dtype}. Build the model with the dtype policy 'float32' and give it the weights "
                "of this one: new.set_weights(model.get_weights())."
            )
    if format == "litert":
        _check_ids(model)


def _check_ids(model):
    """Refuse floats as ids, of which an 8-bit input knows 256.

    What a layer with weights computes of the input, or a largest position, is as exact as 8 bits
    make it anyway.
    """
    (given,) = model.inputs
    if not keras.backend.is_float_dtype(given.dtype):
        return
    uses, reached = graph.Uses(model), {id(given): given}
    waiting = [given]
    while waiting:
        for node, _ in uses.of(waiting.pop()):
            if node == graph.Uses.OUTPUT:
                continue
            operation, kind = node.operation, type(node.operation).__name__
            if isinstance(operation, _TAKES_IDS) or kind == "OneHot":
                raise ValueError(
                    "A LiteRT file holds float inputs in 8 bits, and ids as integers. Received: "
                    f"{given.dtype} inputs for the ids of '{operation.name}'. Build the model with "
                    "keras.Input(shape, dtype='int32') and give it the weights of this one: "
                    "new.set_weights(model.get_weights())."
                )
            if not getattr(operation, "weights", ()) and kind != "Argmax":
                found = {id(output): output for output in node.outputs if id(output) not in reached}
                reached.update(found)
                waiting += found.values()


#: Layers whose inputs are numbers of things.
_TAKES_IDS = (keras.layers.Embedding, keras.layers.CategoryEncoding)


def _signature(model, x, batch):
    """The input of a file: the model's, with the sizes of the samples where it fixes none."""
    sizes = model.inputs[0].shape[1:]
    sizes = x.shape[1:] if None in sizes else sizes
    return [keras.InputSpec(shape=(batch, *sizes), dtype=x.dtype.name)]


def _write_litert(model, path, x):
    import tensorflow as tf

    model.export(
        path,
        format="litert",
        input_signature=_signature(model, x, 1),
        verbose=False,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: ([sample[None]] for sample in x),
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
        inference_input_type=tf.int8,
        inference_output_type=tf.int8,
    )


def _write_onnx(model, path, x):
    quantization: Any = require("onnxruntime.quantization", extra="export")

    class Samples(quantization.CalibrationDataReader):
        def __init__(self, name):
            self._batches = iter([{name: x}])

        def get_next(self):
            return next(self._batches, None)

    onnx = require("onnx", extra="export")
    with tempfile.TemporaryDirectory() as folder:
        exported, whole = Path(folder) / "exported.onnx", Path(folder) / "float.onnx"
        signature = _signature(model, x, None)
        model.export(exported, format="onnx", input_signature=signature, verbose=False)
        # Products and sums become one operation, whose result is rounded once.
        shapes = require("onnxruntime.quantization.shape_inference", extra="export")
        shapes.quant_pre_process(exported, whole, skip_symbolic_shape=True)
        name = onnx.load(whole).graph.input[0].name
        quantization.quantize_static(
            whole,
            path,
            Samples(name),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            activation_type=quantization.QuantType.QInt8,
        )


_WRITERS = {"litert": _write_litert, "onnx": _write_onnx}
