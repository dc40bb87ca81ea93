"""One epoch of LeNet-5 on Fashion-MNIST with every discovered function: finite, and how good.

    KERAS_BACKEND=jax python benchmarks/discovered.py [NAME ...] > benchmarks/discovered.txt

Adam (1e-3), batch 128, 60,000 training images, seed 0, accuracy on the 10,000 test images. One
seed and one epoch say that a function trains, not which one is best.
"""

import sys
import time

import keras
import numpy as np
from keras_actfn.applications import LeNet5

from keras_actfn import datasets
from keras_actfn.expressions import DISCOVERED


def train(activation, data):
    """Train once; return whether loss and weights stayed finite, and the test accuracy."""
    keras.utils.set_random_seed(0)
    model = LeNet5(activation=activation, input_shape=data.input_shape, classes=data.classes)
    optimizer = keras.optimizers.Adam(1e-3)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    # The running mean of the loss is NaN from the first NaN on.
    history = model.fit(data.x_train, data.y_train, batch_size=128, epochs=1, verbose=0)
    weights = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
    finite = all(np.isfinite(values).all() for values in [history.history["loss"], *weights])
    return finite, model.evaluate(data.x_test, data.y_test, batch_size=500, verbose=0)[1]


def main():
    """Print a row for each function."""
    data = datasets.load("fashion_mnist")
    print(f"Keras {keras.__version__} on {keras.backend.backend()}; {len(data.x_train)} images")
    print(f"{'function':<30}{'finite':>7}{'accuracy':>10}{'seconds':>9}", flush=True)
    for name in sys.argv[1:] or [*DISCOVERED, "relu"]:
        start = time.perf_counter()
        finite, accuracy = train(name, data)
        seconds = time.perf_counter() - start
        print(f"{name:<30}{finite!s:>7}{accuracy:>10.4f}{seconds:>9.1f}", flush=True)


if __name__ == "__main__":
    main()
