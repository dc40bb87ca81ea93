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
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import keras
import numpy as np
from exported_files import FORMATS, export, run
from gallery_functions import functions

from keras_actfn import activation


def main():
    """Print the table of the backend."""
    warnings.simplefilter("ignore")
    print(f"## {keras.backend.backend()}\n\n| | {' | '.join(FORMATS)} |")
    print("|---" * (len(FORMATS) + 1) + "|")
    for each in functions():
        if each.spec is not None and each.function is not None:  # of one number
            cells = [outcome(each.spec, form) for form in FORMATS]
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
        try:
            found = run(form, export(model, form, folder), x)
        except Exception as error:
            return f"no ({type(error).__name__})"
    equal = np.allclose(found, expected, rtol=1e-4, atol=1e-6, equal_nan=True)
    return "yes" if equal else "differs"


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
