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
from .compile import Compiled
from .rebuild import rebuild

#: The formats and the Keras backends that write them.
FORMATS = {"litert": ("tensorflow",), "onnx": ("tensorflow", "torch")}

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

    def call(self, inputs: Any) -> Any:
        """The formula of the module."""
        positions, values = np.array(self.positions), np.array(self.values)
        widths, rises = np.diff(positions), np.diff(values)
        kernel = ops.convert_to_tensor((6 / widths)[None], inputs.dtype)
        bias = ops.convert_to_tensor(-6 * positions[:-1] / widths, inputs.dtype)
        weights = ops.convert_to_tensor((rises / 6)[:, None], inputs.dtype)
        hidden = ops.relu6(ops.matmul(ops.reshape(inputs, (-1, 1)), kernel) + bias)
        outputs = ops.matmul(hidden, weights) + ops.convert_to_tensor(values[:1], inputs.dtype)
        return ops.reshape(outputs, (-1, *inputs.shape[1:]))

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

    def maker(site):
        def make(old, name):
            positions = np.array([site.low, *old.breakpoints, site.high])
            values = old.evaluate(positions)
            return DenseSegments(positions, values, name=name, dtype=old.dtype_policy)

        return make

    pairs = zip(compiled.layers, compiled.sites, strict=True)
    return rebuild(compiled.model, {id(layer): maker(site.segments) for layer, site in pairs})


def export_int8(compiled: Compiled, path: str | Path, x: Any, format: str = "litert") -> None:
    """Write the compiled model with 8-bit weights and activations.

    The scales are chosen by the format's own converter (post-training quantization) from the
    first 256 samples of `x`. Inputs and outputs of a LiteRT file are 8-bit too, those of an ONNX
    file are float32.

    Args:
        compiled: What `compile_activations` returned, for a model with one input and one output.
        path: The file: `.tflite` for LiteRT, `.onnx` for ONNX.
        x: Samples, an array.
        format: `"litert"` (on the Keras backend TensorFlow) or `"onnx"` (on TensorFlow and
            PyTorch). A `.keras` file of any backend can be loaded there.

    Raises:
        ValueError: If the format, the ending, the backend or the model does not fit.
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
    x = np.asarray(x, dtype="float32")[:_SAMPLES]
    if not len(x):
        raise ValueError("x holds at least one sample for the scales. Received: none.")
    if not np.isfinite(x).all():
        raise ValueError(
            "x holds finite numbers, of which the scales are made. Received: NaN or infinity among "
            "them. Leave these samples out."
        )
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


def _write_litert(model, path, x):
    import tensorflow as tf

    signature = [keras.InputSpec(shape=(1, *model.inputs[0].shape[1:]), dtype="float32")]
    model.export(
        path,
        format="litert",
        input_signature=signature,
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
        model.export(exported, format="onnx", verbose=False)
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
