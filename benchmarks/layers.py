"""Time of every layer relative to ReLU, measured side by side in one run.

    python benchmarks/layers.py [--backends jax tensorflow torch] [--rounds 9]

Two tables for each backend in its default mode (and TensorFlow under XLA): forward and backward
of one layer on (128, 32, 32, 32) with gradients to the input and the parameters, and whole
KerasNet train steps on batches of 128 images. Each round runs every candidate twice, so that a
change in the machine's speed meets them all, and times the second run: as in a training, it then
finds the caches and the memory as its own last step left them, not another candidate's. Printed
are medians of the rounds, divided by ReLU's. `naive PWL` is the textbook form, floor and gather,
differentiated by the backend.

On PyTorch the first table also has torchpwl and rational-activations, where they are installed
(`pip install --no-deps torchpwl rational_activations`), and PyTorch runs twice: the second time
with `TORCH_COMPILE_DISABLE=1`, as on a machine without a C++ compiler.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import time

SHAPE = (128, 32, 32, 32)
MODES = {"jax": [""], "tensorflow": ["graph", "XLA"], "torch": ["", "uncompiled"]}

LAYERS = {
    "relu": "relu",
    "swish": "swish",
    "Keras PReLU, one slope": "prelu",
    "naive PWL": "naive",
    "PWL": "pwl",
    "PWL, 257 knots": "pwl(knots=257)",
    "PWL per channel": "pwl(axis=-1)",
    "CRReLU": "crrelu",
    "conv(identity,relu)": "conv(identity,relu)",
    "aff(identity,relu,tanh)": "aff(identity,relu,tanh)",
}
#: Layers of other packages for PyTorch, by their import names.
PEERS = {"torchpwl, 33 knots": "torchpwl", "rational-activations (5, 4)": "rational"}
IN_KERASNET = ("relu", "Keras PReLU, one slope", "naive PWL", "PWL", "CRReLU",
               "conv(identity,relu)", "aff(identity,relu,tanh)")  # fmt: skip


def main():
    """Measure every backend in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backends", nargs="+", default=["jax", "tensorflow", "torch"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure(arguments.one, arguments.rounds)
        return
    print(f"{os.cpu_count()} cores; medians of {arguments.rounds} rounds; time / ReLU's\n")
    for backend in arguments.backends:
        for mode in MODES[backend]:
            command = [sys.executable, __file__, "--one", f"{backend} {mode}".strip()]
            environment = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
            if mode == "uncompiled":
                environment["TORCH_COMPILE_DISABLE"] = "1"
            subprocess.run(
                [*command, "--rounds", str(arguments.rounds)],
                env={**os.environ, **environment},
                check=True,
            )


def measure(title, rounds):
    """Print both tables for the running backend."""
    jit = title.endswith("XLA")
    layers = dict(LAYERS)
    if title == "torch":
        layers |= {name: spec for name, spec in PEERS.items() if importlib.util.find_spec(spec)}
    one = interleave({name: layer_step(spec, jit) for name, spec in layers.items()}, rounds)
    steps = {name: kerasnet_step(LAYERS[name], jit) for name in IN_KERASNET}
    whole = interleave(steps, max(3, rounds // 2))
    print(f"## {title}\n")
    print("| | one layer | KerasNet train step |")
    print("|---|---|---|")
    for name in layers:
        print(f"| {name} | {one[name]:.2f} | {f'{whole[name]:.2f}' if name in whole else ''} |")
    print(flush=True)


def interleave(candidates, rounds):
    """Median time of each candidate, divided by the first one's."""
    import numpy as np

    for run in candidates.values():
        run()  # compile
        run()
    times = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            run()
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    medians = {name: np.median(values) for name, values in times.items()}
    first = next(iter(medians.values()))
    return {name: median / first for name, median in medians.items()}


def new_layer(spec):
    """The layer of a row of the tables."""
    import keras
    from keras import ops

    from keras_actfn import activation

    if spec == "prelu":
        return lambda rank=4: keras.layers.PReLU(shared_axes=list(range(1, rank)))
    if spec != "naive":
        return lambda rank=4: activation(spec)

    class NaivePWL(keras.layers.Layer):
        def build(self, input_shape):
            self.values = self.add_weight(
                shape=(33,), initializer=lambda shape, dtype: ops.relu(ops.linspace(-3.0, 3.0, 33))
            )

        def call(self, x):
            position = (x + 3) * (32 / 6)
            segment = ops.cast(ops.clip(ops.floor(position), 0, 31), "int32")
            values = ops.convert_to_tensor(self.values)
            left, right = ops.take(values, segment), ops.take(values, segment + 1)
            return left + (position - ops.cast(segment, "float32")) * (right - left)

    return lambda rank=4: NaivePWL()


def layer_step(spec, jit):
    """A function that runs the layer forward and backward once."""
    import keras
    import numpy as np

    if spec in PEERS.values():
        layer, sources = peer(spec)
    else:
        layer = new_layer(spec)()
        layer.build(SHAPE)
        sources = [variable.value for variable in layer.trainable_variables]
    rng = np.random.default_rng(0)
    x, upstream = (rng.normal(size=SHAPE).astype("float32") for _ in range(2))
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        @jax.jit
        def step(variables, x, upstream):
            def call(variables, x):
                return layer.stateless_call(variables, [], x)[0]

            output, pull_back = jax.vjp(call, variables, x)
            return output, pull_back(upstream)

        x, upstream = jax.numpy.asarray(x), jax.numpy.asarray(upstream)
        return lambda: jax.block_until_ready(step(sources, x, upstream))
    if backend == "tensorflow":
        import tensorflow as tf

        x, upstream = tf.constant(x), tf.constant(upstream)

        @tf.function(jit_compile=jit)
        def step(x, upstream):
            with tf.GradientTape() as tape:
                tape.watch(x)
                output = layer(x, training=True)
            return output, tape.gradient(output, [x, *sources], upstream)

        return lambda: step(x, upstream)
    import torch

    x, upstream = torch.tensor(x, requires_grad=True), torch.tensor(upstream)
    return lambda: torch.autograd.grad(layer(x), [x, *sources], upstream)


def peer(package):
    """A layer of another package for PyTorch, one function for all inputs, and its parameters."""
    if package == "torchpwl":
        import torchpwl

        layer = torchpwl.PWL(num_channels=1, num_breakpoints=33)
        return lambda x: layer(x.reshape(-1, 1)).reshape(x.shape), list(layer.parameters())
    from rational.torch import Rational

    layer = Rational(cuda=False)
    return layer, list(layer.parameters())


def kerasnet_step(spec, jit):
    """A function that trains KerasNet on one batch."""
    import keras
    import numpy as np
    from keras_actfn.applications import KerasNet

    make = new_layer(spec)
    ranks = iter((4, 4, 4, 4, 2))
    model = KerasNet(activation=lambda: make(next(ranks)))
    model.compile(
        keras.optimizers.RMSprop(1e-4), "sparse_categorical_crossentropy", jit_compile=jit or "auto"
    )
    if keras.backend.backend() == "tensorflow" and not jit:
        model.jit_compile = False
    rng = np.random.default_rng(0)
    x = rng.normal(size=(128, 32, 32, 3)).astype("float32")
    y = rng.integers(0, 10, size=128)
    return lambda: model.train_on_batch(x, y)


if __name__ == "__main__":
    main()
