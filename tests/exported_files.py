"""Exported models: the formats that there are, and files run by the formats' own runtimes."""

import keras

#: Formats that the installed Keras writes with the running backend.
FORMATS = {
    "tensorflow": ["tf_saved_model", "onnx", "litert"],
    "jax": ["tf_saved_model"],
    "torch": ["torch", "onnx"],
}[keras.backend.backend()]

_ENDINGS = {"onnx": ".onnx", "torch": ".pt2", "litert": ".tflite"}


def export(model, form, folder):
    """Write a model in a format, for batches of 1 to 64, and return the path."""
    path, options = f"{folder}/model{_ENDINGS.get(form, '')}", {}
    if form == "torch":
        import torch

        options["dynamic_shapes"] = {0: torch.export.Dim("batch", min=1, max=64)}
    model.export(path, format=form, verbose=False, **options)
    return path


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
