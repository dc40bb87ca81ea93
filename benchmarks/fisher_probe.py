"""Seconds for the Fisher spectra of 500 functions of the three-node space in LeNet-5.

    KERAS_BACKEND=torch python benchmarks/fisher_probe.py >> benchmarks/fisher.txt

What a search does before its first training: 128 images, a new network for each function, one
process a core. The bar on two cores is three minutes.
"""

import os
import tempfile
import time

import keras
import numpy as np
from keras_actfn.applications import LeNet5

from keras_actfn.expressions import three_node
from keras_actfn.search import ActivationSearch
from keras_actfn.training import Task

COUNT = 500


def main():
    """Probe and print the seconds."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(256, 28, 28, 1)).astype("float32")
    y = generator.integers(10, size=256)
    with tempfile.TemporaryDirectory() as folder:
        storage = f"{folder}/s.db"
        found = ActivationSearch(Task(LeNet5, (x, y)), three_node(), storage=storage)
        start = time.perf_counter()
        print(found.probe(COUNT, workers=os.cpu_count()))
        seconds = time.perf_counter() - start
    backend = keras.backend.backend()
    print(f"LeNet5, {backend}: {COUNT} functions in {seconds:.0f} s on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
