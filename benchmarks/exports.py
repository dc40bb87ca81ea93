"""Which formats a model with each function of the gallery can be written in, and run elsewhere.

    for backend in tensorflow jax torch; do
        KERAS_BACKEND=$backend python benchmarks/exports.py
    done >benchmarks/exports.txt

A small dense network with the activation is exported by Keras's `model.export`, the file is run by
the format's own runtime, and outputs are compared (1e-4 relative). A cell says "yes", "differs", or
what failed. What Keras does not offer on a backend has no column.
"""

import contextlib
import os
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "_ext"))

import keras
import numpy as np
from gallery_functions import functions

from keras_actfn import activation

FORMATS = {
    "tensorflow": ("tf_saved_model", "onnx", "litert"),
    "jax": ("tf_saved_model",),
    "torch": ("torch", "onnx"),
}
ENDINGS = {"onnx": ".onnx", "torch": ".pt2", "litert": ".tflite"}


def main():
    """Print the table of the backend."""
    warnings.simplefilter("ignore")
    formats = FORMATS[keras.backend.backend()]
    print(f"## {keras.backend.backend()}\n\n| | {' | '.join(formats)} |")
    print("|---" * (len(formats) + 1) + "|")
    for each in functions():
        if each.spec is not None and each.function is not None:  # of one number
            cells = [outcome(each.spec, form) for form in formats]
            print(f"| {each.name} | {' | '.join(cells)} |", flush=True)
    print()


def outcome(spec, form):
    """What comes of a model with an activation in a format."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(6), activation(spec), layers.Dense(3)]
    )
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(x))
    with tempfile.TemporaryDirectory() as folder, quiet():
        path = str(Path(folder) / f"model{ENDINGS.get(form, '')}")
        try:
            model.export(path, format=form, verbose=False, **options(form))
            found = run(form, path, x)
        except Exception as error:
            return f"no ({type(error).__name__})"
    equal = np.allclose(found, expected, rtol=1e-4, atol=1e-6, equal_nan=True)
    return "yes" if equal else "differs"


def options(form):
    """What the export is told besides."""
    if form != "torch":
        return {}
    import torch

    return {"dynamic_shapes": {0: torch.export.Dim("batch", min=1, max=64)}}


def run(form, path, x):
    """Outputs of an exported file, computed without Keras."""
    if form == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        return session.run(None, {session.get_inputs()[0].name: x})[0]
    if form == "torch":
        import torch

        return torch.export.load(path).module()(torch.tensor(x)).detach().numpy()
    import tensorflow as tf

    if form == "tf_saved_model":
        loaded = tf.saved_model.load(path)  # kept, since it holds the variables
        return loaded.serve(x).numpy()
    runner = tf.lite.Interpreter(path).get_signature_runner()
    (name,) = runner.get_input_details()
    return next(iter(runner(**{name: x}).values()))


@contextlib.contextmanager
def quiet():
    """Converters print to the file descriptors themselves."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, number in zip(kept, (1, 2), strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)


if __name__ == "__main__":
    main()
