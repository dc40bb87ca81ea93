"""Time of a training step with each learnable activation relative to ReLU, in whole networks.

    python benchmarks/models.py [--backends jax tensorflow torch] [--models kerasnet …]

KerasNet and ResNet56V2 on 32×32 images, MobileViTV2 on 64×64. The activations take turns, one
step each in a round, so that a change in the machine's speed meets them all; printed are medians
of the rounds, divided by ReLU's, and ReLU's in milliseconds.
"""

import argparse
import os
import subprocess
import sys
import time

ACTIVATIONS = (
    "relu",
    "swish",
    "conv(identity,relu)",
    "aff(identity,relu,tanh)",
    "pwl",
    "crrelu",
)
MODELS = {"kerasnet": 32, "resnet56v2": 32, "mobilevit_v2": 64}


def main():
    """Measure every backend in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backends", nargs="+", default=["jax", "tensorflow", "torch"])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure(arguments.one, arguments.rounds, arguments.batch)
        return
    print(
        f"{os.cpu_count()} cores; batch {arguments.batch}; medians of {arguments.rounds} rounds\n"
    )
    for backend in arguments.backends:
        print(f"## {backend}\n")
        print(f"| | {' | '.join(ACTIVATIONS)} | ReLU, ms |")
        print("|---" * (len(ACTIVATIONS) + 2) + "|", flush=True)
        for model in arguments.models:
            command = [sys.executable, __file__, "--one", model]
            command += ["--rounds", str(arguments.rounds), "--batch", str(arguments.batch)]
            subprocess.run(
                command,
                env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
                check=True,
            )
        print(flush=True)


def measure(name, rounds, batch):
    """Print one model's row for the running backend."""
    import numpy as np

    steps = {spec: train_step(name, spec, batch) for spec in ACTIVATIONS}
    for step in steps.values():
        step()  # compiles
        step()
    times = {spec: [] for spec in steps}
    for _ in range(rounds):
        for spec, step in steps.items():
            start = time.perf_counter()
            step()
            times[spec].append(time.perf_counter() - start)
    medians = {spec: np.median(values) for spec, values in times.items()}
    ratios = " | ".join(f"{medians[spec] / medians['relu']:.2f}" for spec in ACTIVATIONS)
    print(f"| {name} | {ratios} | {1000 * medians['relu']:.0f} |", flush=True)


def train_step(name, spec, batch):
    """A function that trains the model on one batch and waits for the loss."""
    import keras
    import numpy as np
    from keras_actfn.applications import MODELS as BUILDERS

    size = MODELS[name]
    model = BUILDERS[name](activation=spec, input_shape=(size, size, 3), classes=10)
    model.compile(keras.optimizers.SGD(1e-3), "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, size, size, 3)).astype("float32")
    y = rng.integers(0, 10, size=batch)
    return lambda: float(model.train_on_batch(x, y))


if __name__ == "__main__":
    main()
