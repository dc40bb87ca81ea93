"""From trained activations to segments, 8-bit files and formulas: errors, accuracies and times.

    python benchmarks/deploy.py                      # all parts, into benchmarks/deploy.txt
    python benchmarks/deploy.py accuracy             # one part; the others stay in the file
    python benchmarks/deploy.py latency sites nearest    # those with times, on a quiet machine

optimal    segments against every choice of breakpoints, on small cases
sites      seconds for an activation to become segments
accuracy   networks trained on Fashion-MNIST: float, with segments, and as 8-bit files
latency    8-bit LiteRT operators beside ReLU, in turns, in one run
nearest    100 functions of the four-node space found again from noisy samples

Runs on TensorFlow, which writes LiteRT, and needs `keras-actfn[export,expressions,theory]`.
"""

import argparse
import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILE = Path(__file__).with_suffix(".txt")
PARTS = ("optimal", "sites", "accuracy", "latency", "nearest")


def main():
    """Run each part in a process of its own and put what it prints into the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--one", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--functions", type=int, default=100, help="that are found again")
    parser.add_argument("--space", default="runs/spaces/four_node", help="folder of the space")
    arguments = parser.parse_args()
    if arguments.one:
        PRINTERS[arguments.one](arguments)
        return
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"parts are {', '.join(PARTS)}; got {', '.join(unknown)}")
    for part in arguments.parts or PARTS:
        command = [sys.executable, __file__, "--one", part, "--space", arguments.space]
        command += ["--functions", str(arguments.functions)]
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
        load = os.getloadavg()[0]
        done = subprocess.run(
            command, env=environment, check=True, text=True, stdout=subprocess.PIPE
        )
        text = f"## {part}\n\n{done.stdout.strip()}\n(load average before: {load:.1f})\n"
        print(text, flush=True)
        _put(part, text)


def _put(part, text):
    """Replace the part's section of the file."""
    sections = {}
    if FILE.exists():
        for section in re.split(r"^(?=## )", FILE.read_text(), flags=re.MULTILINE):
            if section.startswith("## "):
                sections[section.split()[1]] = section.strip() + "\n"
    sections[part] = text
    FILE.write_text("\n".join(sections[name] for name in PARTS if name in sections))


def optimal(arguments):
    """Segments against all choices of breakpoints on a grid of ten positions."""
    import numpy as np

    from keras_actfn.theory.segments import fit_segments

    worst, proved, cases = 0.0, 0, 0
    for seed in range(12):
        generator = np.random.default_rng(seed)
        x = generator.normal(size=80)
        y = np.tanh(3 * x) + np.sin(2 * x) + 0.1 * generator.normal(size=80)
        w = generator.random(80)
        w /= w.sum()
        inner = generator.uniform(x.min(), x.max(), 8)
        grid = np.sort(np.concatenate([[x.min(), x.max()], inner]))
        for segments in (1, 2, 3, 4, 5):
            best = np.inf
            for count in range(1, segments + 1):
                for chosen in itertools.combinations(range(1, 9), count - 1):
                    knots = grid[[0, *chosen, 9]]
                    hats = np.stack([np.interp(x, knots, row) for row in np.eye(len(knots))], 1)
                    root = np.sqrt(w)
                    values = np.linalg.lstsq(hats * root[:, None], y * root, rcond=None)[0]
                    best = min(best, w @ (y - hats @ values) ** 2)
            found = fit_segments(x, y, w, segments, candidates=grid)
            worst = max(worst, w @ (y - found(x)) ** 2 / best - 1)
            proved += found.optimal
            cases += 1
    print(f"{cases} cases of up to 5 segments; {proved} proved optimal by the search itself.")
    print(f"Largest excess over the best of all choices: {worst:.1e} of its cost.")


#: What networks are trained with: a plain function, a learned one, and one that a search found.
ACTIVATIONS = ("swish", "pwl", "add(erf(x),arctan(x))")


def network(activation):
    """A small convolutional network for 28×28 images."""
    import keras

    import keras_actfn

    def site(name):
        return keras_actfn.activation(activation, name=name)

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, name="conv_1"),
            site("act_1"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, name="conv_2"),
            site("act_2"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, name="dense"),
            site("act_3"),
            layers.Dense(10, name="logits"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    return model


def sites(arguments):
    """Seconds for each of three sites, the whole call divided by their number."""
    import keras
    import numpy as np

    from keras_actfn.surgery import compile_activations

    x = np.random.default_rng(0).normal(size=(1024, 28, 28, 1)).astype("float32")
    print(
        "Model and data included, divided by the number of sites; of the processor: of all threads."
    )
    print("\n| activation | segments | s a site | of the processor |")
    print("| --- | ---: | ---: | ---: |")
    for activation in (*ACTIVATIONS, "gelu", "aff(identity,relu,tanh)"):
        keras.utils.set_random_seed(0)
        model = network(activation)
        for segments in (8, 16, 32):
            start, processor = time.perf_counter(), time.process_time()
            count = len(compile_activations(model, x, segments).sites)
            seconds = (time.perf_counter() - start) / count
            processor = (time.process_time() - processor) / count
            print(f"| {activation} | {segments} | {seconds:.2f} | {processor:.2f} |", flush=True)


def accuracy(arguments):
    """Test accuracy in float and in 8 bits, of networks trained for three epochs."""
    import keras
    import numpy as np

    from keras_actfn import datasets
    from keras_actfn.surgery import compile_activations, export_int8

    data = datasets.load("fashion_mnist")
    x, y = np.asarray(data.x_train[:20_000]), data.y_train[:20_000]
    images, labels = np.asarray(data.x_test), data.y_test
    print("Fashion-MNIST, 20,000 training images, three epochs, 16 segments; accuracy on all")
    print(f"{len(images):,} test images in per cent.\n")
    print("| activation | float | segments | int8 LiteRT | int8 ONNX | as it is, int8 LiteRT |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for activation in ACTIVATIONS:
        keras.utils.set_random_seed(0)
        model = network(activation)
        model.fit(x, y, batch_size=64, epochs=3, verbose=0)
        compiled = compile_activations(model, x[:1024], 16)
        with tempfile.TemporaryDirectory() as folder:
            litert, onnx = Path(folder) / "model.tflite", Path(folder) / "model.onnx"
            export_int8(compiled, litert, x, "litert")
            export_int8(compiled, onnx, x, "onnx")
            plain = Path(folder) / "plain.tflite"
            found = [
                percent(model.predict(images, verbose=0), labels),
                percent(compiled.model.predict(images, verbose=0), labels),
                percent(run_litert(litert, images), labels),
                percent(run_onnx(onnx, images), labels),
            ]
            cells = [f"{value:.2f}" for value in found]
            try:
                write_litert(model, plain, x[:256])
                cells.append(f"{percent(run_litert(plain, images), labels):.2f}")
            except Exception as error:
                cells.append(f"not written ({type(error).__name__})")
        print(f"| {activation} | {' | '.join(cells)} |", flush=True)


def percent(outputs, labels):
    """Accuracy in per cent."""
    return 100 * float((outputs.argmax(axis=1) == labels).mean())


def write_litert(model, path, x):
    """An 8-bit file of a model as it is, by the converter alone."""
    import keras
    import tensorflow as tf

    model.export(
        path,
        format="litert",
        input_signature=[keras.InputSpec(shape=(1, *x.shape[1:]), dtype="float32")],
        verbose=False,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: ([sample[None]] for sample in x),
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
        inference_input_type=tf.int8,
        inference_output_type=tf.int8,
    )


def interpreter(path):
    """A LiteRT interpreter of one thread, its input and its output."""
    import tensorflow as tf

    found = tf.lite.Interpreter(str(path), num_threads=1)
    found.allocate_tensors()
    return found, found.get_input_details()[0], found.get_output_details()[0]


def run_litert(path, x):
    """Outputs of an 8-bit file."""
    import numpy as np

    from keras_actfn.surgery import Quantization

    run, given, made = interpreter(path)
    inputs, outputs = (Quantization(*each["quantization"]) for each in (given, made))
    rows = []
    for row in inputs.quantize(x):
        run.set_tensor(given["index"], row[None])
        run.invoke()
        rows.append(run.get_tensor(made["index"])[0])
    return outputs.dequantize(np.array(rows))


def run_onnx(path, x):
    """Outputs of an ONNX file."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: part})[0] for part in np.split(x, 20)])


#: Numbers that an operator is timed on: 32×32 positions of 32 channels.
SHAPE = (32, 32, 32)
OPERATORS = {
    **{name: name for name in ("relu", "relu6", "leaky_relu", "hard_swish", "sigmoid", "tanh")},
    **{name: name for name in ("elu", "swish", "gelu", "softplus", "mish")},
    "add(erf(x),arctan(x))": "add(erf(x),arctan(x))",
    "pwl": "pwl(initial=swish)",
}


def latency(arguments):
    """Medians of 8-bit operators alone and behind a convolution, divided by ReLU's."""
    import keras
    import numpy as np

    import keras_actfn
    from keras_actfn.surgery import compile_activations, export_int8, write_c

    generator = np.random.default_rng(0)
    x = 2 * generator.normal(size=(64, *SHAPE)).astype("float32")
    steps = generator.integers(-128, 128, SHAPE, np.int8)
    calls, failed = {"alone": {}, "behind": {}}, {}

    def model(where, spec):
        layers = [keras.Input(SHAPE)]
        if where == "behind":
            layers.append(keras.layers.Conv2D(SHAPE[-1], 3, padding="same"))
        return keras.Sequential([*layers, keras_actfn.activation(spec)])

    def call_of(path):
        run, given, _ = interpreter(path)
        run.set_tensor(given["index"], steps[None])
        return run.invoke

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for where, found in calls.items():
            for name, spec in OPERATORS.items():
                path = folder / f"{where}{len(found)}.tflite"
                try:
                    write_litert(model(where, spec), path, x)
                    found[name] = call_of(path)
                except Exception as error:
                    failed[name] = f"not written in 8 bits ({type(error).__name__})"
            for segments in (4, 8, 16):
                compiled = compile_activations(model(where, "swish"), x, segments)
                path = folder / f"{where}_segments{segments}.tflite"
                export_int8(compiled, path, x, "litert")
                found[f"{segments} segments"] = call_of(path)
        write_c(folder / "table.h", compiled.sites)
        calls["alone"]["C table"] = table_call(folder, steps)
        times = {(where, name): [] for where, found in calls.items() for name in found}
        for _ in range(60):
            for (where, name), taken in times.items():
                start = time.perf_counter()
                calls[where][name]()
                taken.append(time.perf_counter() - start)
    medians = {key: float(np.median(taken[10:])) for key, taken in times.items()}
    print(f"{np.prod(SHAPE):,} numbers, one thread, operators in turns. Alone, ReLU takes", end=" ")
    print(f"{1e6 * medians['alone', 'relu']:.0f} µs: LiteRT has no")
    print("fast kernel for it by itself, as it is a part of the operator before it. A 3×3")
    print(f"convolution of {SHAPE[-1]} channels with it takes", end=" ")
    print(f"{1e6 * medians['behind', 'relu']:.0f} µs.\n")
    print("| operator | alone, ReLU = 1 | behind a convolution, ReLU = 1 |\n| --- | ---: | ---: |")
    for name in [*OPERATORS, "4 segments", "8 segments", "16 segments", "C table"]:
        cells = [
            f"{medians[where, name] / medians[where, 'relu']:.2f}"
            if (where, name) in medians
            else failed.get(name, "—")
            for where in calls
        ]
        print(f"| {name} | {' | '.join(cells)} |")


def table_call(folder, steps):
    """A function that looks every step up in the table of `table.h`, compiled."""
    import ctypes

    import numpy as np

    (name,) = re.findall(r"int8_t (\w+)\[256\]", (folder / "table.h").read_text())
    (folder / "table.c").write_text(
        '#include "table.h"\nvoid run(const int8_t *x, int8_t *y, int n) '
        f"{{ for (int i = 0; i < n; i++) y[i] = {name}[(uint8_t)(x[i] + 128)]; }}\n"
    )
    library = folder / "table.so"
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", library, folder / "table.c"]
    subprocess.run(command, check=True)
    run, made = ctypes.CDLL(str(library)).run, np.empty_like(steps)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (steps, made)]
    return lambda: run(*pointers, steps.size)


def nearest(arguments):
    """Functions of the four-node space, 200 samples of N(0, 1) each, noise of 1 % of the range."""
    import numpy as np

    from keras_actfn.expressions import four_node, simplify
    from keras_actfn.expressions import nearest as find

    start = time.perf_counter()
    unique = four_node().unique(path=arguments.space)
    opened = time.perf_counter() - start
    space, generator = unique.space, np.random.default_rng(0)
    same = within = 0
    times, cpu, missed = [], [], []
    while len(times) < arguments.functions:
        i = int(generator.integers(len(space)))
        x = generator.normal(size=200)
        exact = space[i](x)
        noise = 0.01 * float(np.ptp(exact)) if np.isfinite(exact).all() else 0.0
        if not (unique.valid[unique.classes[i]] and 0 < noise < np.inf):
            continue
        samples = exact + noise * generator.normal(size=200)
        start, processor = time.perf_counter(), time.process_time()
        best = find((x, samples), space=unique).best
        times.append(time.perf_counter() - start)
        cpu.append(time.process_time() - processor)
        error = float(np.sqrt(np.mean((best(x) - exact) ** 2))) / noise
        same += bool(np.abs(best(x) - exact).max() < 1e-3 * noise)
        within += error <= 1
        if error > 1:
            missed.append(f"{simplify(space[i])}: {best.spec}, {error:.2f} of the noise away")
    print(f"{len(times)} random functions of the four-node space that are finite and vary;")
    print(f"{same} found themselves, {within} found or one within the noise (RMS difference of at")
    print("most its standard deviation).")
    print(f"Seconds a function: {np.median(times):.1f} (median), {max(times):.1f} (longest);")
    print(f"of the processor {np.median(cpu):.1f} and {max(cpu):.1f}.")
    print(f"Opening the space took {opened:.1f} s.")
    print("\n".join(missed))


PRINTERS = {
    "optimal": optimal,
    "sites": sites,
    "accuracy": accuracy,
    "latency": latency,
    "nearest": nearest,
}

if __name__ == "__main__":
    main()
