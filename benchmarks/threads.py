"""Small trainings on PyTorch with all threads and with one, alone and beside a busy process.

    KERAS_BACKEND=torch python benchmarks/threads.py >> benchmarks/threads.txt

A multilayer perceptron 64-64-64-10 is trained for ten epochs on 400 of scikit-learn's digits in
batches of 32, nine times; printed is the median of the seconds. The busy process multiplies
matrices. `compare` and searches train such a model on one thread. Run it on a machine that does
nothing else.
"""

import statistics
import subprocess
import sys
import time

import keras
import torch

from keras_actfn import datasets
from keras_actfn.training.threads import is_small

BUSY = "import numpy\nx = numpy.ones((500, 500))\nwhile True:\n    x @ x"


def seconds(model, x, y):
    """Median seconds of nine trainings."""
    times = []
    for _ in range(9):
        start = time.perf_counter()
        model.fit(x, y, epochs=10, batch_size=32, verbose=0)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main():
    """Measure and print."""
    data = datasets.digits()
    x, y = data.x_train.reshape(len(data.x_train), -1)[:400], data.y_train[:400]
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert is_small(model, 32)
    model.fit(x, y, epochs=10, batch_size=32, verbose=0)
    threads = torch.get_num_threads()
    for beside in (False, True):
        busy = subprocess.Popen([sys.executable, "-c", BUSY]) if beside else None
        for count in (threads, 1):
            torch.set_num_threads(count)
            where = "beside a busy process" if beside else "alone"
            print(f"{count} threads, {where}: {seconds(model, x, y):.2f} s")
        if busy:
            busy.kill()


if __name__ == "__main__":
    main()
