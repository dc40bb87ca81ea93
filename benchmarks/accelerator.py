"""The layers on whatever device there is, relative to ReLU in the same run.

    python benchmarks/accelerator.py [--backend jax] [--elements 67108864] [--rounds 21]

`accelerator.txt` holds what it printed on a GPU. On a CPU it runs in small sizes, which says that
it works and nothing else.

The first line names the device. Then, in float32 and bfloat16:

- One layer, forward and backward with gradients to the input and the parameters: its time divided
  by ReLU's (bars: hulls, CRReLU and expressions 1.15; PWL and every layer per channel 1.5), and
  the bandwidth that the bytes which must move (five times the input's) come to, divided by a
  copy's on the same device (bar: 0.8). The time is that of a call among ten that do not wait for
  each other. PyTorch runs layers operation by operation, and at this size a GPU is done before
  Python has launched the next: "kernels" is the time of the same kernels in a CUDA graph, which
  launches them without Python, and the bandwidth is theirs. Peers are there where they can be
  imported: on PyTorch rational-activations, torchpwl, and pykan's splines.
- A train step of ResNet-50 and ViT-Tiny with mixed_bfloat16, divided by that with ReLU or GELU
  (bar: 1.05). On PyTorch it runs operation by operation; with `--compiled`, through its compiler.

All candidates of a table take turns; printed are medians.
"""

import argparse
import importlib.util
import os
import statistics
import time

LAYERS = {
    "relu": "relu",
    "gelu": "gelu",
    "conv(identity,relu,tanh)": "conv(identity,relu,tanh)",
    "aff(identity,relu,tanh)": "aff(identity,relu,tanh)",
    "CRReLU": "crrelu",
    "x * erfc(x)": "mul(x,erfc(x))",
    "PWL": "pwl",
    "aff per channel": "aff(identity,relu,tanh,axis=-1)",
    "CRReLU per channel": "crrelu(axis=-1)",
    "PWL per channel": "pwl(axis=-1)",
}
PEERS = {"rational-activations": "rational", "torchpwl": "torchpwl", "pykan": "kan"}
#: Of what needs more memory than there is, a call takes this part of the input, and counts as many.
PARTS = {"pykan": 16}
CHANNELS = 128
SECONDS = 3
#: Model: its constructor's name, what it is compared with, and arguments for images of 224 x 224.
MODELS = {
    "ResNet-50": ("ResNet50", "relu", {}),
    "ViT-Tiny": ("ViTTiny", "gelu", {"patch_size": 16}),
}
IN_MODELS = ("aff(identity,relu,tanh)", "crrelu", "pwl", "pwl(axis=-1)")


def main():
    """Print both tables for the running device."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", default="jax", choices=["jax", "tensorflow", "torch"])
    parser.add_argument("--elements", type=int, help="of the layers' input; 64 M off the CPU")
    parser.add_argument("--batch", type=int, help="of the models; 128 off the CPU")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--layers", nargs="*", choices=LAYERS, help="all by default")
    parser.add_argument("--models", nargs="*", choices=MODELS, help="all by default")
    parser.add_argument("--activations", nargs="*", choices=IN_MODELS, help="in the models")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument(
        "--compiled", action="store_true", help="models with jit_compile=True on PyTorch"
    )
    arguments = parser.parse_args()
    os.environ["KERAS_BACKEND"] = arguments.backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    device, on_cpu = device_name(arguments.backend)
    elements = arguments.elements or (1 << 16 if on_cpu else 1 << 26)
    print(f"{arguments.backend} on {device}; {elements:,} elements, {arguments.rounds} rounds\n")
    layers = list(LAYERS) if arguments.layers is None else ["relu", *arguments.layers]
    for dtype in arguments.dtypes if layers != ["relu"] else ():
        layers_table(layers, dtype, elements, arguments.rounds)
    models = list(MODELS) if arguments.models is None else arguments.models
    batch = arguments.batch or (2 if on_cpu else 128)
    if models:
        activations = IN_MODELS if arguments.activations is None else arguments.activations
        size, rounds = 32 if on_cpu else 224, max(3, arguments.rounds // 3)
        models_table(models, activations, batch, size, rounds, arguments.compiled)


def device_name(backend):
    """The name of the device that runs, and whether it is a CPU."""
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        return device.device_kind, device.platform == "cpu"
    if backend == "torch":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name(), False
        return "cpu", True
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    if not found:
        return "cpu", True
    return tf.config.experimental.get_device_details(found[0]).get("device_name", "GPU"), False


def layers_table(names, dtype, elements, rounds):
    """One layer, forward and backward, and a copy of its input."""
    import keras

    from keras_actfn import activation

    policy = "float32" if dtype == "float32" else "mixed_bfloat16"
    shape = (max(1, elements // CHANNELS), CHANNELS)
    runs = {}
    for name in dict.fromkeys(names):
        keras.config.set_dtype_policy(policy)
        layer = activation(LAYERS[name])
        layer.build((None, CHANNELS))
        runs[name] = forward_and_backward(layer, layer.trainable_variables, shape, dtype)
    if keras.backend.backend() == "torch" and dtype == "float32":
        for name, package in PEERS.items() if len(names) == len(LAYERS) else ():
            if importlib.util.find_spec(package):
                rows, channels = shape
                runs[name] = peer(package, (max(1, rows // PARTS.get(name, 1)), channels))
    runs["copy"] = copy(shape, dtype)
    keras.config.set_dtype_policy("float32")
    times = medians(runs, rounds, calls=10)
    for name in PARTS.keys() & times.keys():
        times[name] *= PARTS[name]
    graphs = {
        name: graph
        for name, run in runs.items()
        if name not in PARTS and (graph := in_a_graph(run))
    }
    kernels = medians(graphs, rounds, calls=10) if graphs else times
    print(f"## One layer, {dtype}, forward and backward\n")
    print(f"ReLU: {1000 * kernels['relu']:.3f} ms; a copy: {1000 * kernels['copy']:.3f} ms\n")
    headings = ["time / ReLU's", *(["kernels / ReLU's"] if graphs else []), "bandwidth / a copy's"]
    print(f"| | {' | '.join(headings)} |\n|---{'|---' * len(headings)}|")
    del runs["copy"]
    for name in runs:
        cells = [times[name] / times["relu"]]
        cells += [kernels[name] / kernels["relu"]] if name in graphs else [None] * bool(graphs)
        moved = kernels["copy"] * 5 / 2
        cells += [moved / kernels[name] if name in kernels else None]
        shown = ("—" if cell is None else f"{cell:.2f}" for cell in cells)
        print(f"| {name} | {' | '.join(shown)} |")
    print(flush=True)


def in_a_graph(run):
    """What a function launches on a CUDA device of PyTorch, recorded to be launched at once."""
    import keras

    if keras.backend.backend() != "torch":
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    graph = torch.cuda.CUDAGraph()
    try:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(graph):
            run()
    except RuntimeError as error:
        print(f"no graph: {error!r:.200}\n")
        torch.cuda.synchronize()
        return None
    return graph.replay


def forward_and_backward(layer, variables, shape, dtype):
    """A function that runs the layer forward and backward once."""
    import keras

    sources = [variable.value for variable in variables]
    x, upstream = (keras.random.normal(shape, dtype=dtype) for _ in range(2))
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        @jax.jit
        def step(sources, x, upstream):
            def call(sources, x):
                return layer.stateless_call(sources, [], x)[0]

            output, pull_back = jax.vjp(call, sources, x)
            return output, pull_back(upstream)

        return lambda: step(sources, x, upstream)
    if backend == "tensorflow":
        import tensorflow as tf

        @tf.function(jit_compile=True)
        def step(x, upstream):
            with tf.GradientTape() as tape:
                tape.watch(x)
                output = layer(x)
            return output, tape.gradient(output, [x, *sources], upstream)

        return lambda: step(x, upstream)
    return torch_step(layer, sources, x, upstream)


def torch_step(layer, sources, x, upstream):
    """The same for any callable on PyTorch."""
    import torch

    x = x.detach().requires_grad_()

    def step():
        output = layer(x)
        torch.autograd.grad(output, [x, *sources], upstream, allow_unused=True)

    return step


def peer(package, shape):
    """A layer of another package for PyTorch, one function for all inputs."""
    import keras

    x, upstream = (keras.random.normal(shape) for _ in range(2))
    if package == "torchpwl":
        import torchpwl

        layer = torchpwl.PWL(num_channels=1, num_breakpoints=33).to(x.device)
        call = lambda x: layer(x.reshape(-1, 1)).reshape(x.shape)  # noqa: E731
    elif package == "kan":
        from kan import KANLayer

        layer = KANLayer(in_dim=1, out_dim=1, num=32, k=1).to(x.device)
        call = lambda x: layer(x.reshape(-1, 1))[0].reshape(x.shape)  # noqa: E731
    else:
        from rational.torch import Rational

        call = layer = Rational(cuda=x.is_cuda)
    return torch_step(call, [p for p in layer.parameters() if p.requires_grad], x, upstream)


def copy(shape, dtype):
    """A function that copies a tensor on the device."""
    import keras

    x = keras.random.normal(shape, dtype=dtype)
    if keras.backend.backend() == "jax":
        import jax

        run = jax.jit(jax.numpy.copy)
        return lambda: run(x)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        plus_one = tf.function(lambda x: x + tf.cast(1, x.dtype), jit_compile=True)
        return lambda: plus_one(x)
    return lambda: x.clone() is None


def wait(results):
    """Wait for what was launched."""
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        jax.block_until_ready(results)
    elif backend == "tensorflow":
        import tensorflow as tf

        tf.experimental.sync_devices()
    else:
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()


def medians(runs, rounds, calls=1):
    """Median seconds of a call of each, taking turns; what can't run is left out, with its reason.

    Args:
        runs: Functions by name.
        rounds: How many turns.
        calls: How many calls a turn has, which do not wait for each other; one more goes before.
            What has taken `SECONDS` has no more turns, and what takes a tenth of that goes alone.
    """
    calls_of = {}
    for name, run in list(runs.items()):
        try:
            wait(run())  # compile
            start = time.perf_counter()
            wait(run())
            calls_of[name] = 1 if time.perf_counter() - start > SECONDS / 10 else calls
        except Exception as error:  # a peer may not fit the device or the versions
            if name not in PEERS:
                raise
            print(f"{name} does not run here: {error!r:.200}\n")
            del runs[name]
    times = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            calls = calls_of[name]
            if sum(times[name]) * calls > SECONDS:
                continue
            wait(run())
            start = time.perf_counter()
            wait([run() for _ in range(calls)])
            times[name].append((time.perf_counter() - start) / calls)
    return {name: statistics.median(values) for name, values in times.items()}


def models_table(names, activations, batch, size, rounds, compiled):
    """Whole train steps in mixed_bfloat16, on data that lie on the device."""
    import keras
    import numpy as np

    from keras_actfn import applications

    keras.config.set_dtype_policy("mixed_bfloat16")
    rng = np.random.default_rng(0)
    x = keras.ops.convert_to_tensor(rng.normal(size=(batch, size, size, 3)).astype("float32"))
    y = keras.ops.convert_to_tensor(rng.integers(0, 10, size=batch).astype("int32"))
    how = ", jit_compile=True" if compiled else ""
    print(f"## Train step, mixed_bfloat16{how}, batches of {batch} images of {size} x {size}\n")
    print("| | ms | time / the model's own |\n|---|---|---|")
    for title in names:
        name, own, options = MODELS[title]
        options = options if size > 32 else {}
        runs = {}
        for spec in (own, *activations):
            build = getattr(applications, name)
            model = build(activation=spec, input_shape=(size, size, 3), classes=10, **options)
            jit = True if compiled else "auto"
            model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=jit)
            runs[spec] = lambda model=model: model.train_on_batch(x, y)
        times = medians(runs, rounds)
        for spec, seconds in times.items():
            ratio = seconds / times[own]
            print(f"| {title}, {spec} | {1000 * seconds:.1f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
